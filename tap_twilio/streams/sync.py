"""sync.twilio.com. Facts: OpenAPI twilio_sync_v1."""

from .model import Product, Stream

SYNC = Product("sync", "/v1")

STREAMS: tuple[Stream, ...] = ()
