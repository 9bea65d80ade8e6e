"""Pricing: pricing.twilio.com. Facts: OpenAPI twilio_pricing_v1 and _v2, List*Country, Fetch*Country."""

from .model import AllParents, FullRead, Parent, Product, Stream

PRICING = Product("pricing", "/v2", own_credentials=False)
PRICING_V1 = Product("pricing", "/v1", own_credentials=False)  # the only version with messages and phone numbers
EACH_COUNTRY = "one request for each country, of which there are some 60 to 250"


def _country_streams(kind: str, product: Product, path: str) -> tuple[Stream, Stream]:
    """Declare two streams: the list of countries, without prices, and the prices of each country."""
    listed = Stream(
        f"pricing_{kind}_countries",
        product,
        f"{path}/Countries",
        "countries",
        key=("iso_country",),
        read_strategy=FullRead(),
        scope="global",
        tokens_name_rows=False,  # a page token is a country
    )
    prices = Stream(
        f"pricing_{kind}_prices",
        product,
        f"{path}/Countries/{{iso_country}}",
        rows=None,
        key=("iso_country",),
        read_strategy=FullRead(),
        parent=Parent(listed.name, {"iso_country": "iso_country"}, AllParents()),
        scope="global",
        has_item_endpoint=False,
        cost=EACH_COUNTRY,
    )
    return listed, prices


STREAMS = (
    *_country_streams("messaging", PRICING_V1, "Messaging"),
    *_country_streams("phone_number", PRICING_V1, "PhoneNumbers"),
    *_country_streams("trunking", PRICING, "Trunking"),
    *_country_streams("voice", PRICING, "Voice"),
)
