"""insights.twilio.com: Voice Insights. Facts: OpenAPI twilio_insights_v1, ListCallSummaries; docs, voice-insights."""

from dataclasses import replace

from tap_twilio.moments import DAY

from .model import Filter, Product, Scores, Stream, Window

INSIGHTS = Product("insights", "/v1")
SUMMARIES = Stream(
    "call_summaries",
    INSIGHTS,
    "Voice/Summaries",
    "call_summaries",
    key=("call_sid",),
    # A summary settles half an hour after the call, and its annotation 30 days after it.
    reads=Window(again=30 * DAY),
    # Both bounds are always sent, since they default to the last four hours.
    filter=Filter("StartTime", "EndTime", "start_time", nullable=False, reach=30 * DAY),
    # The default of the processing state is not documented.
    fixed={"ProcessingState": "all", "SortBy": "start_time"},
    fetch=False,
    token_names_row=False,
    cost="needs Voice Insights Advanced Features; the last 30 days are read by every sync",
)

CALL_SCORES = Scores(
    replace(SUMMARIES, product=replace(INSIGHTS, own_credentials=False)),
    called="Voice Insights",
    parameter="CallScoreAnnotation",
    scores=(1, 2, 3, 4, 5),
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

STREAMS = (SUMMARIES,)
