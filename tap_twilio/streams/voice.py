"""Voice settings: voice.twilio.com. Facts: OpenAPI twilio_voice_v1."""

from .model import AllParents, FullRead, Parent, Product, Stream

VOICE = Product("voice", "/v1")

STREAMS = (
    Stream("voice_byoc_trunks", VOICE, "ByocTrunks", "byoc_trunks"),
    Stream("voice_connection_policies", VOICE, "ConnectionPolicies", "connection_policies"),
    Stream(
        "voice_connection_policy_targets",
        VOICE,
        "ConnectionPolicies/{connection_policy_sid}/Targets",
        "targets",
        parent=Parent("voice_connection_policies", {"connection_policy_sid": "sid"}, AllParents()),
        cost="one request for each connection policy",
    ),
    Stream("voice_ip_records", VOICE, "IpRecords", "ip_records"),
    Stream(
        "voice_source_ip_mappings",
        VOICE,
        "SourceIpMappings",
        "source_ip_mappings",
        derived={"account_sid": "account_sid"},
    ),
    Stream(
        "voice_dialing_permission_countries",
        VOICE,
        "DialingPermissions/Countries",
        "content",
        key=("account_sid", "iso_code"),
        read_strategy=FullRead(),
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,  # a page token is a country
    ),
    Stream(
        "voice_dialing_permission_high_risk_prefixes",
        VOICE,
        "DialingPermissions/Countries/{iso_code}/HighRiskSpecialPrefixes",
        "content",
        # Rows have no account, but the countries are read in each account.
        key=("account_sid", "iso_code", "prefix"),
        read_strategy=FullRead(),
        # Prefixes change without a change of the country, and exist for countries that may not be called too.
        parent=Parent("voice_dialing_permission_countries", {"iso_code": "iso_code"}, AllParents()),
        derived={"account_sid": "account_sid", "iso_code": "iso_code"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost="one request for each country, of which there are more than 200, and account",
    ),
    Stream(
        "voice_dialing_permission_settings",
        VOICE,
        "Settings",
        rows=None,
        key=("account_sid",),
        read_strategy=FullRead(),
        derived={"account_sid": "account_sid"},
        has_item_endpoint=False,
    ),
)
