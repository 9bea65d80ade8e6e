{# What each account spent on each product and day (UTC): the prices of the rows, and what usage records say. #}
{% set products = {
    'messages': {'categories': ['sms', 'mms'], 'date': 'date_sent'},
    'calls': {'categories': ['calls'], 'date': 'end_time'},
    'recordings': {'categories': ['recordings'], 'date': 'date_created'},
    'transcriptions': {'categories': ['transcriptions'], 'date': 'date_created'},
} %}

with prices as (
    {% for product, is in products.items() %}
    select account_sid, cast({{ is.date }} as date) as date_day, '{{ product }}' as product, price
    from {{ source('tap', product) }}
    where {{ is.date }} is not null
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

row_spend as (

    select
        account_sid,
        date_day,
        product,
        -sum(price) as spend,
        sum(case when price is null then 1 else 0 end) as rows_without_price
    from prices
    group by 1, 2, 3

),

usage_spend as (

    select
        account_sid,
        start_date as date_day,
        case
            {%- for product, is in products.items() %}
            when category in ('{{ is.categories | join("', '") }}') then '{{ product }}'
            {%- endfor %}
            when category = 'totalprice' then 'total'
        end as product,
        sum(price) as spend
    from {{ source('tap', 'usage_records') }}
    where category in ('totalprice'{% for is in products.values() %}, '{{ is.categories | join("', '") }}'{% endfor %})
    group by 1, 2, 3

)

select
    usage_spend.account_sid,
    usage_spend.date_day,
    usage_spend.product,
    usage_spend.spend as usage_spend,
    case when usage_spend.product <> 'total' then coalesce(row_spend.spend, 0) end as row_spend,
    case when usage_spend.product <> 'total' then usage_spend.spend - coalesce(row_spend.spend, 0) end as difference,
    coalesce(row_spend.rows_without_price, 0) as rows_without_price
from usage_spend
left join row_spend
    on row_spend.account_sid = usage_spend.account_sid
    and row_spend.date_day = usage_spend.date_day
    and row_spend.product = usage_spend.product
