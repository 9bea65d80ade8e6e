{# Fivetran's package gets its source tables from the models of this project, so that dbt knows the order. #}
{% macro default__twilio_union_connections(connection_dictionary, single_source_name, single_table_name, default_identifier) %}
    select * from {{ ref('exact_twilio', single_table_name) }}
{% endmacro %}
