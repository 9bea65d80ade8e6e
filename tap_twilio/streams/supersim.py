"""supersim.twilio.com. Facts: OpenAPI twilio_supersim_v1."""

from .model import Product, Stream

SUPERSIM = Product("supersim", "/v1")

STREAMS: tuple[Stream, ...] = ()
