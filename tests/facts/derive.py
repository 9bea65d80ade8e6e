"""
Derive `openapi.json`, what Twilio's OpenAPI documents say of the resources that the sandbox simulates.

    python tests/facts/derive.py FOLDER     # one with twilio_api_v2010.json and twilio_insights_v1.json

Only names, types and formats are kept: for each resource its properties, for each list its parameters and the members
of its envelope. The documents: https://github.com/twilio/twilio-oai
"""

import json
import sys
from pathlib import Path
from typing import Any

ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
# resource -> (document, its schema, its list's path)
RESOURCES = {
    "messages": ("api_v2010", "api.v2010.account.message", f"{ACCOUNT}/Messages.json"),
    "calls": ("api_v2010", "api.v2010.account.call", f"{ACCOUNT}/Calls.json"),
    "conferences": ("api_v2010", "api.v2010.account.conference", f"{ACCOUNT}/Conferences.json"),
    "transcriptions": ("api_v2010", "api.v2010.account.transcription", f"{ACCOUNT}/Transcriptions.json"),
    "addresses": ("api_v2010", "api.v2010.account.address", f"{ACCOUNT}/Addresses.json"),
    "accounts": ("api_v2010", "api.v2010.account", "/2010-04-01/Accounts.json"),
    "call_summaries": ("insights_v1", "insights.v1.call_summaries", "/v1/Voice/Summaries"),
    "annotation": ("insights_v1", "insights.v1.call.annotation", ""),
}


def property_facts(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """A property's type, format, pattern, values if it is an enumeration, and whether it may be null."""
    facts: dict[str, Any] = {name: schema[name] for name in ("type", "format", "pattern", "nullable") if name in schema}
    if "$ref" in schema:
        target = schemas[schema["$ref"].rpartition("/")[2]]
        facts |= {"type": target["type"], "enum": target["enum"]}
    return facts


def resource_facts(document: dict[str, Any], schema: str, path: str) -> dict[str, Any]:
    """The properties of a resource, and the parameters and envelope of its list if it has one."""
    schemas = document["components"]["schemas"]
    properties = schemas[schema]["properties"]
    facts: dict[str, Any] = {"properties": {n: property_facts(p, schemas) for n, p in sorted(properties.items())}}
    if path:
        operation = document["paths"][path]["get"]
        envelope = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
        facts["parameters"] = sorted(p["name"] for p in operation["parameters"] if p["in"] == "query")
        facts["envelope"] = sorted(envelope)
        if "meta" in envelope:
            facts["meta"] = sorted(envelope["meta"]["properties"])
    return facts


def lines(value: dict[str, Any], depth: int = 3) -> str:
    """JSON with one property a line."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {lines(v, depth - 1)}" for name, v in value.items()) + "\n}"


def main(folder: Path) -> None:
    """Write the facts beside this script."""
    documents = {n: json.loads((folder / f"twilio_{n}.json").read_text()) for n in ("api_v2010", "insights_v1")}
    facts = {name: resource_facts(documents[doc], schema, path) for name, (doc, schema, path) in RESOURCES.items()}
    (Path(__file__).parent / "openapi.json").write_text(lines(facts) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
