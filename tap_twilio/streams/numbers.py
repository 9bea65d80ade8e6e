"""Regulatory compliance and hosted numbers: numbers.twilio.com. Facts: OpenAPI twilio_numbers_v2."""

from .model import AllParents, FullRead, Parent, Product, Stream

NUMBERS = Product("numbers", "/v2")
# A child may leave the date_updated of its bundle unchanged, so every sync visits every bundle.
BUNDLE = Parent("regulatory_bundles", {"bundle_sid": "sid"}, AllParents())

STREAMS = (
    # Twilio's filter compares valid_until, so it does not find new or changed bundles.
    Stream("regulatory_bundles", NUMBERS, "RegulatoryCompliance/Bundles", "results"),
    Stream(
        "regulatory_bundle_copies",
        NUMBERS,
        "RegulatoryCompliance/Bundles/{bundle_sid}/Copies",
        "results",
        key=("bundle_sid", "sid"),  # sid identifies the copy; only the path has the original
        parent=BUNDLE,
        derived={"bundle_sid": "bundle_sid"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost="one request for each regulatory bundle",
    ),
    Stream(
        "regulatory_bundle_evaluations",
        NUMBERS,
        "RegulatoryCompliance/Bundles/{bundle_sid}/Evaluations",
        "results",
        read_strategy=FullRead(),
        parent=BUNDLE,
        cost="one request for each regulatory bundle",
    ),
    Stream(
        "regulatory_bundle_item_assignments",
        NUMBERS,
        "RegulatoryCompliance/Bundles/{bundle_sid}/ItemAssignments",
        "results",
        read_strategy=FullRead(),
        parent=BUNDLE,
        cost="one request for each regulatory bundle",
    ),
    Stream("regulatory_end_users", NUMBERS, "RegulatoryCompliance/EndUsers", "results"),
    Stream("regulatory_supporting_documents", NUMBERS, "RegulatoryCompliance/SupportingDocuments", "results"),
    Stream(
        "regulatory_end_user_types",
        NUMBERS,
        "RegulatoryCompliance/EndUserTypes",
        "end_user_types",
        read_strategy=FullRead(),
        scope="global",
    ),
    Stream(
        "regulatory_supporting_document_types",
        NUMBERS,
        "RegulatoryCompliance/SupportingDocumentTypes",
        "supporting_document_types",
        read_strategy=FullRead(),
        scope="global",
    ),
    Stream(
        "regulatory_regulations",
        NUMBERS,
        "RegulatoryCompliance/Regulations",
        "results",
        read_strategy=FullRead(),
        # With this, requirements describe each of their fields (OpenAPI, ListRegulation).
        query={"IncludeConstraints": "true"},
        scope="global",
    ),
    Stream(
        "hosted_number_orders",
        NUMBERS,
        "HostedNumber/Orders",
        "items",
        deselected_by_default=frozenset({"verification_code"}),
    ),
    Stream(
        "hosted_number_authorization_documents",
        NUMBERS,
        "HostedNumber/AuthorizationDocuments",
        "items",
        derived={"account_sid": "account_sid"},
    ),
)
