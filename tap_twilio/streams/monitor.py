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
        # It answers 30 days back, or 13 months for accounts with an edition that has it: so what is older is asked too.
        filter=Filter("StartDate", "EndDate", "event_date", nullable=False),
    ),
)
