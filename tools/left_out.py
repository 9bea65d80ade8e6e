"""
What the check does not ask for, and why: lists that no stream reads, and streams that the documents lack.

A list is named by its product (the host's first label) and its path, as in the documents.
"""

from __future__ import annotations

FLEX_USER = "wants a Flex user's token in place of the account's credentials"
INTERACTIONS = "wants the SID of an interaction, and no list has them"
REPORTS = "wants the id of a report, which only a POST makes"
IDENTITY = "answers for one identity or address at a time; the participants' and users' lists have the same"

LEFT_OUT: dict[tuple[str, str], str] = {
    ("conversations", "/v1/ParticipantConversations"): IDENTITY,
    ("conversations", "/v1/Services/{ChatServiceSid}/ParticipantConversations"): IDENTITY,
    ("flex-api", "/v1/Insights/Conversations"): FLEX_USER,
    ("flex-api", "/v1/Insights/QualityManagement/Assessments"): FLEX_USER,
    ("flex-api", "/v1/Insights/QualityManagement/Assessments/Comments"): FLEX_USER,
    ("flex-api", "/v1/Insights/QualityManagement/Categories"): FLEX_USER,
    ("flex-api", "/v1/Insights/QualityManagement/Questionnaires"): FLEX_USER,
    ("flex-api", "/v1/Insights/QualityManagement/Questions"): FLEX_USER,
    ("flex-api", "/v1/Insights/Segments"): FLEX_USER,
    ("flex-api", "/v1/Interactions/{InteractionSid}/Channels"): INTERACTIONS,
    ("flex-api", "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites"): INTERACTIONS,
    ("flex-api", "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants"): INTERACTIONS,
    ("insights", "/v2/Voice/Reports/PhoneNumbers/Inbound/{reportId}"): REPORTS,
    ("insights", "/v2/Voice/Reports/PhoneNumbers/Outbound/{reportId}"): REPORTS,
}

UNDOCUMENTED: dict[str, str] = {
    "call_feedback": "Twilio took it out of the documents in 2023",
}
