"""trunking.twilio.com. Facts: OpenAPI twilio_trunking_v1."""

from .model import Product, Stream

TRUNKING = Product("trunking", "/v1")

STREAMS: tuple[Stream, ...] = ()
