"""serverless.twilio.com. Facts: OpenAPI twilio_serverless_v1."""

from .model import Product, Stream

SERVERLESS = Product("serverless", "/v1")

STREAMS: tuple[Stream, ...] = ()
