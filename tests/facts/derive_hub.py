"""
Derive `meltano_hub.json`, what the Hub's JSON Schemas say of an extractor's definition.

    python tests/facts/derive_hub.py FOLDER COMMIT     # a clone of https://github.com/meltano/hub (Apache-2.0)

Only names, types and enumerations are kept.
"""

import json
import sys
from pathlib import Path
from typing import Any


def facts(schemas: Path, commit: str) -> dict[str, Any]:
    """What a definition and a setting may hold, with the types, and what they must."""

    def read(name: str) -> dict[str, Any]:
        return dict(json.loads((schemas / f"{name}.schema.json").read_text("utf-8")))

    parts = [read("common/common"), read("common/extractors_specific"), read("plugin_definitions/hub_metadata")]
    said = {name: about for part in parts for name, about in part["properties"].items()}
    whole = read("plugin_definitions/extractors")["allOf"][-1]
    setting = read("common/base_setting")
    return {
        "source": f"https://github.com/meltano/hub, schemas, {commit[:12]}",
        "keys": {name: said[name]["type"] for name in sorted(whole["properties"])},
        "required": sorted([*parts[0]["required"], *whole["required"]]),
        "values": {
            "capabilities": said["capabilities"]["items"]["enum"],
            "maintenance_status": said["maintenance_status"]["enum"],
            "quality": said["quality"]["enum"],
        },
        "python_version": said["supported_python_versions"]["items"]["pattern"],
        "setting_keys": {name: about.get("type") for name, about in sorted(setting["properties"].items())},
        "setting_required": setting["required"],
        "setting_kinds": setting["properties"]["kind"]["enum"],
    }


if __name__ == "__main__":
    derived = facts(Path(sys.argv[1]) / "schemas", sys.argv[2])
    Path(__file__).with_name("meltano_hub.json").write_text(json.dumps(derived, indent=1) + "\n", "utf-8")
