"""messaging.twilio.com. Facts: OpenAPI twilio_messaging_v1, ListService."""

from .model import Product, Stream

MESSAGING = Product("messaging", "/v1")

STREAMS = (Stream("messaging_services", MESSAGING, "Services", "services"),)
