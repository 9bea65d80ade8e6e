"""insights.twilio.com: Voice Insights. Facts: OpenAPI twilio_insights_v1, ListCallSummaries; docs, voice-insights."""

from tap_twilio.moments import DAY

from .model import Filter, Product, Scores, Stream, Window

INSIGHTS = Product("insights", "/v1")
# Both bounds are always sent, since they default to the last four hours.
BEGAN = Filter("StartTime", "EndTime", "start_time", nullable=False, reach=30 * DAY)
# The default of the processing state is not documented.
ALL = {"ProcessingState": "all", "SortBy": "start_time"}

CALL_SCORES = Scores(
    INSIGHTS,
    "Voice/Summaries",
    "call_summaries",
    key="call_sid",
    parameter="CallScoreAnnotation",
    scores=(1, 2, 3, 4, 5),
    filter=BEGAN,
    fixed=ALL,
    subaccount="Subaccount",
    one="Voice/{call_sid}/Annotation",
    holds="annotation",
    score="call_score",
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
    Stream(
        "call_summaries",
        INSIGHTS,
        "Voice/Summaries",
        "call_summaries",
        key=("call_sid",),
        # A summary settles half an hour after the call, and its annotation 30 days after it.
        reads=Window(again=30 * DAY),
        filter=BEGAN,
        fixed=ALL,
        fetch=False,
        token_names_row=False,
        cost="needs Voice Insights Advanced Features; the last 30 days are read by every sync",
    ),
)
