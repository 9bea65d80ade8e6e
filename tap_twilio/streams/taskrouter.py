"""taskrouter.twilio.com. Facts: OpenAPI twilio_taskrouter_v1."""

from .model import Product, Stream

TASKROUTER = Product("taskrouter", "/v1")

STREAMS: tuple[Stream, ...] = ()
