-- Conferences by account and day of their start (UTC), and their minutes: of the rooms, and of all who took part.
-- Voice Insights keeps a conference for 30 days; the tables keep what was loaded in that time.
with participants as (

    select conference_sid, count(*) as participants, sum(duration_seconds) / 60.0 as minutes
    from {{ source('tap', 'conference_participant_summaries') }}
    group by 1

)

select
    conferences.account_sid,
    cast(conferences.date_created as date) as date_day,
    count(*) as conferences,
    sum(case when summaries.conference_sid is null then 1 else 0 end) as conferences_without_summary,
    coalesce(sum(summaries.duration_seconds), 0) / 60.0 as room_minutes,
    coalesce(sum(participants.participants), 0) as participants,
    coalesce(sum(participants.minutes), 0) as participant_minutes
from {{ source('tap', 'conferences') }} as conferences
left join {{ source('tap', 'conference_summaries') }} as summaries on summaries.conference_sid = conferences.sid
left join participants on participants.conference_sid = conferences.sid
group by 1, 2
