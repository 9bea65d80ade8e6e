"""Add-ons: marketplace.twilio.com. Facts: OpenAPI twilio_marketplace_v1."""

from .model import AllParents, FullRead, Parent, Product, Stream

MARKETPLACE = Product("marketplace", "/v1")

STREAMS = (
    Stream(
        "marketplace_available_add_ons",
        MARKETPLACE,
        "AvailableAddOns",
        "available_add_ons",
        read_strategy=FullRead(),
        scope="global",
    ),
    Stream(
        "marketplace_available_add_on_extensions",
        MARKETPLACE,
        "AvailableAddOns/{available_add_on_sid}/Extensions",
        "extensions",
        key=("available_add_on_sid", "sid"),
        read_strategy=FullRead(),
        parent=Parent("marketplace_available_add_ons", {"available_add_on_sid": "sid"}, AllParents()),
        scope="global",
        cost="one request for each add-on on offer, once a day",
    ),
    Stream(
        "marketplace_installed_add_ons",
        MARKETPLACE,
        "InstalledAddOns",
        "installed_add_ons",
        deselected_by_default=frozenset({"configuration"}),  # it may have a vendor's key
    ),
    Stream(
        "marketplace_installed_add_on_extensions",
        MARKETPLACE,
        "InstalledAddOns/{installed_add_on_sid}/Extensions",
        "extensions",
        key=("installed_add_on_sid", "sid"),
        read_strategy=FullRead(),
        parent=Parent("marketplace_installed_add_ons", {"installed_add_on_sid": "sid"}, AllParents()),
        derived={"account_sid": "account_sid"},
        cost="one request for each installed add-on",
    ),
)
