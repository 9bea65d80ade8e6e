"""
Validate queries: a list refuses unknown parameters and wrong values with 400 and code 20001.
"""

import re
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from .lists import DATE, PAGING, Refused
from .rows import Json
from .timestamps import timestamp

BOOLEANS = ("true", "false")
AGO = re.compile(r"[+-]\d+days")  # usage records take days from today (parameters' text, oai)


def refuse(name: str, because: str = "is not valid") -> Refused:
    """Return the error of a parameter."""
    return Refused(400, 20001, f"Parameter '{name}' {because}")


def is_datetime(value: str) -> bool:
    """
    Return whether a parameter of format date-time accepts a value.

    >>> [is_datetime(text) for text in ("2026-04-01", "2026-04-01T09:00:00Z", "soon")]
    [True, True, False]
    """
    try:
        timestamp(value.replace(" ", "+"))
    except ValueError:
        return False
    return value[:1].isdigit()


def is_date(value: str) -> bool:
    """Return whether a value is a day without a time."""
    try:
        return DATE.fullmatch(value) is not None and date.fromisoformat(value) is not None
    except ValueError:
        return False


def misfit(facts: Json, value: str) -> str:
    """Return what is wrong with a value, in words, or an empty string."""
    if facts.get("type") == "array":
        return misfit(facts.get("items", {}), value)
    checks: dict[Any, tuple[bool, str]] = {
        "boolean": (value.lower() in BOOLEANS, "must be true or false"),
        "integer": (re.fullmatch(r"-?\d+", value) is not None, "must be a number"),
        "date": (is_date(value) or AGO.fullmatch(value) is not None, "must be a date, YYYY-MM-DD"),
        "date-time": (is_datetime(value), "must be a date and time in ISO 8601"),
    }
    for kind in (facts.get("type"), facts.get("format")):
        good, wanted = checks.get(kind, (True, ""))
        if not good:
            return wanted
    if "enum" in facts and value not in facts["enum"]:
        return f"must be one of {', '.join(map(str, facts['enum']))}"
    if "pattern" in facts and re.search(facts["pattern"], value) is None:
        return "is not valid"
    return ""


def validate(known: Json, query: str) -> dict[str, list[str]]:
    """Return the parameters of a query, each with its values; an empty value counts as none."""
    asked: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known and name not in PAGING:
            raise refuse(name, "is not known to this list")
        if not value:
            continue
        wrong = misfit(known[name], value) if name in known else ""
        if wrong:
            raise refuse(name, wrong)
        asked.setdefault(name, []).append(value)
    return asked
