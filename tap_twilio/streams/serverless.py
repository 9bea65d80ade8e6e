"""Functions and Assets: serverless.twilio.com. Facts: OpenAPI twilio_serverless_v1; docs, serverless/api."""

from tap_twilio.timestamps import DAY

from .model import AllParents, Filter, FullRead, LogWindow, Parent, Product, Stream

SERVERLESS = Product("serverless", "/v1")
# A child may leave the date of its parent unchanged, so every sync visits every parent.
BY_SERVICE = Parent("serverless_services", {"service_sid": "sid"}, AllParents())
ENVIRONMENT = {"service_sid": "service_sid", "environment_sid": "sid"}
BY_ENVIRONMENT = Parent("serverless_environments", ENVIRONMENT, AllParents())
EACH_SERVICE, EACH_ENVIRONMENT = "one request for each Functions service", "one request for each environment"

STREAMS = (
    Stream("serverless_services", SERVERLESS, "Services", "services"),
    Stream(
        "serverless_assets",
        SERVERLESS,
        "Services/{service_sid}/Assets",
        "assets",
        parent=BY_SERVICE,
        cost=EACH_SERVICE,
    ),
    Stream(
        "serverless_asset_versions",
        SERVERLESS,
        "Services/{service_sid}/Assets/{asset_sid}/Versions",
        "asset_versions",
        read_strategy=FullRead(),
        parent=Parent("serverless_assets", {"service_sid": "service_sid", "asset_sid": "sid"}, AllParents()),
        cost="one request for each asset",
    ),
    Stream(
        "serverless_functions",
        SERVERLESS,
        "Services/{service_sid}/Functions",
        "functions",
        parent=BY_SERVICE,
        cost=EACH_SERVICE,
    ),
    Stream(
        "serverless_function_versions",
        SERVERLESS,
        "Services/{service_sid}/Functions/{function_sid}/Versions",
        "function_versions",
        read_strategy=FullRead(),
        parent=Parent("serverless_functions", {"service_sid": "service_sid", "function_sid": "sid"}, AllParents()),
        cost="one request for each function",
    ),
    Stream(
        "serverless_builds",
        SERVERLESS,
        "Services/{service_sid}/Builds",
        "builds",
        parent=BY_SERVICE,
        cost=EACH_SERVICE,
    ),
    Stream(
        "serverless_environments",
        SERVERLESS,
        "Services/{service_sid}/Environments",
        "environments",
        parent=BY_SERVICE,
        cost=EACH_SERVICE,
    ),
    Stream(
        "serverless_deployments",
        SERVERLESS,
        "Services/{service_sid}/Environments/{environment_sid}/Deployments",
        "deployments",
        parent=BY_ENVIRONMENT,
        cost=EACH_ENVIRONMENT,
    ),
    Stream(
        "serverless_variables",
        SERVERLESS,
        "Services/{service_sid}/Environments/{environment_sid}/Variables",
        "variables",
        parent=BY_ENVIRONMENT,
        deselected_by_default=frozenset({"value"}),  # it may be a secret, in plain text
        cost=EACH_ENVIRONMENT,
    ),
    Stream(
        "serverless_logs",
        SERVERLESS,
        "Services/{service_sid}/Environments/{environment_sid}/Logs",
        "logs",
        read_strategy=LogWindow(lookback=DAY),
        # Without dates, Twilio lists the last day. It keeps 30 days, and returns 10,000 rows for a query (docs,
        # serverless/api/resource/logs).
        filter=Filter("StartDate", "EndDate", "date_created", nullable=False, max_age=30 * DAY, max_rows=10_000),
        parent=BY_ENVIRONMENT,
        cost=f"{EACH_ENVIRONMENT}, and more for each 1,000 lines; Twilio takes 5 a second, and keeps 30 days",
    ),
)
