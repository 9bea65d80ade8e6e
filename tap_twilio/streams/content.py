"""content.twilio.com. Facts: OpenAPI twilio_content_v1."""

from .model import Product, Stream

CONTENT = Product("content", "/v1")

STREAMS: tuple[Stream, ...] = ()
