"""
`python -m tools.meltano` writes what Meltano reads, from the one declaration of settings; `--check` only compares.

`meltano/tap-twilio.yml` defines the tap in the form of Meltano's Hub, for `meltano add --from-ref`. `meltano.yml` is a
project with the tap of this checkout, for whoever works on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tap_twilio.commands.about import ABOUT
from tap_twilio.settings import SCHEMA
from tap_twilio.streams import STREAMS

ROOT = Path(__file__).resolve().parent.parent
DEFINITION, PROJECT = "meltano/tap-twilio.yml", "meltano.yml"
HEAD = "# Made by `python -m tools.meltano` from the settings in tap_twilio/settings.py.\n"
PROJECT_ID = "26e3e857-3f6c-5efe-99e7-8ee433cc3bae"  # any: where there is none, Meltano writes one into the file
CAPITALS = {"api": "API", "sid": "SID", "url": "URL"}

# Either of these is enough to begin with.
CREDENTIALS = [["account_sid", "auth_token"], ["account_sid", "api_key_sid", "api_key_secret"], ["credentials"]]

# Meltano's kinds. `decimal` is none of them: Meltano 4.4 fails to write one that comes from its environment or from
# `meltano config set`. A setting of more than one type is a string as well: `array` refuses `true`. The tap reads both.
KINDS = {name: name for name in ("integer", "boolean", "array", "object", "string")} | {"number": "string"}

# Of target-postgres, what is usually set. Its own definition on Meltano's Hub has the rest, but needs the network.
TARGET_SETTINGS: list[dict[str, Any]] = [
    {"name": "sqlalchemy_url", "kind": "string", "sensitive": True},
    {"name": "host", "kind": "string"},
    {"name": "port", "kind": "integer"},
    {"name": "user", "kind": "string"},
    {"name": "password", "kind": "string", "sensitive": True},
    {"name": "database", "kind": "string"},
    {"name": "default_target_schema", "kind": "string"},
    {"name": "batch_size_rows", "kind": "integer"},
    {"name": "validate_records", "kind": "boolean"},
    {"name": "use_copy", "kind": "boolean"},
    {"name": "hard_delete", "kind": "boolean"},
]


def label(name: str) -> str:
    """
    Return a setting's label in a form.

    >>> label("api_key_sid")
    'API Key SID'
    """
    return " ".join(CAPITALS.get(word, word.capitalize()) for word in name.split("_"))


def sentence(text: str) -> str:
    """
    Return a setting's description as a sentence.

    >>> sentence("rows a page")
    'Rows a page.'
    """
    return f"{text[0].upper()}{text[1:]}."


def setting(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting in the Hub's form, from its JSON Schema."""
    made: dict[str, Any] = {"name": name, "label": label(name), "description": sentence(about["description"])}
    kind = KINDS[about["type"]] if isinstance(about["type"], str) else "string"
    if about.get("secret"):
        made |= {"kind": "object" if kind == "object" else "password", "sensitive": True}
    elif "enum" in about:
        options = [{"label": label(value), "value": value} for value in about["enum"]]
        made |= {"kind": "options", "options": options}
    else:
        made["kind"] = "date_iso8601" if about.get("format") == "date-time" else kind
    if "default" in about and ABOUT["version"] not in str(about["default"]):
        made["value"] = about["default"]  # one that names the version would outlive it in every project
    return made


def plugin() -> dict[str, Any]:
    """Return the definition that Meltano needs, for any source of the package."""
    return {
        "name": ABOUT["name"],
        "namespace": "tap_twilio",
        "executable": ABOUT["name"],
        "capabilities": sorted(ABOUT["capabilities"]),
        "log_parser": "singer-sdk",
        "settings_group_validation": CREDENTIALS,
        "settings": [setting(name, about) for name, about in SCHEMA["properties"].items()],
        # Meltano selects everything otherwise: all streams, and what leaves only where it is selected by name.
        "select": [f"{stream.name}.*" for stream in STREAMS if stream.selected_by_default],
        "metadata": {
            stream.name: {name: {"selected": False} for name in sorted(stream.deselected_by_default)}
            for stream in STREAMS
            if stream.deselected_by_default
        },
    }


def definition() -> dict[str, Any]:
    """Return the tap in the Hub's form."""
    return plugin() | {
        "variant": "exact",
        "label": "Twilio",
        "description": f"{ABOUT['description']}.",
        "pip_url": "exact-tap-twilio",
        "supported_python_versions": ABOUT["supported_python_versions"],
        "domain_url": "https://www.twilio.com/docs/usage/api",
        "keywords": ["api", "messaging", "voice"],
        "logo_url": "/assets/logos/extractors/twilio.png",
        "maintenance_status": "active",
        "quality": "silver",  # the most that the Hub gives a tap that is not built on its SDK
        "settings_preamble": "One is needed: `auth_token`; `api_key_sid` and `api_key_secret`; or `credentials`.\n",
    }


def project() -> dict[str, Any]:
    """Return a project with the tap of this checkout and the target of the tests, scheduled every three hours."""
    required = (ROOT / "demo/requirements.txt").read_text("utf-8").splitlines()
    (target,) = (line for line in required if line.startswith("meltanolabs-target-postgres"))
    return {
        "default_environment": "dev",
        "environments": [{"name": "dev"}],
        "send_anonymous_usage_stats": False,
        "project_id": PROJECT_ID,
        "plugins": {
            "extractors": [{"name": ABOUT["name"], "pip_url": "-e .", **plugin()}],
            "loaders": [
                {
                    "name": "target-postgres",
                    "namespace": "target_postgres",
                    "pip_url": target,
                    "settings": TARGET_SETTINGS,
                    "config": {"default_target_schema": "twilio"},
                }
            ],
        },
        "jobs": [{"name": "twilio-to-postgres", "tasks": ["tap-twilio target-postgres"]}],
        "schedules": [{"name": "every-three-hours", "interval": "17 */3 * * *", "job": "twilio-to-postgres"}],
    }


def files() -> dict[str, str]:
    """Return the text of each file, by its path from the root. The Hub's linter requires sorted keys."""
    return {
        DEFINITION: HEAD + yaml.safe_dump(definition(), allow_unicode=True),
        PROJECT: HEAD + yaml.safe_dump(project(), allow_unicode=True, sort_keys=False),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; with `--check`, 1 where one is not as it would be written."""
    parser = argparse.ArgumentParser(prog="python -m tools.meltano", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and name what is out of date")
    arguments = parser.parse_args(argv)
    made = files()
    paths = {name: ROOT / name for name in made}
    stale = [name for name, path in paths.items() if not path.is_file() or path.read_text("utf-8") != made[name]]
    for name in stale:
        if arguments.check:
            print(f"{name} is out of date: python -m tools.meltano")
            continue
        paths[name].parent.mkdir(exist_ok=True)
        paths[name].write_text(made[name], "utf-8")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
