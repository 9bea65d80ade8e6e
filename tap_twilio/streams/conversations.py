"""conversations.twilio.com. Facts: OpenAPI twilio_conversations_v1, ListService*."""

from .model import Every, Has, Open, Parent, Product, Stream

CONVERSATIONS = Product("conversations", "/v1", page_size=100)

STREAMS = (
    Stream("conversation_services", CONVERSATIONS, "Services", "services"),
    Stream(
        "conversations",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations",
        "conversations",
        parent=Parent("conversation_services", {"chat_service_sid": "sid"}, Every()),
        cost="one request for each conversation service and 100 conversations",
    ),
    Stream(
        "conversation_messages",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations/{conversation_sid}/Messages",
        "messages",
        # Whether a new message moves the conversation's date_updated is not established, so open ones are asked again.
        parent=Parent(
            "conversations",
            {"chat_service_sid": "chat_service_sid", "conversation_sid": "sid"},
            Open(while_=Has("state", among=("active", "inactive", "initializing"))),
        ),
        token_names_row=False,  # its tokens are indexes (OpenAPI, examples)
        cost="one request for each open conversation, and for each that ended",
    ),
)
