"""Conversations: conversations.twilio.com. Facts: OpenAPI twilio_conversations_v1, ListService*, ListConfiguration*."""

from .model import AllParents, ChangedParents, Condition, FullRead, OpenParents, Parent, Product, Stream

CONVERSATIONS = Product("conversations", "/v1", page_size=100)
OPEN_CONVERSATIONS = OpenParents(open_if=Condition("state", one_of=("active", "inactive", "initializing")))
# A new participant, webhook or message may leave the conversation's date_updated unchanged, so every sync visits the
# open conversations.
CONVERSATION = Parent(
    "conversations", {"chat_service_sid": "chat_service_sid", "conversation_sid": "sid"}, OPEN_CONVERSATIONS
)
SERVICE = Parent("conversation_services", {"chat_service_sid": "sid"}, AllParents())

STREAMS = (
    Stream(
        "conversation_configuration",
        CONVERSATIONS,
        "Configuration",
        rows=None,
        key=("account_sid",),
        read_strategy=FullRead(),
        has_item_endpoint=False,
    ),
    Stream(
        "conversation_webhook_configuration",
        CONVERSATIONS,
        "Configuration/Webhooks",
        rows=None,
        key=("account_sid",),
        read_strategy=FullRead(),
        has_item_endpoint=False,
    ),
    Stream("conversation_addresses", CONVERSATIONS, "Configuration/Addresses", "address_configurations", page_size=50),
    Stream("conversation_credentials", CONVERSATIONS, "Credentials", "credentials"),
    Stream("conversation_services", CONVERSATIONS, "Services", "services"),
    Stream(
        "conversation_bindings",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Bindings",
        "bindings",
        parent=SERVICE,
        deselected_by_default=frozenset({"endpoint"}),  # the token of a device
        cost="one request for each conversation service, and for each 100 bindings",
    ),
    Stream(
        "conversation_roles",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Roles",
        "roles",
        parent=SERVICE,
        page_size=50,
        cost="one request for each conversation service",
    ),
    Stream(
        "conversation_users",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Users",
        "users",
        parent=SERVICE,
        page_size=50,
        cost="one request for each conversation service, and for each 50 users",
    ),
    Stream(
        "user_conversations",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Users/{user_sid}/Conversations",
        "conversations",
        key=("user_sid", "conversation_sid"),
        # A row changes when the user reads a message. The user's row does not.
        parent=Parent("conversation_users", {"chat_service_sid": "chat_service_sid", "user_sid": "sid"}, AllParents()),
        page_size=50,
        tokens_name_rows=False,  # rows have no sid that a page token could name
        cost="one request for each user of a conversation service",
    ),
    Stream(
        "conversations",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations",
        "conversations",
        parent=SERVICE,
        cost="one request for each conversation service, and for each 100 conversations",
    ),
    Stream(
        "conversation_participants",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations/{conversation_sid}/Participants",
        "participants",
        parent=CONVERSATION,
        cost="one request for each open conversation, and for each that ended",
    ),
    Stream(
        "conversation_webhooks",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations/{conversation_sid}/Webhooks",
        "webhooks",
        parent=CONVERSATION,
        page_size=5,
        cost="one request for each open conversation, and for each that ended",
    ),
    Stream(
        "conversation_messages",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations/{conversation_sid}/Messages",
        "messages",
        parent=CONVERSATION,
        tokens_name_rows=False,  # page tokens are indexes (OpenAPI, examples)
        cost="one request for each open conversation, and for each that ended",
    ),
    Stream(
        "conversation_message_receipts",
        CONVERSATIONS,
        "Services/{chat_service_sid}/Conversations/{conversation_sid}/Messages/{message_sid}/Receipts",
        "delivery_receipts",
        # A message to SMS or WhatsApp has a delivery. Its progress may leave the message's date_updated unchanged. The
        # next sync requests the receipts again if the message is at most lateness_hours old.
        parent=Parent(
            "conversation_messages",
            {"chat_service_sid": "chat_service_sid", "conversation_sid": "conversation_sid", "message_sid": "sid"},
            ChangedParents(),
            where=Condition("delivery", has_member="total"),
        ),
        page_size=50,
        cost="one request for each message to SMS or WhatsApp that changed",
    ),
)
