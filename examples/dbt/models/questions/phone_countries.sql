-- The country of each phone number of a message, by the longest prefix that the seed knows; null for other addresses.
with addresses as (

    select {{ adapter.quote('to') }} as address from {{ source('tap', 'messages') }}
    union
    select {{ adapter.quote('from') }} from {{ source('tap', 'messages') }}

),

numbers as (

    select address, replace(replace(replace(address, 'whatsapp:', ''), 'rcs:', ''), '+', '') as digits
    from addresses
    where address like '+%' or address like '%:+%'

)

select numbers.address, coalesce(p4.country, p3.country, p2.country, p1.country) as country
from numbers
{% for length in (4, 3, 2, 1) -%}
left join {{ ref('country_prefixes') }} as p{{ length }}
    on p{{ length }}.prefix = substring(numbers.digits, 1, {{ length }})
{% endfor %}
