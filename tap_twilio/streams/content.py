"""Content: content.twilio.com. Facts: OpenAPI twilio_content_v1, ListContentAndApprovals, ListLegacyContent."""

from .model import Product, Stream

CONTENT = Product("content", "/v1")

STREAMS = (
    Stream("contents_and_approvals", CONTENT, "ContentAndApprovals", "contents", has_item_endpoint=False),
    Stream("legacy_contents", CONTENT, "LegacyContent", "contents", has_item_endpoint=False),
)
