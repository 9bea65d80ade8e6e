"""voice.twilio.com. Facts: OpenAPI twilio_voice_v1."""

from .model import Product, Stream

VOICE = Product("voice", "/v1")

STREAMS: tuple[Stream, ...] = ()
