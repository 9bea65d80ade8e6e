"""numbers.twilio.com. Facts: OpenAPI twilio_numbers_v2."""

from .model import Product, Stream

NUMBERS = Product("numbers", "/v2")

STREAMS: tuple[Stream, ...] = ()
