"""pricing.twilio.com. Facts: OpenAPI twilio_pricing_v1 and _v2, List*Country, Fetch*Country."""

from .model import Every, Parent, Product, Stream, Whole

PRICING = Product("pricing", "/v2", own_credentials=False)
PRICING_V1 = Product("pricing", "/v1", own_credentials=False)  # the only version of messages and phone numbers
COST = "one request for each country, of which there are some 60 to 250"


def prices(kind: str, product: Product, path: str) -> Stream:
    """The list of countries names no prices: they stand in each country's own answer."""
    return Stream(
        f"pricing_{kind}_prices",
        product,
        path,
        None,
        key=("iso_country",),
        reads=Whole(),
        parent=Parent(f"pricing_{kind}_countries", {"iso_country": "iso_country"}, Every()),
        scope="twilio",
        fetch=False,
        cost=COST,
    )


STREAMS = (
    Stream(
        "pricing_messaging_countries",
        PRICING_V1,
        "Messaging/Countries",
        "countries",
        key=("iso_country",),
        reads=Whole(),
        scope="twilio",
        token_names_row=False,  # its tokens hold a country
    ),
    Stream(
        "pricing_phone_number_countries",
        PRICING_V1,
        "PhoneNumbers/Countries",
        "countries",
        key=("iso_country",),
        reads=Whole(),
        scope="twilio",
        token_names_row=False,
    ),
    Stream(
        "pricing_trunking_countries",
        PRICING,
        "Trunking/Countries",
        "countries",
        key=("iso_country",),
        reads=Whole(),
        scope="twilio",
        token_names_row=False,
    ),
    Stream(
        "pricing_voice_countries",
        PRICING,
        "Voice/Countries",
        "countries",
        key=("iso_country",),
        reads=Whole(),
        scope="twilio",
        token_names_row=False,
    ),
    prices("messaging", PRICING_V1, "Messaging/Countries/{iso_country}"),
    prices("phone_number", PRICING_V1, "PhoneNumbers/Countries/{iso_country}"),
    prices("trunking", PRICING, "Trunking/Countries/{iso_country}"),
    prices("voice", PRICING, "Voice/Countries/{iso_country}"),
)
