"""verify.twilio.com. Facts: OpenAPI twilio_verify_v2."""

from .model import Product, Stream

VERIFY = Product("verify", "/v2")

STREAMS: tuple[Stream, ...] = ()
