"""flex-api.twilio.com. Facts: OpenAPI twilio_flex_v1."""

from .model import Product, Stream

FLEX = Product("flex-api", "/v1")

STREAMS: tuple[Stream, ...] = ()
