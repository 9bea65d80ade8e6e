-- Rated calls by account, region of the call's media and score. Voice Insights knows the region of calls of 30 days.
select
    feedback.account_sid,
    coalesce({{ json_text('summaries.carrier_edge', ['properties', 'media_region']) }}, 'unknown') as region,
    feedback.quality_score,
    count(*) as calls
from {{ source('tap', 'call_feedback') }} as feedback
left join {{ source('tap', 'call_summaries') }} as summaries on summaries.call_sid = feedback.sid
where feedback.quality_score is not null
group by 1, 2, 3
