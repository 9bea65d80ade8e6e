"""Elastic SIP Trunking: trunking.twilio.com. Facts: OpenAPI twilio_trunking_v1."""

from .model import AllParents, Parent, Product, Stream

TRUNKING = Product("trunking", "/v1")
TRUNK = Parent("trunks", {"trunk_sid": "sid"}, AllParents())

STREAMS = (
    Stream("trunks", TRUNKING, "Trunks", "trunks"),
    Stream(
        "trunk_origination_urls",
        TRUNKING,
        "Trunks/{trunk_sid}/OriginationUrls",
        "origination_urls",
        parent=TRUNK,
        cost="one request for each trunk",
    ),
    Stream(
        "trunk_credential_lists",
        TRUNKING,
        "Trunks/{trunk_sid}/CredentialLists",
        "credential_lists",
        key=("trunk_sid", "sid"),  # sid identifies the list, and several trunks can share a list
        parent=TRUNK,
        tokens_name_rows=False,
        cost="one request for each trunk",
    ),
    Stream(
        "trunk_ip_access_control_lists",
        TRUNKING,
        "Trunks/{trunk_sid}/IpAccessControlLists",
        "ip_access_control_lists",
        key=("trunk_sid", "sid"),  # sid identifies the list, and several trunks can share a list
        parent=TRUNK,
        tokens_name_rows=False,
        cost="one request for each trunk",
    ),
)
