"""proxy.twilio.com. Facts: OpenAPI twilio_proxy_v1."""

from .model import Product, Stream

PROXY = Product("proxy", "/v1")

STREAMS: tuple[Stream, ...] = ()
