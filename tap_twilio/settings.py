"""
The settings: reads config files and environment variables into a valid `Settings`.

One field of `Settings` declares a setting; validation, defaults, environment names, `--about` and docs derive from it.
No message contains a value, since some are secret.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator  # singer-python holds jsonschema at 2.6, which knows Draft 4 at most

from . import __version__
from .base_url import parse_base_url
from .errors import TapError
from .files import parse_json, read_json
from .timestamps import BEGINNING, DAY, END, Timestamp, is_day, later, parse_date

LOGGER = logging.getLogger("tap_twilio")

ACCOUNT = "^AC[0-9a-fA-F]{32}$"
KEY = "^SK[0-9a-fA-F]{32}$"
HEADER = "^[!-~]+$"  # the characters that an Authorization header can contain
CREDENTIALS = {"auth_token", "api_key_sid", "api_key_secret"}
SECRETS = {"auth_token", "api_key_secret", "credentials", "mask_key"}
SCHEMA_OPTIONS = ("decimals", "unknown_properties", "mask")  # settings that change the schemas
ENV, PREFIX = "ENV", "TAP_TWILIO_"
SINGER_IO = {"date_window_days", "lookback_window"}  # settings of singer-io's tap, whose config is accepted
# The names that settings had in earlier versions -> those that they have now.
OLD_NAMES = {"margin_hours": "lateness_hours", "child_requests": "max_child_requests", "sweep_pages": "rescan_pages"}
CENTURY_DAYS = 36500  # the maximum of durations, for the sake of clocks and sockets

# The JSON types of the fields below, by their annotation.
KINDS = {"str": "string", "str | None": "string", "bool": "boolean", "int": "integer", "float": "number"}


def setting(description: str, **rules: Any) -> dict[str, Any]:
    """
    Return the metadata of a setting's field.

    `rules` are keywords of JSON Schema, and two more. `env`: a variable of Twilio's own tools, used if no file has the
    setting. `secret`: the value must not be shown.
    """
    return {"rules": rules, "description": description}


@dataclass(frozen=True)
class Settings:
    """
    A valid configuration, and the only declaration of each setting: a field with metadata.

    `user` and `password` are derived from the credentials, `left_out` from `subaccounts`.
    """

    account_sid: str = field(
        metadata=setting(
            "the account whose credentials these are; starts with AC", pattern=ACCOUNT, env="TWILIO_ACCOUNT_SID"
        )
    )
    user: str
    password: str = field(repr=False)
    # These three become `user` and `password`; `Settings` does not keep their own values.
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
            pattern=KEY,
            env="TWILIO_API_KEY",
        ),
    )
    api_key_secret: None = field(
        default=None,
        init=False,
        repr=False,
        metadata=setting("the API key's secret", type="string", pattern=HEADER, env="TWILIO_API_SECRET", secret=True),
    )
    credentials: Mapping[str, tuple[str, str]] = field(  # by account: the SID and the secret of a key
        default_factory=dict,
        repr=False,
        metadata=setting(
            'API keys by account, `{"AC…": {"api_key_sid": "SK…", "api_key_secret": "…"}}`: each account is read with '
            "its own key. Without `auth_token`, these are all accounts, and `account_sid` is optional",
            type="object",
            secret=True,
        ),
    )
    start_date: str | None = field(  # a Timestamp
        default=None,
        metadata=setting(
            "rows created before this date (ISO 8601) are skipped. Unset: everything Twilio still has",
            format="date-time",
        ),
    )
    end_date: str | None = field(  # a Timestamp, not included
        default=None,
        metadata=setting(
            "rows created after this day, or from this time on (ISO 8601), are skipped, until a later sync has no such "
            "end or a later one. Unset: everything up to now",
            format="date-time",
        ),
    )
    subaccounts: bool | tuple[str, ...] = field(
        default=True,
        metadata=setting(
            "`true`: the account and all its subaccounts; `false`: itself only; "
            "a list of SIDs: exactly these, the main one only if named; with `!` before each SID: all but these",
            type=["boolean", "array"],
            items={"type": "string", "pattern": ACCOUNT.replace("^", "^!?")},
        ),
    )
    left_out: frozenset[str] = frozenset()  # the accounts that `subaccounts` names with "!"
    region: str | None = field(
        default=None,
        metadata=setting("Twilio region, such as `ie1`", pattern="^[a-z0-9-]+$", env="TWILIO_REGION"),
    )
    edge: str | None = field(
        default=None,
        metadata=setting("Twilio edge, such as `dublin`", pattern="^[a-z0-9-]+$", env="TWILIO_EDGE"),
    )
    lookback_days: float = field(
        default=15,
        metadata=setting("how many days of the past every sync rereads first", minimum=0, maximum=CENTURY_DAYS),
    )
    rescan_pages: int = field(
        default=500,
        metadata=setting(
            "maximum pages of older rows that a sync rereads, over all streams and accounts", minimum=1, maximum=10**9
        ),
    )
    lateness_hours: float = field(
        default=6,
        metadata=setting(
            "how many hours the bookmark stays behind the clock, since a list may show a row late",
            minimum=0,
            maximum=24 * CENTURY_DAYS,
        ),
    )
    state_kilobytes: int = field(
        default=1000,
        metadata=setting(
            "maximum size of the row fingerprints in the state (KB); changes of further rows are detected by "
            "`date_updated`",
            minimum=0,
            maximum=10**4,
        ),
    )
    state_seconds: float = field(
        default=10,
        metadata=setting(
            "minimum seconds between STATE lines (minutes while no row is emitted); 0: one after every page", minimum=0
        ),
    )
    concurrency: int = field(default=8, metadata=setting("maximum simultaneous requests", minimum=1, maximum=100))
    page_size: int = field(default=1000, metadata=setting("rows per page", minimum=1, maximum=1000))
    request_timeout: float = field(
        default=120, metadata=setting("timeout of one request, in seconds", minimum=1, maximum=3600)
    )
    retry_minutes: float = field(
        default=15,
        metadata=setting(
            "how long a failing request is retried, in minutes; then its stream is given up", minimum=0, maximum=1440
        ),
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
        metadata=setting("for how many days after a call its feedback is requested", minimum=0, maximum=CENTURY_DAYS),
    )
    feedback_requests: int = field(
        default=5000,
        metadata=setting("maximum feedback requests a sync and account, after the backfill", minimum=1, maximum=10**9),
    )
    feedback_backfill: bool = field(
        default=True, metadata=setting("whether the feedback of older calls is requested once")
    )
    empty_recheck_hours: float = field(
        default=0,
        metadata=setting(
            "for very many subaccounts: hours until a product's list is reread that was empty, or that a subaccount "
            "does not have; 0: every sync reads it",
            minimum=0,
            maximum=CENTURY_DAYS * 24,
        ),
    )
    max_child_requests: int = field(
        default=5000,
        metadata=setting(
            "maximum parent rows per sync and account whose children (such as media) are fetched; the rest follow in "
            "later syncs",
            minimum=1,
            maximum=10**9,
        ),
    )
    subaccount_tokens: bool = field(
        default=True,
        metadata=setting(
            "whether product streams of subaccounts are read, with the auth tokens that the main account lists; "
            "`false`: in the main account only"
        ),
    )
    decimals: str = field(
        default="number",
        metadata=setting(
            "how prices and other decimal numbers are written: as JSON numbers; as text of the same digits; or as such "
            "text with the Singer SDK's format of decimals, of which SQL targets make exact NUMERIC columns",
            enum=["number", "text", "singer"],
        ),
    )
    unknown_properties: str = field(
        default="drop",
        metadata=setting(
            "what happens to properties that are not in the schema: dropped, or kept as JSON text in one more column, "
            "`unknown_properties`",
            enum=["drop", "column"],
        ),
    )
    mask: dict[str, str] | None = field(
        default=None,
        metadata=setting(
            "columns with personal data, such as `messages.body` or `*.friendly_name`, each with `null` or `hash`; "
            "copies in the row's JSON and URLs are masked too",
            type="object",
            additionalProperties={"enum": ["null", "hash"]},
        ),
    )
    mask_key: str | None = field(
        default=None,
        repr=False,
        metadata=setting(
            "the secret key of the hashes that `mask` makes, of 16 characters or more",
            minLength=16,
            env="TAP_TWILIO_MASK_KEY",
            secret=True,
        ),
    )
    on_invalid: str = field(
        default="fail",
        metadata=setting(
            "a value that does not fit its schema fails its stream and account, or becomes null",
            enum=["fail", "null"],
        ),
    )
    base_url: str | None = field(
        default=None,
        metadata=setting(
            "origin that replaces Twilio's hosts (a proxy, the sandbox): https, or http on a loopback address; "
            "`{product}` in its path or host stands for the product"
        ),
    )
    user_agent: str = field(
        default=f"tap-twilio/{__version__}",
        metadata=setting("User-Agent header of requests", pattern="^[!-~][ -~]*$"),
    )


def _property(declared: Field[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a setting."""
    kind = {"type": KINDS[str(declared.type)]} if "type" not in declared.metadata["rules"] else {}
    default = {} if declared.default in (MISSING, None) else {"default": declared.default}
    return {**kind, **declared.metadata["rules"], **default, "description": declared.metadata["description"]}


# What a config may hold, in JSON Schema (Draft 4).
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {declared.name: _property(declared) for declared in fields(Settings) if declared.metadata},
}


def load(paths: Sequence[str], environ: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    """
    Return the settings of several files, and warnings; later files win. Raises TapError, which names the setting.

    The path `ENV` stands for the variables TAP_TWILIO_*, each named for a setting in capitals.
    """
    environ = dict(os.environ) if environ is None else environ
    raw = _merge_files(paths, environ)
    readable = [
        f"{path} holds credentials and others can read it: chmod 600 {path}"
        for path in paths
        if path != ENV and _others_read(Path(path)) and SECRETS & set(read_json(path, "--config"))
    ]
    settings, warnings = settings_from(raw, environ)
    return settings, warnings + readable


def schema_options(paths: Sequence[str], environ: dict[str, str] | None = None) -> dict[str, Any]:
    """Return only the settings that change the schemas: discovery needs no account. Raises what `load` does."""
    raw = _merge_files(paths, dict(os.environ) if environ is None else environ)
    known = SCHEMA["properties"]
    values = {name: _convert(raw[name], known[name]) for name in SCHEMA_OPTIONS if raw.get(name) not in (None, "")}
    _validate(values)
    return values


def _merge_files(paths: Sequence[str], environ: dict[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for path in paths:
        config = _read_variables(environ) if path == ENV else read_json(path, "--config")
        if not isinstance(config, dict):
            raise TapError("The config must be a JSON object, as in sample_config.json.")
        raw |= config
    return raw


def _others_read(path: Path) -> bool:
    """Return whether other users can read a file. Meltano's own files for a run do not count."""
    mode = path.stat().st_mode if os.name == "posix" else 0
    return bool(stat.S_IMODE(mode) & 0o077) and ".meltano" not in path.absolute().parts


def _read_variables(environ: dict[str, str]) -> dict[str, str]:
    names = {f"{PREFIX}{name.upper()}": name for name in [*SCHEMA["properties"], *OLD_NAMES]}
    return {names[variable]: value for variable, value in environ.items() if variable in names}


def settings_from(raw: Any, environ: dict[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings of a config, and warnings. Raises TapError, which names the setting and never its value."""
    if not isinstance(raw, dict):
        raise TapError("The config must be a JSON object, as in sample_config.json.")
    known = SCHEMA["properties"]
    unused = sorted(set(raw) & SINGER_IO)
    if unused:
        LOGGER.info("settings of singer-io's tap-twilio that this tap ignores: %s", ", ".join(unused))
    raw, warnings = _rename_old(raw)
    unknown = sorted(set(raw) - set(known) - SINGER_IO)
    warnings += [f"unknown setting {ascii(name)[:60]} in the config is ignored{_similar(name)}" for name in unknown]
    values = {name: _convert(raw[name], known[name]) for name in known if name in raw}
    values = {name: value for name, value in values.items() if value not in (None, "")}
    if str(values.get("subaccounts")).startswith(("AC", "!AC")):
        values["subaccounts"] = [values["subaccounts"]]
    _add_from_environment(values, environ)
    _validate(values)
    if "hash" in values.get("mask", {}).values() and "mask_key" not in values:
        raise TapError("Setting mask_key is missing: mask hashes columns with it; TAP_TWILIO_MASK_KEY may hold it.")
    if "credentials" in values:
        values["credentials"] = _parse_keys(values["credentials"])
    try:
        user, password = _choose_credentials(values)
    except TapError:
        for warning in warnings:  # a misspelt setting may be the missing one
            LOGGER.warning("%s", warning)
        raise
    for name in {"start_date", "end_date"} & set(values):
        values[name] = _parse_date(name, values[name])
    if values.get("start_date", BEGINNING) >= values.get("end_date", END):
        raise TapError("Setting end_date is not after start_date, so that no row would be read: change one of them.")
    if "base_url" in values:
        values["base_url"] = parse_base_url(values["base_url"])
    if isinstance(values.get("subaccounts"), list):
        values |= _choose_accounts(values["subaccounts"])
    kept = {name: value for name, value in values.items() if name not in CREDENTIALS}
    return Settings(user=user, password=password, **kept), warnings


def _similar(name: str) -> str:
    """Return a question that names the setting that was probably meant, or an empty text."""
    near = get_close_matches(name, SCHEMA["properties"], n=1)
    return f": did you mean {near[0]}?" if near else ""


def _choose_accounts(named: list[str]) -> dict[str, Any]:
    """Return `subaccounts` and `left_out` for a list of SIDs, of which those to leave out begin with "!"."""
    if not named:
        raise TapError("Setting subaccounts is an empty list: name at least one account SID, or use true or false.")
    left_out = [sid[1:] for sid in named if sid.startswith("!")]
    if left_out and len(left_out) < len(named):
        raise TapError('Setting subaccounts mixes SIDs with and without "!": name the accounts to read, or all others.')
    if left_out:
        return {"subaccounts": True, "left_out": frozenset(left_out)}
    return {"subaccounts": tuple(dict.fromkeys(named))}


def _rename_old(raw: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a config with new names in place of old ones, and one warning for all; if both are given, the new wins."""
    old = [name for name in OLD_NAMES if name in raw]
    if not old:
        return raw, []
    renamed = {OLD_NAMES[name]: raw[name] for name in old}
    pairs = ", ".join(f"{name} is called {OLD_NAMES[name]} now" for name in old)
    kept = {name: value for name, value in raw.items() if name not in OLD_NAMES}
    return renamed | kept, [f"settings were renamed: {pairs}; change the config"]


def _convert(value: Any, schema: dict[str, Any]) -> Any:
    """Return a value with the type of its setting: some schedulers pass numbers and booleans as text, with newlines."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    if "string" not in _type_names(schema):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def _type_names(schema: dict[str, Any]) -> list[str]:
    kinds = schema["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def _add_from_environment(values: dict[str, Any], environ: dict[str, str]) -> None:
    """Add missing settings from the environment; credentials only as a pair, so that two pairs never mix."""
    names = ["region", "edge", "mask_key"]
    if "credentials" not in values or CREDENTIALS & set(values):  # else the config has every key that it needs
        names.append("account_sid")
    if not (CREDENTIALS | {"credentials"}) & set(values):
        names += (
            ["api_key_sid", "api_key_secret"]
            if environ.get("TWILIO_API_KEY") and not environ.get("TWILIO_AUTH_TOKEN")
            else ["auth_token"]
        )
    elif "api_key_sid" in values and "api_key_secret" not in values:
        names.append("api_key_secret")
    for name in names:
        value = environ.get(SCHEMA["properties"][name]["env"], "").strip()
        if value and name not in values:
            values[name] = value


def _validate(values: dict[str, Any]) -> None:
    sid = values.get("account_sid", "AC" + "0" * 32)
    if not isinstance(sid, str) or not re.fullmatch(ACCOUNT[1:-1], sid):
        raise TapError(
            "Setting account_sid is not an account SID: AC and 32 hexadecimal digits, from Twilio's console."
        )
    for error in sorted(Draft4Validator(SCHEMA).iter_errors(values), key=lambda e: list(map(str, e.path))):
        name = str(error.path[0])
        schema, allowed = SCHEMA["properties"][name], error.validator_value if error.validator == "enum" else ()
        rule = {
            "type": f"must be of type {' or '.join(_type_names(schema))}",
            "enum": f"must be one of {', '.join(map(repr, allowed))}",
            "minimum": f"must be at least {schema.get('minimum')}",
            "maximum": f"must be at most {schema.get('maximum')}",
        }.get(error.validator, "is malformed")
        raise TapError(f"Setting {name} {rule}: {schema['description']}.")


def _parse_keys(credentials: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the API key of each account. Raises TapError, which names the account unless it is no SID."""
    keys = {}
    for sid, key in credentials.items():
        if not re.fullmatch(ACCOUNT[1:-1], sid):
            raise TapError("Setting credentials has a name that is no account SID: AC and 32 hexadecimal digits.")
        if not isinstance(key, dict) or key.keys() != {"api_key_sid", "api_key_secret"}:
            raise TapError(f"Setting credentials: {sid} needs api_key_sid and api_key_secret, and nothing else.")
        for name, pattern in (("api_key_sid", KEY), ("api_key_secret", HEADER)):
            if not isinstance(key[name], str) or not re.fullmatch(pattern[1:-1], key[name]):
                raise TapError(f"Setting credentials: {name} of {sid} is malformed.")
        keys[sid] = key["api_key_sid"], key["api_key_secret"]
    if not keys:
        raise TapError("Setting credentials is empty: name at least one account with its API key, or leave it out.")
    return keys


def _choose_credentials(values: dict[str, Any]) -> tuple[str, str]:
    keys = values.get("credentials", {})
    if keys and not CREDENTIALS & set(values):
        return _choose_own_key(keys, values)
    if values.get("account_sid") in keys:
        raise TapError("Setting credentials has a key of account_sid, and another setting, too: leave one of them out.")
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


def _choose_own_key(keys: dict[str, tuple[str, str]], values: dict[str, Any]) -> tuple[str, str]:
    """Return the key of `account_sid`; without this setting, set it to the first account of `credentials`."""
    account = values.setdefault("account_sid", next(iter(keys)))
    if account not in keys:
        raise TapError("Setting credentials has no key of account_sid: add it, or leave account_sid out.")
    named = values["subaccounts"] if isinstance(values.get("subaccounts"), list) else []
    if without_key := [sid for sid in named if sid.lstrip("!") not in keys]:
        raise TapError(f"Setting credentials has no key of {without_key[0].lstrip('!')}, which subaccounts names.")
    return keys[account]


def _parse_date(name: str, text: str) -> Timestamp:
    """Return a date; of a day as `end_date`, its end. Raises TapError."""
    try:
        return later(parse_date(text), DAY) if name == "end_date" and is_day(text) else parse_date(text)
    except ValueError:
        raise TapError(f"Setting {name} is not a date: write 2026-01-31 or 2026-01-31T00:00:00Z.") from None
