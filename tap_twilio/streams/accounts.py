"""accounts.twilio.com. Facts: OpenAPI twilio_accounts_v1."""

from .model import Product, Stream

CREDENTIALS = Product("accounts", "/v1")

STREAMS: tuple[Stream, ...] = ()
