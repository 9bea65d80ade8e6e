-- Messages to people whose last keyword to a sender of the account was STOP, and those that Twilio blocked (21610).
with messages as (

    select
        sid,
        account_sid,
        direction,
        {{ adapter.quote('from') }} as sent_from,
        {{ adapter.quote('to') }} as sent_to,
        messaging_service_sid,
        coalesce(date_sent, date_created) as sent_at,
        status,
        coalesce(error_code, 0) as error_code,
        upper(trim(body)) as word
    from {{ source('tap', 'messages') }}
    where date_sent is not null

),

last_words as (

    select
        sent.sid,
        words.sent_at as said_at,
        words.word,
        coalesce(words.messaging_service_sid, words.sent_to) = coalesce(sent.messaging_service_sid, sent.sent_from)
            as is_same_sender,
        row_number() over (
            partition by sent.sid, coalesce(words.messaging_service_sid, words.sent_to)
            order by words.sent_at desc, words.sid
        ) as place
    from messages as sent
    inner join messages as words
        on words.account_sid = sent.account_sid and words.sent_from = sent.sent_to and words.sent_at < sent.sent_at
    where
        sent.direction like 'outbound%'
        and words.direction = 'inbound'
        and words.word in ('{{ (var('stop_words') + var('start_words')) | join("', '") }}')

),

stops as (

    select
        sid,
        max(said_at) as stopped_at,
        max(case when is_same_sender then 1 else 0 end) as same_sender
    from last_words
    where place = 1 and word in ('{{ var('stop_words') | join("', '") }}')
    group by 1

)

select
    messages.account_sid,
    messages.sid as message_sid,
    messages.sent_from,
    messages.sent_to,
    stops.stopped_at,
    messages.sent_at,
    case
        when messages.error_code = 21610 then 'blocked'
        when messages.status in ('failed', 'undelivered') then 'failed'
        when stops.same_sender = 1 then 'sent by the same sender'
        else 'sent by another sender'
    end as outcome
from messages
left join stops on stops.sid = messages.sid
where messages.direction like 'outbound%' and (stops.sid is not null or messages.error_code = 21610)
