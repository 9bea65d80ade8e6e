"""Chat: chat.twilio.com. Facts: OpenAPI twilio_chat_v2, ListInvite; version 3 lists nothing."""

from .conversations import OPEN_CONVERSATIONS
from .model import Parent, Product, Stream

CHAT = Product("chat", "/v2", page_size=100)

STREAMS = (
    Stream(
        "chat_channel_invites",
        CHAT,
        "Services/{service_sid}/Channels/{channel_sid}/Invites",
        "invites",
        # Chat and Conversations share services, and a channel is a conversation. An invite may leave
        # the conversation's date_updated unchanged, so every sync visits the open ones.
        parent=Parent(
            "conversations",
            {"service_sid": "chat_service_sid", "channel_sid": "sid"},
            OPEN_CONVERSATIONS,
        ),
        cost="one request for each open conversation, and for each that ended; Twilio supports Chat for Flex only",
    ),
)
