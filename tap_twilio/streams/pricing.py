"""pricing.twilio.com. Facts: OpenAPI twilio_pricing_v2, ListVoiceCountry."""

from .model import Product, Stream, Whole

PRICING = Product("pricing", "/v2", own_credentials=False)

STREAMS = (
    Stream(
        "pricing_voice_countries",
        PRICING,
        "Voice/Countries",
        "countries",
        key=("iso_country",),
        reads=Whole(),
        scope="twilio",
        token_names_row=False,  # its tokens hold a country
    ),
)
