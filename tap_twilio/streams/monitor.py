"""Monitor: monitor.twilio.com. Facts: OpenAPI twilio_monitor_v1, ListAlert, ListEvent; docs, usage/monitor-*."""

from tap_twilio.timestamps import DAY

from .model import Filter, LogWindow, Product, Stream

MONITOR = Product("monitor", "/v1")

STREAMS = (
    Stream(
        "alerts",
        MONITOR,
        "Alerts",
        "alerts",
        read_strategy=LogWindow(lookback=2 * DAY, replication_key="date_updated"),
        filter=Filter("StartDate", "EndDate", "date_generated", nullable=False, max_age=30 * DAY, max_rows=10_000),
    ),
    Stream(
        "monitor_events",
        MONITOR,
        "Events",
        "events",
        read_strategy=LogWindow(lookback=2 * DAY),
        # Twilio keeps 30 days, or 13 months in some editions, so the filter has no max_age.
        filter=Filter("StartDate", "EndDate", "event_date", nullable=False),
    ),
)
