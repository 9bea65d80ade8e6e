"""chat.twilio.com. Facts: OpenAPI twilio_chat_v3."""

from .model import Product, Stream

CHAT = Product("chat", "/v3")

STREAMS: tuple[Stream, ...] = ()
