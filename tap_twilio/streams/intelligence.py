"""intelligence.twilio.com. Facts: OpenAPI twilio_intelligence_v2."""

from .model import Product, Stream

INTELLIGENCE = Product("intelligence", "/v2")

STREAMS: tuple[Stream, ...] = ()
