"""Voice and Video Insights: insights.twilio.com. Facts: OpenAPI twilio_insights_v1; docs, voice-insights and video."""

from dataclasses import replace

from tap_twilio.timestamps import DAY

from .model import Condition, Filter, FullRead, LogWindow, Parent, Product, ScoreList, Stream

INSIGHTS = Product("insights", "/v1")
# Final statuses of calls (docs, Call resource).
ENDED_CALL = Condition("status", one_of=("completed", "busy", "failed", "no-answer", "canceled"))
FINISHED = Condition("processing_state", one_of=("complete", "timeout"))
CALL = Parent("calls", {"call_sid": "sid"}, where=ENDED_CALL, max_age=30 * DAY)
EACH_CALL = "one request for each call that ended, within 30 days; needs Voice Insights Advanced Features"
SUMMARIES = Stream(
    "call_summaries",
    INSIGHTS,
    "Voice/Summaries",
    "call_summaries",
    key=("call_sid",),
    # A summary is final half an hour after the call. Its annotation can change for 30 days.
    read_strategy=LogWindow(lookback=30 * DAY),
    # Without dates, Twilio lists the last four hours.
    filter=Filter("StartTime", "EndTime", "start_time", nullable=False, max_age=30 * DAY),
    # Twilio's default for ProcessingState is not documented.
    query={"ProcessingState": "all", "SortBy": "start_time"},
    has_item_endpoint=False,
    tokens_name_rows=False,
    cost="needs Voice Insights Advanced Features; the last 30 days are read by every sync",
)

CALL_SCORE_LIST = ScoreList(
    replace(SUMMARIES, product=replace(INSIGHTS, own_credentials=False)),
    product_name="Voice Insights",
    score_param="CallScoreAnnotation",
    scores=(1, 2, 3, 4, 5),
    subaccount_param="Subaccount",
    item_path="Voice/{call_sid}/Annotation",
    rating_member="annotation",
    score_column="call_score",
    columns={
        "quality_score": "call_score",
        "issues": "quality_issues",
        "comment": "comment",
        "spam": "spam",
        "incident": "incident",
        "connectivity_issue": "connectivity_issue",
        "answered_by": "answered_by",
    },
)

STREAMS = (
    SUMMARIES,
    Stream(
        "call_insights_events",
        INSIGHTS,
        "Voice/{call_sid}/Events",
        "events",
        key=("call_sid", "position"),  # two events may be equal (OpenAPI, examples of ListEvent)
        read_strategy=FullRead(),
        parent=CALL,
        derived={"position": "#"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=EACH_CALL,
    ),
    Stream(
        "call_insights_metrics",
        INSIGHTS,
        "Voice/{call_sid}/Metrics",
        "metrics",
        key=("call_sid", "position"),  # no document says that time, edge and direction are unique
        read_strategy=FullRead(),
        parent=CALL,
        derived={"position": "#"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=EACH_CALL,
    ),
    Stream(
        "conference_summaries",
        INSIGHTS,
        "Conferences",
        "conferences",
        key=("conference_sid",),
        # A summary is final half an hour after the conference, or 24 hours after a conference without an end (OpenAPI).
        read_strategy=LogWindow(lookback=2 * DAY),
        filter=Filter("CreatedAfter", "CreatedBefore", "create_time", nullable=False, max_age=30 * DAY),
        tokens_name_rows=False,
        cost="needs Voice Insights Advanced Features; the last two days are read by every sync",
    ),
    Stream(
        "conference_participant_summaries",
        INSIGHTS,
        "Conferences/{conference_sid}/Participants",
        "participants",
        key=("conference_sid", "participant_sid"),
        read_strategy=FullRead(),
        parent=Parent("conference_summaries", {"conference_sid": "conference_sid"}, where=FINISHED),
        tokens_name_rows=False,
        cost="one request for each conference that ended or changed; needs Voice Insights Advanced Features",
    ),
    Stream(
        "video_room_summaries",
        INSIGHTS,
        "Video/Rooms",
        "rooms",
        key=("room_sid",),
        # A summary is final half an hour after the room ended (docs, Video Log Analyzer API).
        read_strategy=LogWindow(lookback=2 * DAY),
        # Without dates, Twilio lists the last day. It keeps seven days (docs, Video Log Analyzer API).
        filter=Filter("CreatedAfter", "CreatedBefore", "create_time", nullable=False, max_age=7 * DAY),
        tokens_name_rows=False,
        cost="the last two days are read by every sync; Twilio keeps seven",
    ),
    Stream(
        "video_participant_summaries",
        INSIGHTS,
        "Video/Rooms/{room_sid}/Participants",
        "participants",
        key=("room_sid", "participant_sid"),
        read_strategy=FullRead(),
        parent=Parent("video_room_summaries", {"room_sid": "room_sid"}, where=FINISHED),
        tokens_name_rows=False,
        cost="one request for each video room that ended or changed",
    ),
    Stream(
        "voice_insights_settings",
        INSIGHTS,
        "Voice/Settings",
        rows=None,
        key=("account_sid",),
        read_strategy=FullRead(),
        has_item_endpoint=False,
    ),
)
