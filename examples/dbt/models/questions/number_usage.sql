-- Each phone number of an account, and when a message or a call last used it. "Now" is the newest row that was loaded.
with used as (

    {% for table, end in [('messages', 'from'), ('messages', 'to'), ('calls', 'from'), ('calls', 'to')] %}
    select account_sid, {{ adapter.quote(end) }} as phone_number, max(date_created) as last_used_at
    from {{ source('tap', table) }}
    group by 1, 2
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}

),

last_use as (

    select account_sid, phone_number, max(last_used_at) as last_used_at from used group by 1, 2

),

loaded as (

    select max(last_used_at) as newest from last_use

),

numbers as (

    select
        numbers.account_sid,
        numbers.sid as phone_number_sid,
        numbers.phone_number,
        numbers.friendly_name,
        numbers.date_created as bought_at,
        last_use.last_used_at,
        {{ dbt.datediff('coalesce(last_use.last_used_at, numbers.date_created)', 'loaded.newest', 'day') }} as days_unused
    from {{ source('tap', 'incoming_phone_numbers') }} as numbers
    cross join loaded
    left join last_use on last_use.account_sid = numbers.account_sid and last_use.phone_number = numbers.phone_number

)

select numbers.*, days_unused >= {{ var('unused_days') }} as is_unused
from numbers
