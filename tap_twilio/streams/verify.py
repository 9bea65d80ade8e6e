"""Verify: verify.twilio.com. Facts: OpenAPI twilio_verify_v2; docs, verify/api/attempts."""

from tap_twilio.timestamps import DAY

from .model import AllParents, Filter, FullRead, Parent, Product, Stream

VERIFY = Product("verify", "/v2")
SERVICE = Parent("verify_services", {"service_sid": "sid"}, AllParents())
# A factor or challenge may leave its entity's date_updated unchanged, so every sync visits every entity.
ENTITY = Parent("verify_entities", {"service_sid": "service_sid", "identity": "identity"}, AllParents())

STREAMS = (
    Stream("verify_services", VERIFY, "Services", "services"),
    Stream(
        "verify_attempts",
        VERIFY,
        "Attempts",
        "attempts",
        # Twilio adds the conversion and the price of an attempt later.
        filter=Filter("DateCreatedAfter", "DateCreatedBefore", "date_created", nullable=False, max_age=30 * DAY),
        cost="Twilio answers 100 requests a minute, and lists the last 30 days",
    ),
    Stream("verify_templates", VERIFY, "Templates", "templates", read_strategy=FullRead(), has_item_endpoint=False),
    Stream(
        "verify_messaging_configurations",
        VERIFY,
        "Services/{service_sid}/MessagingConfigurations",
        "messaging_configurations",
        key=("service_sid", "country"),
        parent=SERVICE,
        tokens_name_rows=False,
        cost="one request for each Verify service",
    ),
    Stream(
        "verify_rate_limits",
        VERIFY,
        "Services/{service_sid}/RateLimits",
        "rate_limits",
        parent=SERVICE,
        cost="one request for each Verify service",
    ),
    Stream(
        "verify_rate_limit_buckets",
        VERIFY,
        "Services/{service_sid}/RateLimits/{rate_limit_sid}/Buckets",
        "buckets",
        parent=Parent("verify_rate_limits", {"service_sid": "service_sid", "rate_limit_sid": "sid"}, AllParents()),
        cost="one request for each rate limit",
    ),
    Stream(
        "verify_webhooks",
        VERIFY,
        "Services/{service_sid}/Webhooks",
        "webhooks",
        parent=SERVICE,
        cost="one request for each Verify service",
    ),
    Stream(
        "verify_entities",
        VERIFY,
        "Services/{service_sid}/Entities",
        "entities",
        key=("service_sid", "identity"),  # the paths of factors and challenges have the identity
        parent=SERVICE,
        tokens_name_rows=False,
        cost="one request for each Verify service, and for each 1,000 entities",
    ),
    Stream(
        "verify_factors",
        VERIFY,
        "Services/{service_sid}/Entities/{identity}/Factors",
        "factors",
        parent=ENTITY,
        deselected_by_default=frozenset({"config"}),  # has the notification token of a push factor
        cost="one request for each entity, which is a user of yours",
    ),
    Stream(
        "verify_challenges",
        VERIFY,
        "Services/{service_sid}/Entities/{identity}/Challenges",
        "challenges",
        parent=ENTITY,
        deselected_by_default=frozenset({"hidden_details"}),
        cost="one request for each entity, which is a user of yours",
    ),
)
