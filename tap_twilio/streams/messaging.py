"""Messaging services: messaging.twilio.com. Facts: OpenAPI twilio_messaging_v1, ListService*, ListBrand*."""

from .model import AllParents, Parent, Product, Stream

MESSAGING = Product("messaging", "/v1")
SERVICE = Parent("messaging_services", {"service_sid": "sid"}, AllParents())
# A sender, such as a number, can move to another service.
SENDER_KEY = ("service_sid", "sid")
EACH_SERVICE = "one request for each messaging service"

STREAMS = (
    Stream("messaging_services", MESSAGING, "Services", "services"),
    Stream(
        "messaging_service_alpha_senders",
        MESSAGING,
        "Services/{service_sid}/AlphaSenders",
        "alpha_senders",
        key=SENDER_KEY,
        parent=SERVICE,
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_channel_senders",
        MESSAGING,
        "Services/{messaging_service_sid}/ChannelSenders",
        "senders",
        key=("messaging_service_sid", "sid"),
        parent=Parent("messaging_services", {"messaging_service_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_destination_alpha_senders",
        MESSAGING,
        "Services/{service_sid}/DestinationAlphaSenders",
        "alpha_senders",
        key=SENDER_KEY,
        parent=SERVICE,
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_phone_numbers",
        MESSAGING,
        "Services/{service_sid}/PhoneNumbers",
        "phone_numbers",
        key=SENDER_KEY,
        parent=SERVICE,
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "messaging_service_short_codes",
        MESSAGING,
        "Services/{service_sid}/ShortCodes",
        "short_codes",
        key=SENDER_KEY,
        parent=SERVICE,
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream(
        "us_app_to_person",
        MESSAGING,
        "Services/{messaging_service_sid}/Compliance/Usa2p",
        "compliance",
        # Every row has the same sid, so only a service and a sid identify a row (OpenAPI, FetchUsAppToPerson). The
        # campaign_id cannot be a key, because it can be null.
        key=("messaging_service_sid", "sid"),
        # Every service is visited, since us_app_to_person_registered may be false after a campaign failed.
        parent=Parent("messaging_services", {"messaging_service_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=EACH_SERVICE,
    ),
    Stream("brand_registrations", MESSAGING, "a2p/BrandRegistrations", "data"),
    Stream(
        "brand_vettings",
        MESSAGING,
        "a2p/BrandRegistrations/{brand_sid}/Vettings",
        "data",
        key=("brand_sid", "brand_vetting_sid"),
        # A vetting may leave its brand's date_updated unchanged, so every sync visits every brand.
        parent=Parent("brand_registrations", {"brand_sid": "sid"}, AllParents()),
        deselected_by_default=frozenset(
            {"vetting_id"}
        ),  # Campaign Verify's ID is a token (OpenAPI, example of ListBrandVetting)
        tokens_name_rows=False,
        cost="one request for each brand registration",
    ),
    Stream(
        "tollfree_verifications",
        MESSAGING,
        "Tollfree/Verifications",
        "verifications",
        # Twilio's default is not documented. The tap reads the rows of each subaccount in that subaccount.
        query={"IncludeSubAccounts": "false"},
        deselected_by_default=frozenset({"vetting_id"}),  # it may be the token of Campaign Verify
    ),
)
