-- The truth, asked of the tap's tables without a join.
with overview as (

    select
        account_id,
        sum(total_messages) as messages,
        sum(total_messages_spend) as messages_spend,
        sum(total_account_spend) as account_spend
    from {{ ref('account_overview') }}
    group by 1

),

accounts as (

    select account_sid from {{ source('tap', 'messages') }}
    union
    select account_sid from {{ source('tap', 'usage_records') }}

),

truth as (

    select
        account_sid as account_id,
        (select count(*) from {{ source('tap', 'messages') }} as m where m.account_sid = a.account_sid) as messages,
        (select -sum(price) from {{ source('tap', 'messages') }} as m where m.account_sid = a.account_sid)
            as messages_spend,
        (
            select sum(price) from {{ source('tap', 'usage_records') }} as u
            where u.account_sid = a.account_sid and category = 'totalprice'
        ) as account_spend
    from accounts as a

)

select truth.*, overview.messages as counted
from truth
left join overview on overview.account_id = truth.account_id
where
    coalesce(overview.messages, 0) <> truth.messages
    or coalesce(overview.messages_spend, 0) <> coalesce(truth.messages_spend, 0)
    or coalesce(overview.account_spend, 0) <> coalesce(truth.account_spend, 0)
