-- Failed outbound messages by account, country of the recipient and error code, beside all messages to that country.
with messages as (

    select
        messages.account_sid,
        coalesce(countries.country, 'unknown') as country,
        case when messages.status in ('failed', 'undelivered') then coalesce(messages.error_code, 0) end as error_code,
        messages.price
    from {{ source('tap', 'messages') }} as messages
    left join {{ ref('phone_countries') }} as countries on countries.address = messages.{{ adapter.quote('to') }}
    where
        messages.direction like 'outbound%'
        and messages.status in ('sent', 'delivered', 'read', 'partially_delivered', 'failed', 'undelivered')

),

sent as (

    select account_sid, country, count(*) as messages from messages group by 1, 2

)

select
    messages.account_sid,
    messages.country,
    messages.error_code,
    count(*) as failures,
    max(sent.messages) as messages_to_country,
    1.0 * count(*) / max(sent.messages) as failure_rate,
    coalesce(-sum(messages.price), 0) as spent_on_failures
from messages
inner join sent on sent.account_sid = messages.account_sid and sent.country = messages.country
where messages.error_code is not null
group by 1, 2, 3
