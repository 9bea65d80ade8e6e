"""Event Streams: events.twilio.com. Facts: OpenAPI twilio_events_v1."""

from .model import AllParents, FullRead, Parent, Product, Stream

EVENTS = Product("events", "/v1")

STREAMS = (
    Stream("event_types", EVENTS, "Types", "types", key=("type",), scope="global", tokens_name_rows=False),
    Stream(
        "event_schema_versions",
        EVENTS,
        "Schemas/{id}/Versions",
        "schema_versions",
        key=("id", "schema_version"),
        read_strategy=FullRead(),
        parent=Parent("event_types", {"id": "schema_id"}, AllParents()),
        scope="global",
        tokens_name_rows=False,
        cost="one request for each schema of event types",
    ),
    Stream(
        "event_sinks",
        EVENTS,
        "Sinks",
        "sinks",
        derived={"account_sid": "account_sid"},
        deselected_by_default=frozenset({"sink_configuration"}),  # it may hold a write key
    ),
    Stream("event_subscriptions", EVENTS, "Subscriptions", "subscriptions"),
    Stream(
        "event_subscribed_events",
        EVENTS,
        "Subscriptions/{subscription_sid}/SubscribedEvents",
        "types",
        key=("subscription_sid", "type"),
        read_strategy=FullRead(),
        parent=Parent("event_subscriptions", {"subscription_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost="one request for each subscription",
    ),
)
