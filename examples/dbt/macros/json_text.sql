{#
    The text of a member of a JSON column, by its path: json_text('carrier_edge', ['properties', 'media_region']).
    Some targets store JSON as text; these work with both.
#}
{% macro json_text(column, path) %}{{ return(adapter.dispatch('json_text', 'exact_twilio')(column, path)) }}{% endmacro %}

{% macro default__json_text(column, path) %}cast({{ column }} as jsonb) #>> '{ {{- path | join(',') -}} }'{% endmacro %}

{% macro duckdb__json_text(column, path) %}json_extract_string({{ column }}, '$.{{ path | join('.') }}'){% endmacro %}

{% macro snowflake__json_text(column, path) %}get_path(try_parse_json(to_varchar({{ column }})), '{{ path | join('.') }}')::varchar{% endmacro %}

{% macro bigquery__json_text(column, path) %}json_value({{ column }}, '$.{{ path | join('.') }}'){% endmacro %}
