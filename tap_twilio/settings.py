"""The settings: one JSON Schema says what each is, and drives validation, defaults and README's table.

Reads a config file and Twilio's own environment variables; never prints a value, since some are secret.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import __version__
from .errors import TapError

ACCOUNT = "^AC[0-9a-fA-F]{32}$"
PRODUCT = "product-stands-here"  # for {product}, which no URL may hold
HEADER = "^[!-~]+$"  # what an Authorization header can hold
CENTURY_DAYS = 36500  # the most that a time may be: beyond it, clocks and sockets have no numbers

# `env`: where a setting that the file leaves out is taken from; the names are those of Twilio's own tools.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "account_sid": {
            "type": "string",
            "pattern": ACCOUNT,
            "env": "TWILIO_ACCOUNT_SID",
            "description": "the account whose credentials these are; starts with AC",
        },
        "auth_token": {
            "type": "string",
            "pattern": HEADER,
            "env": "TWILIO_AUTH_TOKEN",
            "secret": True,
            "description": "its auth token: either this",
        },
        "api_key_sid": {
            "type": "string",
            "pattern": "^SK[0-9a-fA-F]{32}$",
            "env": "TWILIO_API_KEY",
            "description": "or an API key, which starts with SK,",
        },
        "api_key_secret": {
            "type": "string",
            "pattern": HEADER,
            "env": "TWILIO_API_SECRET",
            "secret": True,
            "description": "and its secret",
        },
        "start_date": {
            "type": "string",
            "description": "rows created before this date (ISO 8601) are not emitted; none: all that Twilio still has",
        },
        "subaccounts": {
            "type": ["boolean", "array"],
            "items": {"type": "string", "pattern": ACCOUNT},
            "default": True,
            "description": "`true`: the account and all its subaccounts; `false`: itself only; "
            "a list of SIDs: exactly these, the main one only if named",
        },
        "region": {
            "type": "string",
            "pattern": "^[a-z0-9-]+$",
            "env": "TWILIO_REGION",
            "description": "where Twilio is asked, such as `ie1`",
        },
        "edge": {
            "type": "string",
            "pattern": "^[a-z0-9-]+$",
            "env": "TWILIO_EDGE",
            "description": "through which edge, such as `dublin`",
        },
        "lookback_days": {
            "type": "number",
            "minimum": 0,
            "maximum": CENTURY_DAYS,
            "default": 15,
            "description": "how much of the past every sync reads again first, in days",
        },
        "lookback_emits": {
            "type": "string",
            "enum": ["changed", "all"],
            "default": "changed",
            "description": "`all` emits every row of the look-back, "
            "should Twilio ever change a row without touching `date_updated`",
        },
        "sweep_pages": {
            "type": "integer",
            "minimum": 1,
            "default": 500,
            "description": "pages of older history that a sync reads again, over all partitions",
        },
        "margin_hours": {
            "type": "number",
            "minimum": 0,
            "maximum": 24 * CENTURY_DAYS,
            "default": 6,
            "description": "how late a list may show a row, in hours; rows this fresh are emitted again",
        },
        "state_seconds": {
            "type": "number",
            "minimum": 0,
            "default": 10,
            "description": "seconds between STATE lines, at least; 0: one after every page",
        },
        "concurrency": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "default": 8,
            "description": "requests at once",
        },
        "page_size": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000, "description": "rows a page"},
        "request_timeout": {
            "type": "number",
            "minimum": 1,
            "maximum": 3600,
            "default": 120,
            "description": "how long one request may take, in seconds",
        },
        "retry_minutes": {
            "type": "number",
            "minimum": 0,
            "maximum": 1440,
            "default": 15,
            "description": "how long one request may go without progress, in minutes",
        },
        "call_feedback_source": {
            "type": "string",
            "enum": ["auto", "feedback", "insights"],
            "default": "auto",
            "description": "where `call_feedback` comes from: the calls' feedback, "
            "Voice Insights' annotations, or both",
        },
        "feedback_days": {
            "type": "number",
            "minimum": 0,
            "maximum": CENTURY_DAYS,
            "default": 30,
            "description": "for how many days a call is asked for its feedback",
        },
        "feedback_requests": {
            "type": "integer",
            "minimum": 1,
            "default": 5000,
            "description": "requests for feedback a sync and account, after the backfill",
        },
        "feedback_backfill": {
            "type": "boolean",
            "default": True,
            "description": "whether older calls are asked for their feedback once",
        },
        "subaccount_tokens": {
            "type": "boolean",
            "default": True,
            "description": "whether subaccounts are read on product hosts with the tokens that the main account lists; "
            "`false`: product streams are read in the main account only",
        },
        "on_invalid": {
            "type": "string",
            "enum": ["fail", "null"],
            "default": "fail",
            "description": "a value that does not fit its schema fails its partition, or becomes null",
        },
        "base_url": {
            "type": "string",
            "description": "another origin for all hosts (a proxy, the sandbox): https, or http on a loopback address; "
            "`{product}` in its path or host stands for the product asked",
        },
        "user_agent": {
            "type": "string",
            "pattern": "^[!-~][ -~]*$",
            "default": f"tap-twilio/{__version__}",
            "description": "how requests name themselves",
        },
    },
}


@dataclass(frozen=True)
class Settings:
    """A valid configuration; units are in the names, or in `SCHEMA`."""

    account_sid: str
    user: str
    password: str = field(repr=False)
    start_date: str | None = None  # as records.iso writes it
    subaccounts: bool | tuple[str, ...] = True
    region: str | None = None
    edge: str | None = None
    lookback_days: float = 15
    lookback_emits: str = "changed"
    sweep_pages: int = 500
    margin_hours: float = 6
    state_seconds: float = 10
    concurrency: int = 8
    page_size: int = 1000
    request_timeout: float = 120
    retry_minutes: float = 15
    call_feedback_source: str = "auto"
    feedback_days: float = 30
    feedback_requests: int = 5000
    feedback_backfill: bool = True
    subaccount_tokens: bool = True
    on_invalid: str = "fail"
    base_url: str | None = None
    user_agent: str = f"tap-twilio/{__version__}"


def read_json(path: str, what: str) -> Any:
    """The JSON in a file the user named. Raises TapError, which names the file and never quotes its content."""
    try:
        return _parse(Path(path).read_bytes())
    except OSError as error:
        raise TapError(
            f"{what} {path}: cannot be read ({error.strerror}). Check the path and its permissions."
        ) from None
    except (ValueError, RecursionError) as error:
        at = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TapError(f"{what} {path}: is not valid JSON{at}. Mend it, or write it anew.") from None


def _parse(text: bytes | str) -> Any:
    """JSON, without the NaN and Infinity that Python takes for it. Raises ValueError and RecursionError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def load(path: str, environ: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings in a file, and what to warn of. Raises TapError, naming the setting."""
    settings, warnings = settings_from(read_json(path, "--config"), dict(os.environ) if environ is None else environ)
    if os.name == "posix" and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
        warnings.append(f"{path} holds credentials and others can read it: chmod 600 {path}")
    return settings, warnings


def settings_from(raw: Any, environ: dict[str, str]) -> tuple[Settings, list[str]]:
    """A config's JSON as settings, and what to warn of. Raises TapError, naming the setting and never its value."""
    if not isinstance(raw, dict):
        raise TapError("The config must be a JSON object, as in sample_config.json.")
    known = SCHEMA["properties"]
    unknown = sorted(set(raw) - set(known))
    warnings = [f"unknown setting {ascii(name)[:60]} in the config is ignored" for name in unknown]
    values = {name: _typed(raw[name], known[name]) for name in known if name in raw}
    values = {name: value for name, value in values.items() if value not in (None, "")}
    _from_environment(values, environ)
    _validate(values)
    for name, schema in known.items():
        if "default" in schema:
            values.setdefault(name, schema["default"])
    user, password = _credentials(values)
    if "start_date" in values:
        values["start_date"] = _date(values["start_date"])
    if "base_url" in values:
        values["base_url"] = _origin(values["base_url"])
    if not isinstance(values["subaccounts"], bool):
        values["subaccounts"] = tuple(dict.fromkeys(values["subaccounts"]))
        if not values["subaccounts"]:
            raise TapError("Setting subaccounts is an empty list: name at least one account SID, or use true or false.")
    for name in ("auth_token", "api_key_sid", "api_key_secret"):
        values.pop(name, None)
    return Settings(user=user, password=password, **values), warnings


def _typed(value: Any, schema: dict[str, Any]) -> Any:
    """Numbers and booleans written as strings, and the newline of a file, as some schedulers keep every setting."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    if "string" not in _types(schema):
        try:
            return _parse(value)
        except (ValueError, RecursionError):
            return value
    return value


def _types(schema: dict[str, Any]) -> list[str]:
    kinds = schema["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def _from_environment(values: dict[str, Any], environ: dict[str, str]) -> None:
    """Fills what the file leaves out; credentials only as a whole, so that two pairs never mix."""
    names = ["account_sid", "region", "edge"]
    if not {"auth_token", "api_key_sid", "api_key_secret"} & set(values):
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
    from jsonschema import Draft4Validator  # late: it costs more than all the rest of this module

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
    from .moments import to_moment

    try:
        return to_moment(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError:
        raise TapError("Setting start_date is not a date: write 2026-01-31 or 2026-01-31T00:00:00Z.") from None


def _origin(url: str) -> str:
    """
    Credentials travel to this origin, so it is https, or plain http that never leaves the machine.

    `{product}` may be its path, or a part of its host's name.
    """
    try:
        parts = urlsplit(url.replace("{product}", PRODUCT))
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
        parts = urlsplit("")
    if (
        not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", host)
        or "@" in url
        or parts.path.strip("/") not in ("", PRODUCT)
        or "?" in url
    ):
        raise TapError(
            "Setting base_url must be an origin such as https://proxy.example.com:8443, without path or user."
        )
    loopback = host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host)
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise TapError("Setting base_url must use https: plain http is for loopback addresses only.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}".replace(PRODUCT, "{product}")
