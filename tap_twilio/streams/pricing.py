"""pricing.twilio.com. Facts: OpenAPI twilio_pricing_v1 and _v2, List*Country."""

from .model import Product, Stream, Whole

PRICING = Product("pricing", "/v2", own_credentials=False)
PRICING_V1 = Product("pricing", "/v1", own_credentials=False)  # the only version of messages and phone numbers

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
)
