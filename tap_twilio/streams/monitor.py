"""monitor.twilio.com. Facts: OpenAPI twilio_monitor_v1, ListAlert, ListEvent; docs, usage/monitor-alert, -events."""

from tap_twilio.timestamps import DAY

from .model import Filter, LogWindow, Product, Stream

MONITOR = Product("monitor", "/v1")

STREAMS = (
    Stream(
        "alerts",
        MONITOR,
        "Alerts",
        "alerts",
        reads=LogWindow(again=2 * DAY, changed="date_updated"),
        filter=Filter("StartDate", "EndDate", "date_generated", nullable=False, reach=30 * DAY, most_rows=10_000),
    ),
    Stream(
        "monitor_events",
        MONITOR,
        "Events",
        "events",
        reads=LogWindow(again=2 * DAY),
        # Twilio returns the last 30 days, or 13 months with some editions. So the tap requests older rows too.
        filter=Filter("StartDate", "EndDate", "event_date", nullable=False),
    ),
)
