"""The settings: one field declares each. Validation, defaults, environment names and the table in docs follow from it.

Reads a config file and Twilio's own environment variables; never prints a value, since some are secret.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator  # singer-python holds jsonschema at 2.6, which knows Draft 4 at most

from . import __version__
from .base_url import origin
from .errors import TapError
from .files import parse_json, read_json
from .timestamps import read_date

LOGGER = logging.getLogger("tap_twilio")

ACCOUNT = "^AC[0-9a-fA-F]{32}$"
HEADER = "^[!-~]+$"  # what an Authorization header can hold
CREDENTIALS = {"auth_token", "api_key_sid", "api_key_secret"}
FORMS = ("decimals", "unknown_properties")
ENV, PREFIX = "ENV", "TAP_TWILIO_"
OTHERS = {"date_window_days", "lookback_window"}  # singer-io's tap has these: its config is taken as it is
# The names that settings had in earlier versions -> those that they have now.
OLD_NAMES = {"margin_hours": "lateness_hours", "child_requests": "max_child_requests", "sweep_pages": "rescan_pages"}
CENTURY_DAYS = 36500  # the most that a time may be: beyond it, clocks and sockets have no numbers

# The JSON types of the fields below, by their annotation.
KINDS = {"str": "string", "str | None": "string", "bool": "boolean", "int": "integer", "float": "number"}


def setting(description: str, **rules: Any) -> dict[str, Any]:
    """
    What a setting is, as the metadata of its field. Its default is the field's.

    `rules` are JSON Schema's, and two of our own: `env` names the variable of Twilio's own tools that stands in where
    the file leaves the setting out, and `secret` says that the value is never shown.
    """
    return {"rules": rules, "description": description}


@dataclass(frozen=True)
class Settings:
    """
    A valid configuration, and the only declaration of each setting: `SCHEMA` and the table in docs follow from it.

    A field with metadata is a setting. `user` and `password` are what the credentials in the file come to.
    """

    account_sid: str = field(
        metadata=setting(
            "the account whose credentials these are; starts with AC", pattern=ACCOUNT, env="TWILIO_ACCOUNT_SID"
        )
    )
    user: str
    password: str = field(repr=False)
    # The three that follow are read from the file into `user` and `password`, and are not kept.
    auth_token: None = field(
        default=None,
        init=False,
        repr=False,
        metadata=setting(
            "the account's auth token: either this, or an API key and its secret",
            type="string",
            pattern=HEADER,
            env="TWILIO_AUTH_TOKEN",
            secret=True,
        ),
    )
    api_key_sid: None = field(
        default=None,
        init=False,
        repr=False,
        metadata=setting(
            "an API key in place of the auth token; starts with SK",
            type="string",
            pattern="^SK[0-9a-fA-F]{32}$",
            env="TWILIO_API_KEY",
        ),
    )
    api_key_secret: None = field(
        default=None,
        init=False,
        repr=False,
        metadata=setting("the API key's secret", type="string", pattern=HEADER, env="TWILIO_API_SECRET", secret=True),
    )
    start_date: str | None = field(  # a Moment
        default=None,
        metadata=setting(
            "rows created before this date (ISO 8601) are not emitted; none: all that Twilio still has",
            format="date-time",
        ),
    )
    subaccounts: bool | tuple[str, ...] = field(
        default=True,
        metadata=setting(
            "`true`: the account and all its subaccounts; `false`: itself only; "
            "a list of SIDs: exactly these, the main one only if named",
            type=["boolean", "array"],
            items={"type": "string", "pattern": ACCOUNT},
        ),
    )
    region: str | None = field(
        default=None,
        metadata=setting("where Twilio is asked, such as `ie1`", pattern="^[a-z0-9-]+$", env="TWILIO_REGION"),
    )
    edge: str | None = field(
        default=None,
        metadata=setting("through which edge, such as `dublin`", pattern="^[a-z0-9-]+$", env="TWILIO_EDGE"),
    )
    lookback_days: float = field(
        default=15,
        metadata=setting("how much of the past every sync reads again first, in days", minimum=0, maximum=CENTURY_DAYS),
    )
    rescan_pages: int = field(
        default=500,
        metadata=setting(
            "pages of older history that a sync reads again, over all partitions", minimum=1, maximum=10**9
        ),
    )
    lateness_hours: float = field(
        default=6,
        metadata=setting(
            "how far the bookmark stays behind the clock, in hours, since a list may show a row late",
            minimum=0,
            maximum=24 * CENTURY_DAYS,
        ),
    )
    state_kilobytes: int = field(
        default=1000,
        metadata=setting(
            "how much of the state may tell what rows hold, in kilobytes; rows that it has no room for are judged by "
            "`date_updated`",
            minimum=0,
            maximum=10**4,
        ),
    )
    state_seconds: float = field(
        default=10,
        metadata=setting(
            "seconds between STATE lines, at least, and minutes where no row came; 0: one after every page", minimum=0
        ),
    )
    concurrency: int = field(default=8, metadata=setting("requests at once", minimum=1, maximum=100))
    page_size: int = field(default=1000, metadata=setting("rows a page", minimum=1, maximum=1000))
    request_timeout: float = field(
        default=120, metadata=setting("how long one request may take, in seconds", minimum=1, maximum=3600)
    )
    retry_minutes: float = field(
        default=15,
        metadata=setting("how long one request may go without progress, in minutes", minimum=0, maximum=1440),
    )
    call_feedback_source: str = field(
        default="auto",
        metadata=setting(
            "where `call_feedback` comes from: the calls' feedback, Voice Insights' annotations, or both",
            enum=["auto", "feedback", "insights"],
        ),
    )
    feedback_days: float = field(
        default=30,
        metadata=setting("for how many days a call is asked for its feedback", minimum=0, maximum=CENTURY_DAYS),
    )
    feedback_requests: int = field(
        default=5000,
        metadata=setting("requests for feedback a sync and account, after the backfill", minimum=1, maximum=10**9),
    )
    feedback_backfill: bool = field(
        default=True, metadata=setting("whether older calls are asked for their feedback once")
    )
    empty_recheck_hours: float = field(
        default=0,
        metadata=setting(
            "for very many subaccounts: a product's list that was empty, or that a subaccount does not have, is read "
            "again after so many hours; 0 reads each in every sync",
            minimum=0,
            maximum=CENTURY_DAYS * 24,
        ),
    )
    max_child_requests: int = field(
        default=5000,
        metadata=setting(
            "how many rows of traffic a sync and account may ask for what is below them, such as a message's media; "
            "the others' turn comes in the next syncs",
            minimum=1,
            maximum=10**9,
        ),
    )
    subaccount_tokens: bool = field(
        default=True,
        metadata=setting(
            "whether subaccounts are read on product hosts with the tokens that the main account lists; "
            "`false`: product streams are read in the main account only"
        ),
    )
    decimals: str = field(
        default="number",
        metadata=setting(
            "how prices and other decimal numbers are written: as JSON numbers, or as text of the same digits, for "
            "targets that make floats of numbers",
            enum=["number", "text"],
        ),
    )
    unknown_properties: str = field(
        default="drop",
        metadata=setting(
            "what becomes of properties that a schema does not know: dropped, or kept as JSON text in one more column, "
            "`unknown_properties`",
            enum=["drop", "column"],
        ),
    )
    on_invalid: str = field(
        default="fail",
        metadata=setting(
            "a value that does not fit its schema fails its partition, or becomes null", enum=["fail", "null"]
        ),
    )
    base_url: str | None = field(
        default=None,
        metadata=setting(
            "another origin for all hosts (a proxy, the sandbox): https, or http on a loopback address; "
            "`{product}` in its path or host stands for the product asked"
        ),
    )
    user_agent: str = field(
        default=f"tap-twilio/{__version__}",
        metadata=setting("how requests name themselves", pattern="^[!-~][ -~]*$"),
    )


def _property(one: Field[Any]) -> dict[str, Any]:
    """A setting in JSON Schema."""
    kind = {"type": KINDS[str(one.type)]} if "type" not in one.metadata["rules"] else {}
    default = {} if one.default in (MISSING, None) else {"default": one.default}
    return {**kind, **one.metadata["rules"], **default, "description": one.metadata["description"]}


# What a config may hold, in JSON Schema (Draft 4).
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {one.name: _property(one) for one in fields(Settings) if one.metadata},
}


def load(paths: Sequence[str], environ: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    """
    The settings in some files, of which later ones decide, and what to warn of. Raises TapError, naming the setting.

    In the place of a file, `ENV` means the variables TAP_TWILIO_…: a setting's name in capitals.
    """
    environ = dict(os.environ) if environ is None else environ
    raw = _raw(paths, environ)
    readable = [
        f"{path} holds credentials and others can read it: chmod 600 {path}"
        for path in paths
        if path != ENV and _others_read(Path(path))
    ]
    settings, warnings = settings_from(raw, environ)
    return settings, warnings + readable


def forms(paths: Sequence[str], environ: dict[str, str] | None = None) -> dict[str, str]:
    """What files say of the form of schemas, whatever else they hold or lack: discovery needs no account. As `load`."""
    raw = _raw(paths, dict(os.environ) if environ is None else environ)
    known = SCHEMA["properties"]
    values = {name: _typed(raw[name], known[name]) for name in FORMS if raw.get(name) not in (None, "")}
    _validate(values)
    return values


def _raw(paths: Sequence[str], environ: dict[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for path in paths:
        found = _variables(environ) if path == ENV else read_json(path, "--config")
        if not isinstance(found, dict):
            raise TapError("The config must be a JSON object, as in sample_config.json.")
        raw |= found
    return raw


def _others_read(path: Path) -> bool:
    """Whether others can read a file; of one that Meltano writes for a run, the user could mend nothing."""
    mode = path.stat().st_mode if os.name == "posix" else 0
    return bool(stat.S_IMODE(mode) & 0o077) and ".meltano" not in path.absolute().parts


def _variables(environ: dict[str, str]) -> dict[str, str]:
    names = {f"{PREFIX}{name.upper()}": name for name in [*SCHEMA["properties"], *OLD_NAMES]}
    return {names[variable]: value for variable, value in environ.items() if variable in names}


def settings_from(raw: Any, environ: dict[str, str]) -> tuple[Settings, list[str]]:
    """A config's JSON as settings, and what to warn of. Raises TapError, naming the setting and never its value."""
    if not isinstance(raw, dict):
        raise TapError("The config must be a JSON object, as in sample_config.json.")
    known = SCHEMA["properties"]
    unused = sorted(set(raw) & OTHERS)
    if unused:
        LOGGER.info("settings of singer-io's tap-twilio that have no use here: %s", ", ".join(unused))
    raw, warnings = _renamed(raw)
    unknown = sorted(set(raw) - set(known) - OTHERS)
    warnings += [f"unknown setting {ascii(name)[:60]} in the config is ignored" for name in unknown]
    values = {name: _typed(raw[name], known[name]) for name in known if name in raw}
    values = {name: value for name, value in values.items() if value not in (None, "")}
    _from_environment(values, environ)
    _validate(values)
    user, password = _credentials(values)
    if "start_date" in values:
        values["start_date"] = _date(values["start_date"])
    if "base_url" in values:
        values["base_url"] = origin(values["base_url"])
    if isinstance(values.get("subaccounts"), list):
        values["subaccounts"] = tuple(dict.fromkeys(values["subaccounts"]))
        if not values["subaccounts"]:
            raise TapError("Setting subaccounts is an empty list: name at least one account SID, or use true or false.")
    kept = {name: value for name, value in values.items() if name not in CREDENTIALS}
    return Settings(user=user, password=password, **kept), warnings


def _renamed(raw: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a config with the settings' present names, and one warning for all old ones; a present name wins."""
    old = [name for name in OLD_NAMES if name in raw]
    if not old:
        return raw, []
    renamed = {OLD_NAMES[name]: raw[name] for name in old}
    pairs = ", ".join(f"{name} is called {OLD_NAMES[name]} now" for name in old)
    kept = {name: value for name, value in raw.items() if name not in OLD_NAMES}
    return renamed | kept, [f"settings were renamed: {pairs}; change the config"]


def _typed(value: Any, schema: dict[str, Any]) -> Any:
    """Numbers and booleans written as strings, and the newline of a file, as some schedulers keep every setting."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    if "string" not in _types(schema):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def _types(schema: dict[str, Any]) -> list[str]:
    kinds = schema["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def _from_environment(values: dict[str, Any], environ: dict[str, str]) -> None:
    """Fills what the file leaves out; credentials only as a whole, so that two pairs never mix."""
    names = ["account_sid", "region", "edge"]
    if not CREDENTIALS & set(values):
        names += (
            ["api_key_sid", "api_key_secret"]
            if environ.get("TWILIO_API_KEY") and not environ.get("TWILIO_AUTH_TOKEN")
            else ["auth_token"]
        )
    elif "api_key_sid" in values and "api_key_secret" not in values:
        names.append("api_key_secret")
    for name in names:
        found = environ.get(SCHEMA["properties"][name]["env"], "").strip()
        if found and name not in values:
            values[name] = found


def _validate(values: dict[str, Any]) -> None:
    sid = values.get("account_sid", "AC" + "0" * 32)
    if not isinstance(sid, str) or not re.fullmatch(ACCOUNT[1:-1], sid):
        raise TapError(
            "Setting account_sid is not an account SID: AC and 32 hexadecimal digits, from Twilio's console."
        )
    for error in sorted(Draft4Validator(SCHEMA).iter_errors(values), key=lambda e: list(map(str, e.path))):
        name = str(error.path[0])
        schema = SCHEMA["properties"][name]
        rule = {
            "type": f"must be of type {' or '.join(_types(schema))}",
            "enum": f"must be one of {', '.join(map(repr, schema.get('enum', [])))}",
            "minimum": f"must be at least {schema.get('minimum')}",
            "maximum": f"must be at most {schema.get('maximum')}",
        }.get(error.validator, "is malformed")
        raise TapError(f"Setting {name} {rule}: {schema['description']}.")


def _credentials(values: dict[str, Any]) -> tuple[str, str]:
    if "account_sid" not in values:
        raise TapError("Setting account_sid is missing: put it into the config, or into TWILIO_ACCOUNT_SID.")
    key = "api_key_sid" in values or "api_key_secret" in values
    if key and "auth_token" in values:
        raise TapError("Settings auth_token and api_key_sid are both given: leave one of them out.")
    if key:
        for name, variable in (("api_key_sid", "TWILIO_API_KEY"), ("api_key_secret", "TWILIO_API_SECRET")):
            if name not in values:
                raise TapError(f"Setting {name} is missing: an API key needs both; {variable} may hold it.")
        return values["api_key_sid"], values["api_key_secret"]
    if "auth_token" not in values:
        raise TapError(
            "No credentials: set auth_token, or api_key_sid and api_key_secret, in the config or the environment "
            "(TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET)."
        )
    return values["account_sid"], values["auth_token"]


def _date(text: str) -> str:
    try:
        return read_date(text)
    except ValueError:
        raise TapError("Setting start_date is not a date: write 2026-01-31 or 2026-01-31T00:00:00Z.") from None
