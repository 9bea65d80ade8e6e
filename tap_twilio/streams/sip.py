"""SIP: api.twilio.com, version 2010-04-01. Facts: OpenAPI twilio_api_v2010, operations ListSip*."""

from .api import API
from .model import AllParents, Parent, Stream


def _domain_lists(name: str, path: str, rows: str, *, has_domain_sid: bool) -> Stream:
    """Declare the lists that each domain uses. `sid` identifies the list, and several domains can share a list."""
    return Stream(
        name,
        API,
        f"SIP/Domains/{{domain_sid}}/{path}",
        rows,
        key=("domain_sid", "sid"),
        parent=Parent("sip_domains", {"domain_sid": "sid"}, AllParents()),
        derived={} if has_domain_sid else {"domain_sid": "domain_sid"},
        tokens_name_rows=False,
        cost="one request for each SIP domain",
    )


STREAMS = (
    Stream("sip_domains", API, "SIP/Domains", "domains"),
    _domain_lists(
        "sip_domain_auth_calls_credential_list_mappings",
        "Auth/Calls/CredentialListMappings",
        "contents",
        has_domain_sid=False,
    ),
    _domain_lists(
        "sip_domain_auth_calls_ip_access_control_list_mappings",
        "Auth/Calls/IpAccessControlListMappings",
        "contents",
        has_domain_sid=False,
    ),
    _domain_lists(
        "sip_domain_auth_registrations_credential_list_mappings",
        "Auth/Registrations/CredentialListMappings",
        "contents",
        has_domain_sid=False,
    ),
    _domain_lists(
        "sip_domain_credential_list_mappings",
        "CredentialListMappings",
        "credential_list_mappings",
        has_domain_sid=True,
    ),
    _domain_lists(
        "sip_domain_ip_access_control_list_mappings",
        "IpAccessControlListMappings",
        "ip_access_control_list_mappings",
        has_domain_sid=True,
    ),
    Stream("sip_credential_lists", API, "SIP/CredentialLists", "credential_lists"),
    Stream(
        "sip_credentials",
        API,
        "SIP/CredentialLists/{credential_list_sid}/Credentials",
        "credentials",
        parent=Parent("sip_credential_lists", {"credential_list_sid": "sid"}, AllParents()),
        cost="one request for each credential list",
    ),
    Stream("sip_ip_access_control_lists", API, "SIP/IpAccessControlLists", "ip_access_control_lists"),
    Stream(
        "sip_ip_addresses",
        API,
        "SIP/IpAccessControlLists/{ip_access_control_list_sid}/IpAddresses",
        "ip_addresses",
        parent=Parent("sip_ip_access_control_lists", {"ip_access_control_list_sid": "sid"}, AllParents()),
        cost="one request for each list of IP addresses",
    ),
)
