"""events.twilio.com. Facts: OpenAPI twilio_events_v1."""

from .model import Product, Stream

EVENTS = Product("events", "/v1")

STREAMS: tuple[Stream, ...] = ()
