"""Proxy: proxy.twilio.com. Facts: OpenAPI twilio_proxy_v1."""

from .model import AllParents, Condition, OpenParents, Parent, Product, Stream

# The description of the lists says 100 rows a page, the description of PageSize 1,000 (OpenAPI, ListSession).
PROXY = Product("proxy", "/v1", page_size=100)
# A new participant or interaction may leave the session's date_updated unchanged, so every sync visits the
# open sessions.
OPEN_SESSIONS = OpenParents(open_if=Condition("status", one_of=("open", "in-progress", "unknown")))
IN_SESSION = Parent("proxy_sessions", {"service_sid": "service_sid", "session_sid": "sid"}, OPEN_SESSIONS)
NO_NEW_CUSTOMERS = "Twilio takes no new customers for Proxy"  # docs, proxy/proxy-changelog

STREAMS = (
    Stream("proxy_services", PROXY, "Services", "services", cost=NO_NEW_CUSTOMERS),
    Stream(
        "proxy_phone_numbers",
        PROXY,
        "Services/{service_sid}/PhoneNumbers",
        "phone_numbers",
        key=("service_sid", "sid"),  # sid identifies the number, which can move to another service
        parent=Parent("proxy_services", {"service_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=f"one request for each Proxy service; {NO_NEW_CUSTOMERS}",
    ),
    Stream(
        "proxy_sessions",
        PROXY,
        "Services/{service_sid}/Sessions",
        "sessions",
        parent=Parent("proxy_services", {"service_sid": "sid"}, AllParents()),
        cost=f"one request for each Proxy service, and for each 100 sessions; {NO_NEW_CUSTOMERS}",
    ),
    Stream(
        "proxy_participants",
        PROXY,
        "Services/{service_sid}/Sessions/{session_sid}/Participants",
        "participants",
        parent=IN_SESSION,
        cost=f"one request for each open session, and for each that ended; {NO_NEW_CUSTOMERS}",
    ),
    Stream(
        "proxy_interactions",
        PROXY,
        "Services/{service_sid}/Sessions/{session_sid}/Interactions",
        "interactions",
        parent=IN_SESSION,
        cost=f"one request for each open session, and for each that ended; {NO_NEW_CUSTOMERS}",
    ),
)
