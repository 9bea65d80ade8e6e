"""Notify: notify.twilio.com. Facts: OpenAPI twilio_notify_v1, ListBinding, ListCredential, ListService."""

from .model import AllParents, Parent, Product, Stream

NOTIFY = Product("notify", "/v1")
END_OF_LIFE = "Twilio ends Notify on 2027-10-31"  # changelog, twilio-notify-end-of-life-timing-update

STREAMS = (
    Stream("notify_services", NOTIFY, "Services", "services", cost=END_OF_LIFE),
    Stream("notify_credentials", NOTIFY, "Credentials", "credentials", cost=END_OF_LIFE),
    Stream(
        "notify_bindings",
        NOTIFY,
        "Services/{service_sid}/Bindings",
        "bindings",
        parent=Parent("notify_services", {"service_sid": "sid"}, AllParents()),
        deselected_by_default=frozenset({"endpoint", "address"}),  # tokens of devices, phone numbers
        cost=f"one request for each Notify service, and for each 1,000 bindings; {END_OF_LIFE}",
    ),
)
