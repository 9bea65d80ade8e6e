"""wireless.twilio.com. Facts: OpenAPI twilio_wireless_v1."""

from .model import Product, Stream

WIRELESS = Product("wireless", "/v1")

STREAMS: tuple[Stream, ...] = ()
