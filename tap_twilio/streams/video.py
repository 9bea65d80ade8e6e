"""video.twilio.com. Facts: OpenAPI twilio_video_v1."""

from .model import Product, Stream

VIDEO = Product("video", "/v1")

STREAMS: tuple[Stream, ...] = ()
