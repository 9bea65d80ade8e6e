"""Trust Hub: trusthub.twilio.com. Facts: OpenAPI twilio_trusthub_v1."""

from .model import AllParents, FullRead, Parent, Product, Stream

TRUSTHUB = Product("trusthub", "/v1")
# A child may leave the date_updated of its profile or product unchanged, so every sync visits all of them.
PROFILE = Parent("trusthub_customer_profiles", {"customer_profile_sid": "sid"}, AllParents())
TRUST_PRODUCT = Parent("trusthub_trust_products", {"trust_product_sid": "sid"}, AllParents())

STREAMS = (
    Stream("trusthub_customer_profiles", TRUSTHUB, "CustomerProfiles", "results"),
    Stream(
        "trusthub_customer_profile_channel_endpoint_assignments",
        TRUSTHUB,
        "CustomerProfiles/{customer_profile_sid}/ChannelEndpointAssignments",
        "results",
        read_strategy=FullRead(),
        parent=PROFILE,
        cost="one request for each customer profile",
    ),
    Stream(
        "trusthub_customer_profile_entity_assignments",
        TRUSTHUB,
        "CustomerProfiles/{customer_profile_sid}/EntityAssignments",
        "results",
        read_strategy=FullRead(),
        parent=PROFILE,
        cost="one request for each customer profile",
    ),
    Stream(
        "trusthub_customer_profile_evaluations",
        TRUSTHUB,
        "CustomerProfiles/{customer_profile_sid}/Evaluations",
        "results",
        read_strategy=FullRead(),
        parent=PROFILE,
        cost="one request for each customer profile",
    ),
    Stream("trusthub_trust_products", TRUSTHUB, "TrustProducts", "results"),
    Stream(
        "trusthub_trust_product_channel_endpoint_assignments",
        TRUSTHUB,
        "TrustProducts/{trust_product_sid}/ChannelEndpointAssignments",
        "results",
        read_strategy=FullRead(),
        parent=TRUST_PRODUCT,
        cost="one request for each trust product",
    ),
    Stream(
        "trusthub_trust_product_entity_assignments",
        TRUSTHUB,
        "TrustProducts/{trust_product_sid}/EntityAssignments",
        "results",
        read_strategy=FullRead(),
        parent=TRUST_PRODUCT,
        cost="one request for each trust product",
    ),
    Stream(
        "trusthub_trust_product_evaluations",
        TRUSTHUB,
        "TrustProducts/{trust_product_sid}/Evaluations",
        "results",
        read_strategy=FullRead(),
        parent=TRUST_PRODUCT,
        cost="one request for each trust product",
    ),
    Stream("trusthub_end_users", TRUSTHUB, "EndUsers", "results"),
    Stream("trusthub_supporting_documents", TRUSTHUB, "SupportingDocuments", "results"),
    Stream(
        "trusthub_end_user_types", TRUSTHUB, "EndUserTypes", "end_user_types", read_strategy=FullRead(), scope="global"
    ),
    Stream(
        "trusthub_supporting_document_types",
        TRUSTHUB,
        "SupportingDocumentTypes",
        "supporting_document_types",
        read_strategy=FullRead(),
        scope="global",
    ),
    Stream("trusthub_policies", TRUSTHUB, "Policies", "results", read_strategy=FullRead(), scope="global"),
)
