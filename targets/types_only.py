"""Targets that need a server which this machine has not: the columns they would make, by their own mapping."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .declared import ROOT, Json, Target

_SCRIPTS = {
    "z3-target-bigquery": """
import json, sys
from target_bigquery.core import SchemaTranslator
for line in sys.stdin:
    message = json.loads(line)
    made = SchemaTranslator(message["schema"], {}).translated_schema
    kinds = {one.name: one.field_type + (" repeated" if one.mode == "REPEATED" else "") for one in made}
    print(json.dumps(kinds))
""",
    "shaped-target-clickhouse": """
import json, sys
from target_clickhouse.connectors import ClickhouseConnector
connector = ClickhouseConnector({"sqlalchemy_url": "clickhouse+http://localhost"})
for line in sys.stdin:
    properties = json.loads(line)["schema"]["properties"]
    print(json.dumps({name: str(connector.to_sql_type(about)) for name, about in properties.items()}))
""",
}
# What ACTIVATE_VERSION would do, read in the code that does it.
_CLICKHOUSE_DELETES = """
import inspect
from target_clickhouse.sinks import ClickhouseSink
print("<= {new_version}" in inspect.getsource(ClickhouseSink.activate_version))
"""
CELLS = {"prices": "price", "dates": "date_created"}


def asked(target: Target) -> dict[str, str]:
    """The types of the columns of messages and call_feedback."""
    messages = _mapped(target, "messages", {})
    text = {"type": ["null", "string"]}
    singer = {**text, "format": "x-singer.decimal", "precision": 38, "scale": 18}
    feedback = _mapped(target, "call_feedback", {})
    deletes = {}
    if target.name == "shaped-target-clickhouse":
        done = subprocess.run([target.python, "-c", _CLICKHOUSE_DELETES], capture_output=True, text=True, check=True)
        all_of_them = done.stdout.strip() == "True"
        deletes = {"deletions": "**the rows just loaded too**: it deletes `<= version`" if all_of_them else "not tried"}
    names = [name for name in messages if name.strip("_").lower() in ("from", "to")]
    return {
        "loads": "not tried: it needs a server of its own; types only",
        **{cell: f"{messages[name]} column" for cell, name in CELLS.items()},
        "prices, decimals: text": f"{_mapped(target, 'messages', {'price': text})['price']} column",
        "prices, decimals: singer": f"{_mapped(target, 'messages', {'price': singer})['price']} column",
        "`from`, `to`": ", ".join(f"`{name}`" for name in names),
        **deletes,
        "arrays": f"{feedback['issues']} column",
    }


def _mapped(target: Target, stream: str, instead: Json) -> dict[str, str]:
    schema = json.loads((ROOT / "schemas" / f"{stream}.json").read_text("utf-8"))
    message = {"schema": {**schema, "properties": {**schema["properties"], **instead}}}
    command: list[str | Path] = [target.python, "-c", _SCRIPTS[target.name]]
    done = subprocess.run(command, input=json.dumps(message), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target.name}: its types cannot be asked: {done.stderr[-800:]}")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found
