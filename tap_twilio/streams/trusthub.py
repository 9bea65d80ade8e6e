"""trusthub.twilio.com. Facts: OpenAPI twilio_trusthub_v1."""

from .model import Product, Stream

TRUSTHUB = Product("trusthub", "/v1")

STREAMS: tuple[Stream, ...] = ()
