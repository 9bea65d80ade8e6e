"""notify.twilio.com. Facts: OpenAPI twilio_notify_v1."""

from .model import Product, Stream

NOTIFY = Product("notify", "/v1")

STREAMS: tuple[Stream, ...] = ()
