"""
The simulated Twilio: accounts, their rows, a clock that moves only when told, and keys.

`api` and `insights` decide what it answers over HTTP, `lists` how a page is split; what happens by itself is
`life`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date, datetime
from random import Random
from threading import RLock
from typing import Any

from .bulk import load
from .faults import Faults
from .generic import Generic, is_generic
from .insights import summary
from .lists import LISTINGS, Table
from .options import Options
from .rows import MAKERS, PREFIXES, STREAMS, Json, Row, brought_by_status, new_sid
from .samples import fill
from .simulation import Simulation, is_silent
from .timestamps import DAY, HOUR, iso8601, timestamp

When = str | datetime | date | int | float

ANNOTATION = {
    "answered_by": "unknown_answered_by",
    "connectivity_issue": "unknown_connectivity_issue",
    "quality_issues": (),
    "spam": None,
    "call_score": None,
    "comment": "",
    "incident": "",
}


class Twilio(Options):
    """
    A simulated Twilio. All times are simulated: ISO 8601 text, datetimes, or seconds.

    `main` is the SID of the main account and `auth_token` its token; `accounts` counts the active accounts to begin
    with, the main one included. Any switch can be given by name. One seed and the same calls give the same rows.
    """

    def __init__(self, seed: int = 0, start: When = "2026-01-01T00:00:00Z", accounts: int = 1, **switches: Any) -> None:
        unknown = set(switches) - {f.name for f in fields(Options)}
        if unknown:
            raise TypeError(f"There is no switch {', '.join(sorted(unknown))}")
        super().__init__(**switches)
        self.seed = seed
        self.lock = RLock()  # guards all below against requests that arrive together
        self.rng = Random(f"twilio {seed}")
        self._now = self.latest = timestamp(start)
        self.rows: dict[str, Row] = {}  # all, also deleted ones
        self.streams: dict[str, dict[str, Row]] = {stream: {} for stream in STREAMS}
        self.tables: dict[tuple[str, str], Table] = {}
        self.feedbacks: dict[str, Row] = {}
        self.annotations: dict[str, Json] = {}
        self.keys: dict[str, tuple[str, str, str]] = {}  # sid -> account, kind, secret
        self.gone: dict[str, float] = {}  # account -> since when it cannot be read
        self.script = Faults(seed)
        self.simulation = Simulation(self)
        self.generic = Generic(self)
        self.main = ""
        self.main = self.add_account()
        self.auth_token: str = self.rows[self.main].data["auth_token"]
        for _ in range(accounts - 1):
            self.add_account()

    @classmethod
    def demo(cls, seed: int = 0, **switches: Any) -> "Twilio":
        """Create a customer's three months: five accounts, one suspended, one closed; now is 2026-04-01T09:00Z."""
        twilio = cls(seed, **switches)
        twilio.simulation.three_months()
        fill(twilio)
        return twilio

    # The clock

    @property
    def now(self) -> datetime:
        """Return the simulated time, which is also the `Date` header."""
        return datetime.fromisoformat(str(iso8601(self._now)).replace("Z", "+00:00"))

    @property
    def clock(self) -> int:
        """Return the simulated time in seconds since 1970."""
        return self._now

    def at(self, when: When) -> "Twilio":
        """Set the clock, forwards or backwards; nothing else happens."""
        with self.lock:
            self._now = timestamp(when)
            self.latest = max(self.latest, self._now)
        return self

    def advance(self, hours: float = 1, busy: float = 1.0) -> "Twilio":
        """Advance the clock: rows move, come, change and go. `busy` times as much as usual happens."""
        with self.lock:
            self.simulation.advance(round(hours * HOUR), busy)
        return self

    # Making rows

    def messages(self, n: int = 1, account: str | None = None, status: str = "delivered", **more: Any) -> list[str]:
        """
        Add messages of a status, created now, or at `created`, or evenly from `since` to `until`.

        Any property can be given by name (`from_` for `from`); a function of the row's number makes one for each.
        """
        return self._make("messages", n, account, status, more)

    def calls(self, n: int = 1, account: str | None = None, status: str = "completed", **more: Any) -> list[str]:
        """Add calls, as `messages`."""
        return self._make("calls", n, account, status, more)

    def conferences(self, n: int = 1, account: str | None = None, status: str = "completed", **more: Any) -> list[str]:
        """Add conferences, as `messages`."""
        return self._make("conferences", n, account, status, more)

    def transcriptions(
        self, n: int = 1, account: str | None = None, status: str = "completed", **more: Any
    ) -> list[str]:
        """Add transcriptions, as `messages`."""
        return self._make("transcriptions", n, account, status, more)

    def addresses(self, n: int = 1, account: str | None = None, **more: Any) -> list[str]:
        """Add addresses, as `messages`; they have no status."""
        return self._make("addresses", n, account, "", more)

    def add(
        self, stream: str, account: str | None = None, parent: str | Json | None = None, n: int = 1, **more: Any
    ) -> list[str]:
        """
        Add rows to any list of Twilio's, by its name in `tools/lists.txt` or its operation ("studio/ListExecution").

        They look like the first one that Twilio published. `parent` is the handle of the row that they belong to, or
        the values of their path by name, also in snake case; without it, any that there is, or else a new one. `since`,
        `until`, `created` and properties are as for `messages`. Returned are their handles: what `change` and `delete`
        take; a SID if the rows have one.
        """
        with self.lock:
            if is_generic(stream):
                return self.generic.add(stream, account, parent, n, more)
            if stream == "accounts":
                return [self.add_account(**more) for _ in range(n)]
            make = {name: getattr(self, name) for name in PREFIXES} | {"call_summaries": self.calls}
            if stream not in make:
                raise ValueError(f"{stream} have a method of their own")
            return list(make[stream](n, account, **more))

    def add_published(self, stream: str, account: str | None = None, parent: str | Json | None = None) -> list[str]:
        """
        Add the rows of a list that Twilio published as examples, word for word.

        Only the account and the parents are those of here, and a key that is taken gives way to one that is not.
        """
        with self.lock:
            return self.generic.add(stream, account, parent, 0, {}, published=True)

    def add_account(self, status: str = "active", **more: Any) -> str:
        """Add a subaccount."""
        (sid,) = self._make("accounts", 1, self.main, status, more)
        return sid

    def _make(self, stream: str, n: int, account: str | None, status: str, more: Json) -> list[str]:
        with self.lock:
            given = {name.rstrip("_"): value for name, value in more.items()}
            account = account if account is not None else self.main
            since, until = given.pop("since", None), given.pop("until", None)
            created = timestamp(given.pop("created", self._now))
            first = timestamp(since) if since is not None else created
            last = timestamp(until) if until is not None else (self._now if since is not None else created)
            return [
                self._add(stream, account, first + (last - first) * i // max(1, n - 1), status, i, given)
                for i in range(n)
            ]

    def _add(self, stream: str, account: str, created: int, status: str, i: int, given: Json) -> str:
        given = {name: value(i) if callable(value) else value for name, value in given.items()}
        created = timestamp(given.get("date_created") or created)
        data = MAKERS[stream](self.rng, account, created, max(self._now, created), status, given)
        _known(stream, data, given)
        sid = str(data["sid"])
        if sid in self.rows:
            raise ValueError(f"{sid} is there already")
        row = Row(stream, sid if stream == "accounts" else account, sid)
        row.mute = self.chance(sid) < self.null_date_updated
        row.update(data | given | ({"date_updated": None} if row.mute and "date_updated" not in given else {}))
        row.shown = row.created + int(self.chance(sid[::-1]) * self.late_hours * HOUR)
        self.rows[sid] = self.streams[stream][sid] = row
        self.table(stream, account).add(row)
        if stream == "accounts" and data["status"] == "closed":
            self.gone[sid] = -math.inf
        return sid

    def chance(self, sid: str) -> float:
        """Return a number from 0 to 1 that depends on the SID alone, so that other draws do not change."""
        return Random(f"{self.seed} {sid}").random() if self.late_hours or self.null_date_updated else 1.0

    def bulk(
        self,
        stream: str,
        n: int,
        since: When,
        until: When,
        account: str | None = None,
        skew: bool = False,
    ) -> None:
        """
        Add many finished rows at once, cheaply: a million in some seconds, a few hundred bytes each.

        They are spread at random over the span; with `skew`, one month in its middle gets ten times as many as others.
        They are never late, always have a `date_updated`, and afterwards are rows like all others.
        """
        with self.lock:
            load(
                self, stream, n, timestamp(since), timestamp(until), account if account is not None else self.main, skew
            )

    # Changing rows

    def change(self, sid: str, silently: bool = False, **properties: Any) -> None:
        """
        Change a row now: `date_updated` becomes now unless given, and a status brings what Twilio sets with it.

        A message that gets sent gets its `date_sent`, a call its `start_time`, `end_time` and `duration`. With
        `silently`, `date_updated` stays where it is; so it does for some changes if `silent_changes` says so.
        """
        with self.lock:
            given = {name.rstrip("_"): value for name, value in properties.items()}
            silently = silently or (self.silent_changes and is_silent(given))
            if sid in self.generic.items:
                self.generic.change(sid, silently, given)
                return
            row = self.rows[sid]
            _known(row.stream, row.data, given)
            changes = brought_by_status(row, given, self._now) | given
            if "date_updated" not in given and not silently:
                changes["date_updated"] = None if row.mute else self._now
            table = self.table(row.stream, self.main if row.stream == "accounts" else row.account)
            listed = row.deleted is None
            moves = listed and any(name in changes for name in ("date_created", "date_sent", "start_time"))
            moves |= listed and table.order.startswith("updated")
            if moves:
                table.discard(row)
            row.update(changes)
            if moves:
                table.add(row)
            elif listed:
                table.touch()
            if row.stream == "accounts" and "status" in given and listed:
                if given["status"] == "closed":
                    self.gone[sid] = self._now
                else:
                    self.gone.pop(sid, None)

    def delete(self, sid: str) -> None:
        """Delete a row: lists stop showing it."""
        with self.lock:
            if sid in self.generic.items:
                self.generic.delete(sid)
                return
            row = self.rows[sid]
            if row.deleted is None:
                self.table(row.stream, self.main if row.stream == "accounts" else row.account).discard(row)
                row.deleted = self._now

    def feedback(self, call_sid: str, quality_score: int, issues: Iterable[str] = ()) -> None:
        """Give feedback on a call, or change it."""
        with self.lock:
            row, call = self.feedbacks.get(call_sid), self.rows[call_sid]
            if row is None:
                row = self.feedbacks[call_sid] = Row("call_feedback", call.account, call_sid)
                row.update({"account_sid": call.account, "date_created": self._now})
            row.update(
                {
                    "date_updated": self._now,
                    "issues": list(issues),
                    "quality_score": quality_score,
                    "sid": call_sid,
                }
            )

    def annotate(self, call_sid: str, **properties: Any) -> None:
        """Annotate a call, or change its annotation: possible until 30 days after it began."""
        with self.lock:
            call = self.rows[call_sid]
            if unknown := set(properties) - set(ANNOTATION):
                raise ValueError(f"An annotation has no {', '.join(sorted(unknown))}")
            if self._now > (call.dated if call.dated is not None else call.created) + 30 * DAY:
                raise ValueError(f"{call_sid} began more than 30 days ago")
            blank: Json = {name: list(v) if isinstance(v, tuple) else v for name, v in ANNOTATION.items()}
            before = self.annotations.get(call_sid, {"call_sid": call_sid, "account_sid": call.account} | blank)
            self.annotations[call_sid] = before | properties

    def close(self, account: str) -> None:
        """Close an account: it stays listed, but refuses to be read."""
        self.change(account, status="closed")

    def remove_account(self, account: str) -> None:
        """Remove an account, as Twilio does 30 days after it was closed."""
        with self.lock:
            self.delete(account)
            self.gone.setdefault(account, self._now)

    def begin(self) -> "Twilio":
        """End the history here: forget rows deleted before, and count rows of closed accounts as never listed."""
        with self.lock:
            for sid in [sid for sid, row in self.rows.items() if row.deleted is not None]:
                del self.streams[self.rows.pop(sid).stream][sid]
                self.feedbacks.pop(sid, None)
                self.annotations.pop(sid, None)
            self.generic.begin()
            self.gone = dict.fromkeys(self.gone, -math.inf)
        return self

    def add_key(self, account: str | None = None, kind: str = "main") -> tuple[str, str]:
        """Add an API key, "main" or "standard"; return (sid, secret)."""
        if kind not in ("main", "standard"):
            raise ValueError(f"A key is main or standard, not {kind!r}")
        with self.lock:
            sid, secret = new_sid(self.rng, "SK"), f"{self.rng.getrandbits(160):040x}"
            self.keys[sid] = (account or self.main, kind, secret)
        return sid, secret

    def fail_next(self, kind: str, times: int = 1, path_contains: str = "") -> "Twilio":
        """Let the next requests whose path and query contain this part meet a fault (`faults.KINDS`)."""
        with self.lock:
            self.script.add(kind, times, path_contains)
        return self

    # What is there

    def table(self, stream: str, account: str) -> Table:
        """Return the rows of one list."""
        key = (stream, "" if stream == "accounts" else account)
        if key not in self.tables:
            self.tables[key] = Table(LISTINGS[stream].by_date)
        return self.tables[key]

    def truth(self, stream: str, account: str | None = None) -> list[Json]:
        """
        Return every row that some list ever showed, in its last state, including deleted ones.

        `stream` may also be call_feedback (of calls ever listed) or annotations.
        """
        return self._rows(stream, account, self._ever_listed)

    def present(self, stream: str, account: str | None = None) -> list[Json]:
        """Return the rows that lists show now, at least for some parameter."""
        return self._rows(stream, account, self._listed_now)

    def present_at(self, stream: str, account: str | None = None) -> list[tuple[Json, Json]]:
        """Return the same, each with the values of its list's path: `account_sid`, and its parents' by name."""
        with self.lock:
            if is_generic(stream):
                return [(i.path_values, dict(i.data)) for i in self.generic.of(stream, account, now=True)]
            return [({"account_sid": row.get("account_sid")}, row) for row in self.present(stream, account)]

    def _rows(self, stream: str, account: str | None, counts: "Callable[[Row], bool]") -> list[Json]:
        with self.lock:
            if is_generic(stream):
                return [dict(i.data) for i in self.generic.of(stream, account, counts == self._listed_now)]
            if stream == "call_summaries":
                calls = [r for r in self.streams["calls"].values() if self._counts(r.sid, account, counts)]
                return [summary(self, call) for call in calls if call.dated is not None]
            if stream == "annotations":
                return [dict(a) for sid, a in self.annotations.items() if self._counts(sid, account, counts)]
            if stream == "call_feedback":
                return [dict(f.data) for sid, f in self.feedbacks.items() if self._counts(sid, account, counts)]
            return [dict(r.data) for r in self.streams[stream].values() if self._counts(r.sid, account, counts)]

    def _counts(self, sid: str, account: str | None, counts: "Callable[[Row], bool]") -> bool:
        row = self.rows.get(sid)
        return row is not None and account in (None, row.account) and counts(row)

    def _ever_listed(self, row: Row) -> bool:
        ends = [self.latest, math.inf if row.deleted is None else row.deleted]
        if row.stream != "accounts":
            ends.append(self.gone.get(row.account, math.inf))
        return row.shown <= min(ends)

    def _listed_now(self, row: Row) -> bool:
        if row.stream != "accounts" and row.account in self.gone:
            return False
        return row.deleted is None and row.shown <= self._now


def _known(stream: str, data: Json, given: Json) -> None:
    """Refuse unknown properties, which a test invented."""
    if unknown := set(given) - set(data):
        raise ValueError(f"{stream} have no {', '.join(sorted(unknown))}")
