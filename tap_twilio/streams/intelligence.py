"""Conversational Intelligence: intelligence.twilio.com. Facts: OpenAPI twilio_intelligence_v2."""

from .model import Condition, FullRead, Parent, Product, Stream

INTELLIGENCE = Product("intelligence", "/v2")
COMPLETED = Parent(
    "intelligence_transcripts", {"transcript_sid": "sid"}, where=Condition("status", one_of=("completed",))
)

STREAMS = (
    Stream("intelligence_services", INTELLIGENCE, "Services", "services"),
    Stream("intelligence_operators", INTELLIGENCE, "Operators", "operators"),
    Stream("intelligence_operator_types", INTELLIGENCE, "OperatorTypes", "operator_types", scope="global"),
    # The list has a date filter, but the format of the dates is not documented (OpenAPI, ListTranscript).
    Stream("intelligence_transcripts", INTELLIGENCE, "Transcripts", "transcripts"),
    Stream(
        "intelligence_sentences",
        INTELLIGENCE,
        "Transcripts/{transcript_sid}/Sentences",
        "sentences",
        read_strategy=FullRead(),
        query={"WordTimestamps": "true"},  # without this, words have no times (OpenAPI, ListSentence)
        parent=COMPLETED,
        derived={"transcript_sid": "transcript_sid", "account_sid": "account_sid"},
        has_item_endpoint=False,
        cost="one request for each transcript that was completed",
    ),
    Stream(
        "intelligence_operator_results",
        INTELLIGENCE,
        "Transcripts/{transcript_sid}/OperatorResults",
        "operator_results",
        key=("transcript_sid", "operator_sid"),
        read_strategy=FullRead(),
        parent=COMPLETED,
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,
        cost="one request for each transcript that was completed",
    ),
)
