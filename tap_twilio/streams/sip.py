"""api.twilio.com, version 2010-04-01: SIP. Facts: OpenAPI twilio_api_v2010."""

from .model import Stream

STREAMS: tuple[Stream, ...] = ()
