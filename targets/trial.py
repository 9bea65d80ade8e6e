"""
One target over the sandbox: a first sync, one after changes, and a first load that is killed halfway and run again.

Each cell of the result is what was seen in the tables afterwards, beside Twilio's own rows.
"""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sandbox import Server, Twilio, serve
from testing.taps import SIX, Run, Tap, expected

from .declared import Destination, Target
from .piping import Fed, feed
from .readers import LoadedTable, Row, read

BODY = 'first line\nsecond line, "quoted", with \\n and a tab\t☎ 😀 ñ'
DIGITS = "-0.12345678901234567890"  # more than a double has
SQL_DIGITS = DIGITS[:-2]  # as many as `decimals: singer` takes
DELETING = "transcriptions"  # the stream that is FULL_TABLE
Cells = dict[str, str]


def a_month(seed: int, digits: str = DIGITS) -> Twilio:
    """Two accounts with some of everything, and the values that targets stumble over."""
    twilio = Twilio(seed, accounts=2, start="2025-11-01")
    twilio.advance(24 * 12).begin()
    twilio.messages(1, body=BODY, price=digits)
    twilio.messages(1, body="", price="-0.00750")
    for call in [row for row in twilio.present("calls") if row["status"] == "completed"][::9]:
        twilio.feedback(call["sid"], 4, ["echo", "latency"])
    return twilio


@dataclass
class Trial:
    """A target, and where one part of its trial loads to."""

    target: Target
    destination: Destination
    tap: Tap

    def feed(self, lines: list[bytes], kill_after: int | None = None) -> Fed:
        """Give it lines; what it let go of last is the tap's next state."""
        config = self.destination.folder.parent / f"{self.destination.schema}.json"
        config.write_text(json.dumps(self.target.config(self.destination)))
        env = {**os.environ, "FAKESNOW_PORT": str(self.destination.snowflake), "PYTHONWARNINGS": "ignore"}
        log = self.destination.folder.parent / f"{self.destination.schema}.log"
        fed = feed(self.target.start(config), lines, log, env, kill_after)
        self.tap.state = fed.state if fed.state is not None else self.tap.state
        return fed

    def sync(self) -> tuple[Run, Fed]:
        run = self.tap.run()
        assert run.exit_code == 0, run.log
        return run, self.feed(run.lines)

    def loaded(self, table: str) -> LoadedTable:
        return read(self.target, self.destination, table)


def tried(target: Target, destination: Destination) -> Cells:
    """All of it, with decimals in each form. What raises is a cell that says so."""
    cells: Cells = {}
    for decimals, digits in (("number", DIGITS), ("text", DIGITS), ("singer", SQL_DIGITS)):
        with serve(a_month(5, digits)) as server:
            trial = _begin(target, destination, server, f"{destination.schema}_{decimals}", decimals)
            run, fed = trial.sync()
            if decimals != "number":
                seen = _prices(trial) if fed.exit_code == 0 else f"fails: {fed.why[:120]}"
                cells[f"prices, decimals: {decimals}"] = seen
                continue
            cells["loads"] = _loads(trial, fed)
            if fed.exit_code:
                return cells
            cells["STATE"] = _when(fed, len(run.states))
            cells |= _first(trial)
            cells |= _second(trial)
    with serve(a_month(6)) as server:
        cells["killed halfway"] = _killed(_begin(target, destination, server, f"{destination.schema}_killed", "number"))
    if target.without:
        bare = replace(target, config=lambda where: _without(target, where))
        with serve(a_month(6)) as server:
            seen = _killed(_begin(bare, destination, server, f"{destination.schema}_bare", "number"))
            cells["killed halfway"] += f"; without {', '.join(f'`{name}`' for name in target.without)}: {seen}"
    for begins, why in target.unshown.items():
        cells |= {name: why for name, cell in cells.items() if cell.startswith(begins)}
    return cells


def _without(target: Target, destination: Destination) -> dict[str, Any]:
    return {name: value for name, value in target.config(destination).items() if name not in target.without}


def _begin(target: Target, destination: Destination, server: Server, schema: str, decimals: str) -> Trial:
    here = replace(destination, folder=destination.folder / schema, schema=schema)
    here.folder.mkdir(parents=True)
    settings = {"page_size": 50, "state_seconds": 0, "call_feedback_source": "feedback", "decimals": decimals}
    tap = Tap(server, here.folder.parent / f"{schema}-tap", **settings).select(*SIX, full_table=[DELETING])
    return Trial(target, here, tap)


def _loads(trial: Trial, fed: Fed) -> str:
    if fed.exit_code:
        return f"no: {fed.why[:160]}"
    missing = []
    for stream in SIX:
        should = {row["sid"] for row in trial.tap.listed(stream)}
        if lost := should - {row["sid"] for row in trial.loaded(stream).rows}:
            missing.append(f"{len(lost)} of {len(should)} {stream}")
    return f"loses rows: {', '.join(missing)}" if missing else "yes"


def _when(fed: Fed, states: int) -> str:
    """When STATE came, of so many that the tap wrote."""
    if not fed.states:
        return "never"
    if fed.early:
        return f"while it reads ({fed.early} of {states}), and at the end"
    return "at the end only"


def _first(trial: Trial) -> Cells:
    messages, calls, feedback = trial.loaded("messages"), trial.loaded("calls"), trial.loaded("call_feedback")
    return {
        "prices": _prices(trial),
        "newlines, emoji": _text(trial, messages),
        "empty text": _empty(trial, messages),
        "`from`, `to`": _from_to(trial, calls),
        "arrays": _arrays(trial, feedback),
        "dates": messages.types.get("date_created", "text"),
    }


def _by_sid(loaded: LoadedTable) -> dict[Any, Row]:
    """The last row of each key: what is appended counts where it came last."""
    return {row["sid"]: row for row in loaded.rows}


def _prices(trial: Trial) -> str:
    kind, wrong = "", []
    for stream in ("messages", "calls"):
        loaded = trial.loaded(stream)
        kind, rows = loaded.types.get("price", "text" if trial.target.reader == "csv" else "JSON"), _by_sid(loaded)
        for row in trial.tap.listed(stream):
            price = expected(stream, row)["price"]
            if row["sid"] in rows and _decimal(rows[row["sid"]]["price"]) != price:
                wrong.append((price, rows[row["sid"]]["price"]))
    if not wrong:
        return f"exact ({kind})"
    rest = [pair for pair in wrong if str(pair[0]) not in (DIGITS, SQL_DIGITS)]
    return (
        f"**not exact** ({kind}): {rest[0][0]} became {rest[0][1]}"
        if rest
        else f"**not exact** beyond 15 digits ({kind})"
    )


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value in (None, "") else Decimal(str(value))
    except InvalidOperation:
        return Decimal("NaN")


def _text(trial: Trial, messages: LoadedTable) -> str:
    rows, wrong = _by_sid(messages), []
    for row in trial.tap.listed("messages"):
        body = expected("messages", row)["body"]
        if body and row["sid"] in rows and rows[row["sid"]]["body"] != body:
            wrong.append((body, rows[row["sid"]]["body"]))
    if not wrong:
        return "kept"
    marks = {"\n": "newlines", "😀": "emoji"}
    lost = ", ".join(name for mark, name in marks.items() if not any(mark in str(loaded) for _, loaded in wrong))
    lost = lost or "other text"
    return f"**not kept**: {lost} ({wrong[0][1]!r:.60})".replace("|", "\\|").replace("\n", " ")


def _empty(trial: Trial, messages: LoadedTable) -> str:
    rows = _by_sid(messages)
    found = {
        rows[row["sid"]]["body"] for row in trial.tap.listed("messages") if row["body"] == "" and row["sid"] in rows
    }
    return {frozenset({""}): "kept", frozenset({None}): "null"}.get(frozenset(found), str(found))


def _from_to(trial: Trial, calls: LoadedTable) -> str:
    for names in (("from", "to"), ("_from", "_to"), ("from_", "to_")):
        if calls.rows and names[0] in calls.rows[0] and names[1] in calls.rows[0]:
            rows = _by_sid(calls)
            right = all(
                [rows[row["sid"]][name] for name in names] == [row["from"], row["to"]]
                for row in trial.tap.listed("calls")
                if row["sid"] in rows
            )
            return f"`{names[0]}`, `{names[1]}`" if right else "wrong values"
    return "no such columns"


def _arrays(trial: Trial, feedback: LoadedTable) -> str:
    rows = _by_sid(feedback)
    full = [row["sid"] for row in trial.tap.listed("call_feedback") if row["issues"] == ["echo", "latency"]]
    values = [rows[sid]["issues"] for sid in full if sid in rows]
    if not values:
        return "no array arrived"
    value = values[0]
    kind = feedback.types.get("issues", type(value).__name__)
    if isinstance(value, list):
        return f"kept ({kind})" if value == ["echo", "latency"] else f"changed: {value}"
    for reads, name in ((json.loads, "JSON text"), (ast.literal_eval, "text as Python writes it")):
        try:
            return f"{name} ({kind})" if reads(value) == ["echo", "latency"] else f"changed: {value}"
        except (ValueError, SyntaxError):
            pass
    return f"changed: {value}"


def _second(trial: Trial) -> Cells:
    """Changes, new rows and deleted ones."""
    twilio = trial.tap.twilio
    before = len(trial.loaded(DELETING).rows)
    deleted = {row["sid"] for row in twilio.present(DELETING)[::5]}
    for sid in deleted:
        twilio.delete(sid)
    changed = [row["sid"] for row in twilio.present("messages")[::7]]
    for sid in changed:
        twilio.change(sid, silently=True, price="-0.99")
    twilio.advance(9, busy=3)
    _, fed = trial.sync()
    if fed.exit_code:
        return {"upserts": f"second sync fails: {fed.why[:120]}"}
    messages = trial.loaded("messages")
    times = Counter(row["sid"] for row in messages.rows)
    rows = _by_sid(messages)
    wrong = [sid for sid in changed if sid not in rows or _decimal(rows[sid]["price"]) != Decimal("-0.99")]
    upserts = "appends: the last row of a key counts" if max(times.values()) > 1 else "yes"
    return {
        "upserts": f"**{len(wrong)} of {len(changed)} changes are missing**" if wrong else upserts,
        "deletions": _deletions(trial.loaded(DELETING), deleted, before),
    }


def _deletions(loaded: LoadedTable, deleted: set[str], before: int) -> str:
    there = [row for row in loaded.rows if row["sid"] in deleted]
    if not there:
        return "rows leave" if loaded.rows else f"**all {before} rows are gone**"
    marked = all(row.get("_sdc_deleted_at") for row in there)
    return "`_sdc_deleted_at` is set" if marked else "rows stay"


def _killed(trial: Trial) -> str:
    """A target is killed in its first load; the next sync goes on from the last STATE that it let go of."""
    lines = trial.tap.run().lines
    fed = trial.feed(lines, kill_after=len(lines) * 3 // 5)
    again = trial.sync()[1]
    if again.exit_code:
        return f"the next sync fails: {again.why[:120]}"
    lost = 0
    for stream in SIX:
        lost += len(
            {row["sid"] for row in trial.tap.listed(stream)} - {row["sid"] for row in trial.loaded(stream).rows}
        )
    where = "from its last STATE" if fed.states else "from the start, since no STATE had come"
    return f"**{lost} rows are lost**" if lost else f"no row lost, {where}"


def version_of(target: Target) -> str:
    """The version that is installed."""
    return target.package.partition("==")[2]


def python_of(target: Target) -> str:
    import subprocess

    done = subprocess.run([target.python, "-V"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1].rpartition(".")[0]


def logs(folder: Path, marker: str) -> list[str]:
    """The lines of all logs below a folder that begin with a marker, once each."""
    found = {line for path in folder.rglob("*.log") for line in path.read_text("utf-8", "replace").splitlines()}
    return sorted(line.removeprefix(marker).strip() for line in found if line.startswith(marker))
