{#
    Messages and spend, a row for each account and day (UTC).

    Messages are counted before anything is joined. What an account spent on a day is Twilio's category `totalprice`:
    the other categories overlap, as `sms` holds `sms-outbound`. A message that was never sent counts on the day on
    which it was created, and a day without messages has a row if it has usage. An account is billed in one currency.
#}
{% set statuses = [
    'accepted', 'scheduled', 'canceled', 'queued', 'sending', 'sent', 'failed', 'delivered', 'undelivered',
    'partially_delivered', 'receiving', 'received', 'read'
] %}

with messages as (

    select
        account_sid as account_id,
        cast(coalesce(date_sent, date_created) as date) as date_day,
        max(price_unit) as price_unit,
        count(*) as total_messages,
        sum(case when direction like 'outbound%' then 1 else 0 end) as total_outbound_messages,
        sum(case when direction = 'inbound' then 1 else 0 end) as total_inbound_messages,
        {%- for status in statuses %}
        sum(case when status = '{{ status }}' then 1 else 0 end) as total_{{ status }}_messages,
        {%- endfor %}
        -sum(price) as total_messages_spend
    from {{ source('tap', 'messages') }}
    group by 1, 2

),

spend as (

    select
        account_sid as account_id,
        start_date as date_day,
        max(price_unit) as price_unit,
        sum(price) as total_account_spend
    from {{ source('tap', 'usage_records') }}
    where category = 'totalprice'
    group by 1, 2

),

days as (

    select account_id, date_day from messages
    union
    select account_id, date_day from spend

)

select
    days.account_id,
    accounts.friendly_name as account_name,
    accounts.status as account_status,
    accounts.type as account_type,
    days.date_day,
    cast({{ dbt.date_trunc('week', 'days.date_day') }} as date) as date_week,
    cast({{ dbt.date_trunc('month', 'days.date_day') }} as date) as date_month,
    coalesce(messages.price_unit, spend.price_unit) as price_unit,
    coalesce(messages.total_messages, 0) as total_messages,
    coalesce(messages.total_outbound_messages, 0) as total_outbound_messages,
    coalesce(messages.total_inbound_messages, 0) as total_inbound_messages,
    {%- for status in statuses %}
    coalesce(messages.total_{{ status }}_messages, 0) as total_{{ status }}_messages,
    {%- endfor %}
    messages.total_messages_spend,
    spend.total_account_spend
from days
left join messages on messages.account_id = days.account_id and messages.date_day = days.date_day
left join spend on spend.account_id = days.account_id and spend.date_day = days.date_day
left join {{ source('tap', 'accounts') }} as accounts on accounts.sid = days.account_id
