-- Each messaging service with its A2P campaign, and what became of its messages to the US.
with us_messages as (

    select
        messages.messaging_service_sid,
        count(*) as messages,
        sum(case when messages.status in ('failed', 'undelivered') then 1 else 0 end) as failures,
        sum(case when messages.error_code in ({{ var('a2p_error_codes') | join(', ') }}) then 1 else 0 end) as a2p_failures,
        -sum(case when messages.error_code in ({{ var('a2p_error_codes') | join(', ') }}) then messages.price end)
            as spent_on_a2p_failures
    from {{ source('tap', 'messages') }} as messages
    inner join {{ ref('phone_countries') }} as countries on countries.address = messages.{{ adapter.quote('to') }}
    where countries.country = 'US' and messages.direction like 'outbound%' and messages.date_sent is not null
    group by 1

)

select
    services.account_sid,
    services.sid as messaging_service_sid,
    services.friendly_name as service_name,
    coalesce(campaigns.campaign_status, 'NONE') as campaign_status,
    campaigns.us_app_to_person_usecase as use_case,
    brands.status as brand_status,
    coalesce(us_messages.messages, 0) as us_messages,
    coalesce(us_messages.failures, 0) as failures,
    coalesce(us_messages.a2p_failures, 0) as a2p_failures,
    coalesce(us_messages.spent_on_a2p_failures, 0) as spent_on_a2p_failures
from {{ source('tap', 'messaging_services') }} as services
left join {{ source('tap', 'us_app_to_person') }} as campaigns on campaigns.messaging_service_sid = services.sid
left join {{ source('tap', 'brand_registrations') }} as brands on brands.sid = campaigns.brand_registration_sid
left join us_messages on us_messages.messaging_service_sid = services.sid
