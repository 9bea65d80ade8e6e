-- Seconds from sending to delivery by account and country. A message says when it changed last: for `delivered`, that is
-- its delivery, or a later change of the message, so a number is never too small. `read` messages do not tell.
with delivered as (

    select
        messages.account_sid,
        coalesce(countries.country, 'unknown') as country,
        {{ dbt.datediff('messages.date_sent', 'messages.date_updated', 'second') }} as seconds
    from {{ source('tap', 'messages') }} as messages
    left join {{ ref('phone_countries') }} as countries on countries.address = messages.{{ adapter.quote('to') }}
    where messages.direction like 'outbound%' and messages.status = 'delivered' and messages.date_updated is not null

),

ranked as (

    select
        *,
        row_number() over (partition by account_sid, country order by seconds) as place,
        count(*) over (partition by account_sid, country) as messages
    from delivered

)

select
    account_sid,
    country,
    max(messages) as messages,
    min(case when place >= 0.5 * messages then seconds end) as median_seconds,
    min(case when place >= 0.95 * messages then seconds end) as p95_seconds,
    sum(case when seconds <= 60 then 1.0 else 0 end) / max(messages) as within_a_minute
from ranked
group by 1, 2
