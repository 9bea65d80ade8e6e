"""
New rows of any list: like the first one that Twilio published, with their own values.

SIDs are new and match the list's pattern, account and parents are the given ones, and dates are the sandbox's.
"""

import copy
import re
from random import Random
from typing import Any

from .catalog import Fact, value_type
from .rows import Json, new_sid, phone, snake
from .timestamps import DAY, iso8601, rfc2822, timestamp

SID = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9a-fA-F]{32}(?![0-9A-Za-z])")
PART = re.compile(r"(?<=[/=])[^/?&=]+?(?=[/?&]|\.json|$)")  # of an address: a segment or a value
IN_ADDRESSES = ("category", "start_date", "end_date")
COUNTRIES = (
    "US GB DE FR ES IT NL BE AT CH SE NO DK FI IE PT PL CZ GR HU RO BG HR SI SK EE LV LT LU MT CY CA MX BR AR CL CO "
    "PE AU NZ JP KR SG HK MY TH ID PH VN IN ZA NG KE EG MA IL TR AE SA UA RS IS"
).split()
# Written by Twilio below all parents alike: a SID that finds a row only in its place (oai, description and example).
CONSTANT = {"us_app_to_person": "sid"}
# Values of rows that live accounts received, where the published ones differ (public repositories, 2017-2026): an empty
# text where the documents have a SID, capabilities in upper case, and nulls.
NUMBER_FOUND: Json = {
    "capabilities": {"MMS": True, "SMS": True, "voice": True},
    **dict.fromkeys(("lata", "locality", "postal_code", "rate_center")),
}
RECORDED_VALUES: dict[str, Json] = {
    "dependent_phone_numbers": dict.fromkeys(
        ("voice_application_sid", "sms_application_sid", "trunk_sid", "emergency_address_sid", "status_callback"), ""
    ),
    "usage_triggers": {"recurring": ""},
    "verify_services": {"default_template_sid": None, "tts_name": None},
    "recordings": {"conference_sid": None, "encryption_details": None},
    **{
        f"available_phone_numbers_{kind}": NUMBER_FOUND
        for kind in ("local", "machine_to_machine", "mobile", "national", "shared_cost", "toll_free", "voip")
    },
}
BLANKS: dict[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0, "array": [], "object": {}}


def written(kind: str, at: int) -> str | None:
    """Return a timestamp in a property's format."""
    if kind == "date":
        return str(iso8601(at - at % DAY))[:10]
    return rfc2822(at) if kind == "date-time-rfc-2822" else iso8601(at)


def is_date(kind: str) -> bool:
    """Return whether a format is one of the three of dates."""
    return kind in ("date", "date-time", "date-time-rfc-2822")


def as_written(fact: Fact, given: Json) -> Json:
    """Return properties as the list writes them: dates may be seconds, ISO 8601 or RFC 2822."""
    if unknown := set(given) - set(fact.properties):
        raise ValueError(f"{fact.name} have no {', '.join(sorted(unknown))}")
    return {
        name: written(value_type(fact.properties, name), timestamp(value))
        if value is not None and is_date(value_type(fact.properties, name))
        else value
        for name, value in given.items()
    }


def blank(fact: Fact) -> Json:
    """Return a row of a list without published rows."""
    return {
        name: None if facts.get("nullable") else facts.get("enum", [BLANKS.get(facts.get("type", ""))])[0]
        for name, facts in fact.properties.items()
    }


def new_row(fact: Fact, rng: Random, account: str, path_values: Json, created: int, number: int, given: Json) -> Json:
    """
    Return a new row of a list.

    `path_values` has the values of its path, `number` is how many rows the list has had, `given` overrides all.
    """
    sample = (fact.published[0] if fact.published else blank(fact)) | RECORDED_VALUES.get(fact.name, {})
    data: Json = {name: copy.deepcopy(sample.get(name)) for name in fact.properties}
    given = as_written(fact, given)
    own = _own_values(fact, rng, account, path_values, number, data) | _dates(fact, data, created) | given
    identifying = [name for name in data if name == fact.key or name in IN_ADDRESSES or _is_sid(data[name])]
    replacements = {
        data[name]: own[name]
        for name in sorted(identifying, key=lambda name: name != fact.key)
        if isinstance(data[name], str) and isinstance(own.get(name), str)
    }
    data = _replaced(data, replacements, account) | own
    return data | {
        name: value for name, value in _addresses(fact, account, path_values, data).items() if name not in given
    }


def _is_sid(value: Any) -> bool:
    return isinstance(value, str) and SID.fullmatch(value) is not None


def _dates(fact: Fact, data: Json, created: int) -> Json:
    """Return the dates of the published row, and those of creation and change: all equal the row's creation."""
    kinds = {name: value_type(fact.properties, name) for name in data}
    always = ("date_created", "date_updated")
    return {n: written(k, created) for n, k in kinds.items() if is_date(k) and (data[n] is not None or n in always)}


def _own_values(fact: Fact, rng: Random, account: str, path_values: Json, number: int, data: Json) -> Json:
    """Return the values in which a new row differs from the published one."""
    own = {}
    for name, facts in fact.properties.items():
        value, kind = data[name], value_type(fact.properties, name)
        if name == CONSTANT.get(fact.name) or name in RECORDED_VALUES.get(fact.name, ()):
            continue
        if name == fact.key or (_is_sid(value)):
            own[name] = unlike(fact, rng, value, number, name)
        elif name == "unique_name" and value:
            own[name] = f"{value}-{number}"
        elif name == "phone_number" and kind == "phone-number":
            own[name] = phone(rng)
        elif name == "ip_address" and value:
            own[name] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        if "enum" in facts and own.get(name, value) not in [None, *facts["enum"]]:
            own[name] = facts["enum"][0]
    if "account_sid" in fact.properties:
        own["account_sid"] = account or data["account_sid"]
    return own | named(fact, path_values)


def named(fact: Fact, path_values: Json) -> Json:
    """Return the properties that repeat a value of the path: `flow_sid`, or `parent_sid` for the last one."""
    found = {snake(name): value for name, value in path_values.items() if snake(name) in fact.properties}
    if fact.parameters and "parent_sid" in fact.properties and snake(fact.parameters[-1]) not in fact.properties:
        found["parent_sid"] = path_values[fact.parameters[-1]]
    return found


def unlike(fact: Fact, rng: Random, value: Any, number: int, name: str = "") -> Any:
    """Replace a published value by one that no other row of the list has; that of the key unless a name is given."""
    name = name or fact.key
    if _is_sid(value):
        return new_sid(rng, value[:2])
    if value_type(fact.properties, name) == "iso-country-code" or "country" in name or name == "iso_code":
        return COUNTRIES[number % len(COUNTRIES)] + ("" if number < len(COUNTRIES) else str(number))
    return number if isinstance(value, int) else f"{value}-{number}"


def some_value(rng: Random, name: str, facts: Json) -> str:
    """Return a value for a path without a parent: a SID if the pattern is one."""
    prefix = re.match(r"\^([A-Z]{2})\[", facts.get("pattern", ""))
    return new_sid(rng, prefix[1]) if prefix else f"{name}-{rng.randrange(1000)}"


def _replaced(value: Any, replacements: Json, account: str) -> Any:
    """Replace published values by the row's own, within addresses too."""
    if isinstance(value, str):
        text = SID.sub(lambda found: _replacement(found.group(), replacements, account), value)
        return (
            PART.sub(lambda found: str(replacements.get(found.group(), found.group())), text) if "/" in text else text
        )
    if isinstance(value, list):
        return [_replaced(item, replacements, account) for item in value]
    if isinstance(value, dict):
        return {name: _replaced(item, replacements, account) for name, item in value.items()}
    return value


def _replacement(sid: str, replacements: Json, account: str) -> str:
    return account if sid[:2] == "AC" and account else str(replacements.get(sid, sid))


def _addresses(fact: Fact, account: str, path_values: Json, data: Json) -> Json:
    """Return the row's own address: `url` with its host, `uri` without."""
    if fact.one is None or data.get(fact.key) is None:
        return {}
    last = fact.one.removesuffix(".json").rpartition("/")[2][1:-1]
    path = fact.fill(fact.one, {"AccountSid": account} | path_values | {last: data[fact.key]})
    made = {"url": f"https://{fact.product}.twilio.com{path}", "uri": path}
    return {name: made[name] for name in ("url", "uri") if name in fact.properties}


def adopted(fact: Fact, published: Json, account: str, path_values: Json) -> Json:
    """Return a row exactly as Twilio published it, except for the account and the parents that it names."""
    own = {"account_sid": account} if "account_sid" in fact.properties and account else {}
    return copy.deepcopy(published) | own | named(fact, path_values)
