"""
Facts that the documents do not contain: the property that a date filter compares, how far back a list reaches, …

Each entry names its source. A filter whose property has its own name (`DateCreated>`) needs no entry.
"""

from dataclasses import dataclass
from typing import Any

from .rows import Json
from .timestamps import DAY, MINUTE, timestamp

# By which property a row is dated and sorted, whichever of them it has first.
DATED_BY = (
    "date_created", "date_generated", "event_date", "created_time", "create_time", "start_time", "start_date",
)  # fmt: skip


def inner(data: Json, column: str) -> Any:
    """
    Return a property, or a member of one.

    >>> inner({"period": {"start": "2026-03-01T00:00:00Z"}}, "period.start"), inner({"period": None}, "period.start")
    ('2026-03-01T00:00:00Z', None)
    """
    value: Any = data
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class DateRange:
    """Two parameters that bound a property; without `since`, a list may go back only so many seconds."""

    since: str
    until: str
    column: str
    with_end: bool = True
    default: int | None = None
    until_column: str = ""  # if it is another one


CREATED = "date_created"
PERIOD = DateRange("StartDate", "EndDate", "start_date", until_column="end_date")

WINDOWS: dict[str, tuple[DateRange, ...]] = {
    # The day of the rows lies between the two, both included (parameters' text, oai). For longer periods: PERIODS.
    "usage_records": (PERIOD,),
    "usage_records_period": (PERIOD,),
    "usage_records_all_time": (PERIOD,),
    "usage_records_last_month": (PERIOD,),
    "usage_records_monthly": (PERIOD,),
    "usage_records_this_month": (PERIOD,),
    "usage_records_today": (PERIOD,),
    "usage_records_yearly": (PERIOD,),
    "usage_records_yesterday": (PERIOD,),
    # Both included (parameters' text, oai).
    "alerts": (DateRange("StartDate", "EndDate", "date_generated"),),
    "monitor_events": (DateRange("StartDate", "EndDate", "event_date"),),
    # From is included and To is not (parameters' text, oai).
    "studio_executions": (DateRange("DateCreatedFrom", "DateCreatedTo", CREATED, with_end=False),),
    "studio_executions_v1": (DateRange("DateCreatedFrom", "DateCreatedTo", CREATED, with_end=False),),
    # Whole days of creation (parameters' text, oai).
    "conversations": (DateRange("StartDate", "EndDate", CREATED),),
    "default_conversations": (DateRange("StartDate", "EndDate", CREATED),),
    # Which property they compare is not said; by its name it is the one of creation.
    "notify_bindings": (DateRange("StartDate", "EndDate", CREATED),),
    "conference_summaries": (DateRange("CreatedAfter", "CreatedBefore", "create_time"),),
    # Without dates, the last day (docs, Video Log Analyzer API).
    "video_room_summaries": (DateRange("CreatedAfter", "CreatedBefore", "create_time", default=DAY),),
    "intelligence_transcripts": (
        DateRange("AfterDateCreated", "BeforeDateCreated", CREATED),
        DateRange("AfterStartTime", "BeforeStartTime", "media_start_time"),
    ),
    "verify_attempts": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED),),
    # After is included and Before is not (parameters' text, oai).
    "video_compositions": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED, with_end=False),),
    "video_composition_hooks": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED, with_end=False),),
    "video_recordings": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED, with_end=False),),
    "video_rooms": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED),),
    "video_room_participants": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED),),
    "video_room_recordings": (DateRange("DateCreatedAfter", "DateCreatedBefore", CREATED),),
    # Without dates, the last day and the last quarter of an hour (parameters' text, oai; docs taskrouter/api/event).
    "serverless_logs": (DateRange("StartDate", "EndDate", CREATED, default=DAY),),
    "taskrouter_events": (DateRange("StartDate", "EndDate", "event_date", default=15 * MINUTE),),
    # The end is not included (parameters' text, oai).
    "supersim_usage_records": (DateRange("StartTime", "EndTime", "period.start_time", with_end=False),),
    # Both included (parameters' text, oai).
    "wireless_usage_records": (DateRange("Start", "End", "period.start"),),
    "wireless_sim_usage_records": (DateRange("Start", "End", "period.start"),),
}


@dataclass(frozen=True)
class Kept:
    """For how long lists show a row: counted from a property, for all rows or for those of one status."""

    seconds: int
    column: str
    status: str = ""

    def is_over(self, data: Json, now: int) -> bool:
        """Return whether a row is no longer listed."""
        if self.status and data.get("status") != self.status:
            return False
        date = inner(data, self.column)
        return bool(date) and timestamp(date) < now - self.seconds


KEPT = {
    # docs usage/monitor-alert
    "alerts": Kept(30 * DAY, "date_generated"),
    # docs verify/api/attempts
    "verify_attempts": Kept(30 * DAY, CREATED),
    # docs, voice-insights; and Video Log Analyzer API
    "conference_summaries": Kept(30 * DAY, "create_time"),
    "video_room_summaries": Kept(7 * DAY, "create_time"),
    # docs taskrouter/api/event
    "taskrouter_events": Kept(30 * DAY, "event_date"),
    # docs serverless/api/resource/logs
    "serverless_logs": Kept(30 * DAY, "date_created"),
    # Deleted ones are listed for 40 days, for those who ask (changelog 2022-03-03).
    "recordings": Kept(40 * DAY, "date_updated", "deleted"),
    # 18 months (docs, iot/supersim/api and iot/wireless/api, UsageRecord resources).
    "supersim_usage_records": Kept(546 * DAY, "period.start_time"),
    "wireless_usage_records": Kept(546 * DAY, "period.start"),
    "wireless_sim_usage_records": Kept(546 * DAY, "period.start"),
}


@dataclass(frozen=True)
class Sums:
    """Sums from midnight to midnight, for each value of `by`, as these parameters request them."""

    since: str  # the members of `period`
    until: str
    asked: Json
    by: str = ""
    prefix: str = ""  # of its SIDs
    longest: int | None = None  # the longest span; where there is one, bounds are midnights and not too old


DAILY = {"Granularity": "daily"}
# The sandbox keeps no others. Errors 83601, 83603, 83605 (docs).
SUMS = {
    "supersim_usage_records": Sums(
        "start_time", "end_time", {"Granularity": "day", "Group": "sim"}, "sim_sid", "HS", longest=31 * DAY
    ),
    "wireless_usage_records": Sums("start", "end", DAILY),
    "wireless_sim_usage_records": Sums("start", "end", DAILY),
}

# docs usage/monitor-alert and serverless/api/resource/logs: what lies beyond is cut off without a word.
MOST_ROWS = {"alerts": 10_000, "serverless_logs": 10_000}

# Lists that show rows of a parent that is still going on, by its status (docs conference-participant-resource).
UNTIL_ENDED = {"conference_participants": ("init", "in-progress")}

# Rows of this status are listed only for a parameter that says so.
HIDDEN = {"recordings": ("IncludeSoftDeleted", "deleted")}

# What a list takes for the value of a parameter that is not sent (parameters' text, oai).
UNLESS_ASKED = {"video_rooms": ("Status", "in-progress")}

# Lists whose rows of the main account count those of its subaccounts too, unless told otherwise (oai).
SUMMED = {name for name in WINDOWS if name.startswith("usage_records")}
# Usage of months and years: so many leading characters of a day name its period. A query counts the usage of its own
# days alone, so that a period of which it asks for a part comes as a part of the sum (parameters' text, oai).
PERIODS = {"usage_records_monthly": len("2026-03"), "usage_records_yearly": len("2026")}
# Usage since the account was created: one row of each category.
TOTALS = "usage_records_all_time"
# Some of what usage is counted by (docs usage/api/usage-record, categories).
CATEGORIES = (
    "totalprice", "sms", "sms-inbound", "sms-outbound", "calls", "calls-inbound", "calls-outbound", "recordings",
    "transcriptions", "phonenumbers", "mms", "studio-engagements",
)  # fmt: skip
MORE_CATEGORIES = (
    "a2p-registration-fees", "agent-conference", "answering-machine-detection", "authy-authentications",
    "authy-monthly-fees", "authy-sms-outbound", "calleridlookups", "calls-client", "calls-globalconference",
    "calls-inbound-local", "calls-inbound-mobile", "calls-inbound-tollfree", "calls-recordings", "calls-sip",
    "calls-sip-inbound", "calls-sip-outbound", "calls-transfers", "carrier-lookups", "conversations", "cps",
    "flex-usage", "fraud-lookups", "group-rooms", "lookups",
)  # fmt: skip
