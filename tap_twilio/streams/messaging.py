"""messaging.twilio.com. Facts: OpenAPI twilio_messaging_v1, ListService and lists below, ListBrand*, ListTollfree*."""

from .model import AllParents, Parent, Product, Stream

MESSAGING = Product("messaging", "/v1")
SERVICE = Parent("messaging_services", {"service_sid": "sid"}, AllParents())
# A resource of a service, such as a number, can move to another service.
MEMBER = ("service_sid", "sid")
EACH_SERVICE = "one request for each messaging service"

STREAMS = (
    Stream("messaging_services", MESSAGING, "Services", "services"),
    Stream(
        "messaging_service_alpha_senders",
        MESSAGING,
        "Services/{service_sid}/AlphaSenders",
        "alpha_senders",
        key=MEMBER,
        parent=SERVICE,
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_channel_senders",
        MESSAGING,
        "Services/{messaging_service_sid}/ChannelSenders",
        "senders",
        key=("messaging_service_sid", "sid"),
        parent=Parent("messaging_services", {"messaging_service_sid": "sid"}, AllParents()),
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_destination_alpha_senders",
        MESSAGING,
        "Services/{service_sid}/DestinationAlphaSenders",
        "alpha_senders",
        key=MEMBER,
        parent=SERVICE,
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_phone_numbers",
        MESSAGING,
        "Services/{service_sid}/PhoneNumbers",
        "phone_numbers",
        key=MEMBER,
        parent=SERVICE,
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_short_codes",
        MESSAGING,
        "Services/{service_sid}/ShortCodes",
        "short_codes",
        key=MEMBER,
        parent=SERVICE,
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "us_app_to_person",
        MESSAGING,
        "Services/{messaging_service_sid}/Compliance/Usa2p",
        "compliance",
        # Its sid is a constant, unique within its service only (OpenAPI, FetchUsAppToPerson).
        # campaign_id can be null, so it is no key.
        key=("messaging_service_sid", "sid"),
        # All services are visited: us_app_to_person_registered may be false after a failed campaign (not established).
        parent=Parent("messaging_services", {"messaging_service_sid": "sid"}, AllParents()),
        resumable=False,
        cost=EACH_SERVICE,
    ),
    Stream("brand_registrations", MESSAGING, "a2p/BrandRegistrations", "data"),
    Stream(
        "brand_vettings",
        MESSAGING,
        "a2p/BrandRegistrations/{brand_sid}/Vettings",
        "data",
        key=("brand_sid", "brand_vetting_sid"),
        # A vetting may not change its brand's date_updated (not established).
        parent=Parent("brand_registrations", {"brand_sid": "sid"}, AllParents()),
        deselected_by_default=frozenset(
            {"vetting_id"}
        ),  # Campaign Verify's is a token (OpenAPI, example of ListBrandVetting)
        resumable=False,
        cost="one request for each brand registration",
    ),
    Stream(
        "tollfree_verifications",
        MESSAGING,
        "Tollfree/Verifications",
        "verifications",
        # Its default is not documented. The rows of subaccounts come with the subaccounts.
        query={"IncludeSubAccounts": "false"},
        deselected_by_default=frozenset({"vetting_id"}),  # of Campaign Verify too
    ),
)
