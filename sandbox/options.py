"""
Switches: where Twilio's behaviour is not established, or varies, a switch says which way this one goes.

All can be changed at any time: as attributes, by `switch` (text in, as the command line and the control endpoint
need it), or by name when the `Twilio` is made.
"""

import json
from dataclasses import dataclass, field, fields
from typing import Any

CHOICES: dict[str, tuple[Any, ...]] = {
    "order": ("recorded", "created", "created_ascending", "first", "last", "updated", "updated_ascending", "sid"),
    "page_host": ("twilio", "here"),
    "tokens": ("row", "offset"),
    "accounts_listed": ("all", "others", "none"),
    "deleted_token": ("taken", "refused", "empty"),
    "less_than_date_means": ("start", "end"),
    "conference_default": ("in-progress", "all"),
    "insights_refusal": (401, 403, 404),
    "usage_refusal": (400, 404, 500),
    "processing_default": ("completed", "partial", "all"),
    "large_pages": ("cut", "refused"),
    "summary_annotation": ("whole", "part", "none"),
}


@dataclass(eq=False, repr=False)
class Options:
    """Every switch, and how the sandbox behaves when nobody touches it."""

    order: str = "recorded"
    """How lists are sorted: each as recorded, or all by creation or change, either way, or SID; some by date too."""
    page_host: str = "twilio"
    """Which host `next_page_url` and its like name: Twilio's own, as Twilio does behind a proxy too, or this one."""
    usage_categories: int = 20
    """How many categories of usage the demo has a day; recorded: 517 (live account, 2026), most of them zero."""
    tokens: str = "row"
    """What page tokens are: the name of the row that a page ended with, or how many rows stood above the next one."""
    accounts_listed: str = "all"
    """Which accounts Accounts.json shows: all, all but the main one, or none."""
    deleted_token: str = "taken"
    """What a token naming a deleted row gets: the page after where it stood, an error, or an empty last page."""
    late_hours: float = 0.0
    """Rows made from now on are listed up to this late after their creation, each by a lag of its own."""
    null_date_updated: float = 0.0
    """Which part of the rows made from now on never has a `date_updated`."""
    api_filter_hides_null: bool = True
    """Whether DateSent, StartTime and EndTime filters hide rows without that date."""
    less_than_date_means: str = "end"
    """Whether a bare date with `<` is the midnight at its start or at its end."""
    inclusive: bool = True
    """Whether both ends of a date filter belong to it."""
    reach_days: float = 400.0
    """How far back Messages answers a DateSent filter."""
    reaches: dict[str, float] = field(default_factory=dict)
    """How many days back other lists answer a date filter: {"calls": 90}; 400 with code 20004 beyond."""
    usage_days: float = 0.0
    """The longest span of days that usage records answer; 0: any."""
    usage_since_creation: bool = False
    """Whether usage records refuse spans that begin before the day on which the account was created."""
    usage_bad_days: dict[str, int] = field(default_factory=dict)
    """Days of which usage records answer no span, and with which HTTP status: {"2026-03-01": 500}."""
    usage_refusal: int = 500
    """With which HTTP status usage records refuse spans that are too long, or begin too early."""
    conference_default: str = "in-progress"
    """What the conference list shows without Status."""
    limit: int = 0
    """How many requests one account may have under way at once; 0: any number."""
    retry_after: float = 0.0
    """The Retry-After of a 429, in seconds; 0: none is sent."""
    latency: tuple[float, float] = (0.0, 0.0)
    """How long a list page takes: seconds, and seconds a row."""
    faults: dict[str, float] = field(default_factory=dict)
    """Random faults: a rate from 0 to 1 for each kind (`faults.KINDS`)."""
    misdated_hours: float = 7.0
    """How far ahead a misdated answer is; behind, where it is negative."""
    hang_seconds: float = 30.0
    """How long a hanging request is held before its connection is closed."""
    trickle_seconds: float = 1.0
    """The pause before each byte of a trickling body."""
    closed_answer: tuple[int, int] = (401, 20005)
    """HTTP status and code with which a closed account refuses reads."""
    suspended_answer: tuple[int, int] = (0, 0)
    """HTTP status and code with which a suspended account refuses reads; 0, 0: it does not."""
    test_credentials: bool = False
    """Whether the credentials are test credentials, which read nothing: 403, 20008."""
    insights_available: bool = True
    """Whether the account has Voice Insights."""
    insights_refusal: int = 404
    """With which HTTP status its lists refuse, if it has not."""
    processing_default: str = "completed"
    """Which summaries a list without ProcessingState shows."""
    summary_annotation: str = "whole"
    """What a listed summary carries of its annotation: all, `call_score` and `quality_issues` only, or nothing."""
    absent_products: dict[str, int] = field(default_factory=dict)
    """Which products the account has not got, and with which HTTP status they refuse: {"studio": 404}."""
    refused_products: dict[str, list[int]] = field(default_factory=dict)
    """Which products refuse, in one account or path only, and how: {"studio": [403, 70051], "api/AC…": [403, 0]}.

    With a code of 0 a gateway refuses, in HTML."""
    large_pages: str = "cut"
    """What a PageSize beyond a list's largest gets: the largest page, or 400."""
    silent_changes: bool = True
    """Whether `date_updated` stays where it is when a price is filled in or a body redacted."""
    gzip: bool = True
    """Whether bodies are compressed for those who accept it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} is one of {CHOICES[name]}, not {value!r}")
        super().__setattr__(name, value)

    def switch(self, name: str, value: str) -> None:
        """Set a switch from text: true, 3, [0.1, 0.001], {"503": 0.2}, or a word."""
        known = {f.name: f for f in fields(Options)}
        if name not in known:
            raise ValueError(f"There is no switch {name!r}; there are {', '.join(known)}")
        now = getattr(self, name)
        try:
            new = value if isinstance(now, str) else json.loads(value.lower() if isinstance(now, bool) else value)
        except ValueError:
            raise ValueError(f"{name} is like {now!r}, not {value!r}") from None
        if isinstance(now, tuple) and isinstance(new, list) and len(new) == len(now):
            new = tuple(new)
        if isinstance(now, float) and isinstance(new, int) and not isinstance(new, bool):
            new = float(new)
        if type(new) is not type(now):
            raise ValueError(f"{name} is like {now!r}, not {value!r}")
        setattr(self, name, new)
