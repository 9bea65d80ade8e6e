"""Studio: studio.twilio.com. Facts: OpenAPI twilio_studio_v2, ListFlow*, ListExecution*."""

from .model import AllParents, Condition, OpenParents, Parent, Product, Stream

STUDIO = Product("studio", "/v2")

STREAMS = (
    Stream("studio_flows", STUDIO, "Flows", "flows"),
    Stream(
        "studio_flow_revisions",
        STUDIO,
        "Flows/{sid}/Revisions",
        "revisions",
        key=("sid", "revision"),
        # The row of a flow is its latest revision, so each revision changes the row.
        parent=Parent("studio_flows", {"sid": "sid"}),
        tokens_name_rows=False,
        cost="one request for each flow that changed",
    ),
    Stream(
        "studio_executions",
        STUDIO,
        "Flows/{flow_sid}/Executions",
        "executions",
        parent=Parent("studio_flows", {"flow_sid": "sid"}, AllParents()),
        cost="one request for each flow; Twilio keeps 30 days",
    ),
    Stream(
        "studio_execution_steps",
        STUDIO,
        "Flows/{flow_sid}/Executions/{execution_sid}/Steps",
        "steps",
        parent=Parent(
            "studio_executions",
            {"flow_sid": "flow_sid", "execution_sid": "sid"},
            OpenParents(open_if=Condition("status", one_of=("active",))),
        ),
        cost="one request for each execution that is active or changed",
    ),
)
