"""monitor.twilio.com. Facts: OpenAPI twilio_monitor_v1, ListAlert; docs, usage/monitor-alert."""

from tap_twilio.moments import DAY

from .model import Filter, Product, Stream, Window

MONITOR = Product("monitor", "/v1")

STREAMS = (
    Stream(
        "alerts",
        MONITOR,
        "Alerts",
        "alerts",
        reads=Window(again=2 * DAY, changed="date_updated"),
        filter=Filter("StartDate", "EndDate", "date_generated", nullable=False, reach=30 * DAY, most_rows=10_000),
    ),
)
