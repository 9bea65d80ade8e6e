"""
`tap-twilio audit`: compares a warehouse with Twilio, and names the rows that differ.

audit/ does the work; this module reads the arguments, opens the warehouse, and prints the result.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tap_twilio.audit import repair, report
from tap_twilio.audit import scope as audit_scope
from tap_twilio.audit.audit import Audit
from tap_twilio.audit.canonical import Comparison
from tap_twilio.audit.dialects import DIALECTS, Dialect
from tap_twilio.audit.spool import Bucket, Sums
from tap_twilio.audit.warehouse import DEFAULT_SCHEMAS, Warehouse, address_of, open_url
from tap_twilio.errors import TapError
from tap_twilio.files import open_private, read_json
from tap_twilio.log import OneLine
from tap_twilio.reporting.progress import show_progress
from tap_twilio.run.sync import Sync
from tap_twilio.signals import on_signals
from tap_twilio.singer.catalog import Selected
from tap_twilio.singer.output import Output
from tap_twilio.state.store import State
from tap_twilio.timestamps import DAY, Timestamp, later, parse_date, start_of_day

from .sync import read_selection

LOGGER = logging.getLogger("tap_twilio")


def run(argv: list[str], log: OneLine) -> int:
    """Run an audit, and return 0 if all is equal, 6 if rows differ, 3 if not all was compared. Raises TapError."""
    arguments = _parser().parse_args(argv)
    settings, selected = read_selection(arguments, log.hide)
    scope = _scope(arguments)
    if arguments.sql:
        sys.stdout.write(_statements(selected, Dialect(arguments.sql), arguments.schema))
        return 0
    state = read_json(arguments.state or arguments.repair, "--state") if arguments.state or arguments.repair else None
    with ExitStack() as stack:
        begin = _shows_progress(stack, log)
        audit = Audit(
            settings,
            selected,
            None if arguments.warehouse else _open(arguments, log.hide),
            scope,
            log.hide,
            begin,
            arguments.extras,
            State(state) if arguments.state else None,
        )
        if arguments.warehouse:
            audit.given_sums, dialect = _read_result(arguments.warehouse)
            audit.comparisons = _assumed(selected, Dialect(dialect))
        found = audit.run()
    _print(arguments, audit, found, state)
    return found.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-twilio audit",
        description="Compares a warehouse with Twilio, and names the rows that differ. Nothing is written there.",
        epilog="Exit codes: 0 equal, 6 rows differ, 3 some of it could not be compared. See docs/audit.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", action="append", required=True, help="the tap's settings file")
    parser.add_argument("--catalog", metavar="FILE", help="catalog file: what to compare")
    parser.add_argument("--select", metavar="STREAMS", help="instead of a catalog: calls,messages")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--url", help="the warehouse's address, without a password: postgresql://etl@db/warehouse")
    place.add_argument("--target-config", metavar="FILE", help="the target's config, which has the connection")
    place.add_argument("--sql", choices=DIALECTS, help="print the statement, to be run anywhere, and exit")
    place.add_argument("--warehouse", metavar="FILE", help="the CSV result of that statement")
    parser.add_argument("--schema", help="the schema of the tables")
    parser.add_argument("--since", metavar="DATE", help="compare days from this one on")
    parser.add_argument("--until", metavar="DATE", help="compare days up to this one")
    parser.add_argument("--days", metavar="N", type=_positive, help="compare the N newest days")
    parser.add_argument("--sample", metavar="N", type=_positive, help="compare N days at random")
    parser.add_argument("--seed", type=int, help="draw the days that an earlier audit drew")
    parser.add_argument("--state", metavar="FILE", help="a state: rows that it does not cover yet count as due")
    parser.add_argument("--extras", action="store_true", help="request each row that Twilio does not list")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="of the result")
    parser.add_argument("--diff", metavar="FILE", help="write the rows that differ to this file, as CSV")
    parser.add_argument("--values", action="store_true", help="write their values too, which may be personal data")
    mending = parser.add_mutually_exclusive_group()
    mending.add_argument("--emit", action="store_true", help="print missing and changed rows as Singer messages")
    mending.add_argument("--repair", metavar="FILE", help="print this state, so that the next sync emits these rows")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("is not a whole number from 1 on")
    return int(text)


def _scope(arguments: argparse.Namespace) -> audit_scope.Scope:
    until = _date(arguments.until, "--until")
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    since = _date(arguments.since, "--since")
    return audit_scope.Scope(since, until and later(start_of_day(until), DAY), arguments.days, arguments.sample, seed)


def _date(text: str | None, option: str) -> Timestamp | None:
    if text is None:
        return None
    try:
        return parse_date(text)
    except ValueError:
        raise TapError(f"{option} {text[:40]}: is no date. Write it as 2026-01-31.") from None


def _open(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> Warehouse:
    if arguments.url:
        return open_url(arguments.url, arguments.schema, hide)
    config = read_json(arguments.target_config, "--target-config")
    if not isinstance(config, dict):
        raise TapError(f"--target-config {arguments.target_config}: is no JSON object.")
    url, schema = address_of(config)
    return open_url(url, arguments.schema or schema, hide, private=True)


def _shows_progress(stack: ExitStack, log: OneLine) -> Callable[[Sync], None]:
    """Return a function that shows the progress of each sync of the audit, and lets signals stop it."""
    current: list[Sync] = []
    on_signals(lambda: current[-1].stop() if current else None, lambda *_: None)

    def begin(sync: Sync) -> None:
        current.append(sync)
        progress = ExitStack()
        stack.push(progress)
        sync.end_progress = progress.enter_context(show_progress(sync.stats, log))

    return begin


# -- without a connection


def _assumed(selected: list[Selected], dialect: Dialect) -> dict[str, Comparison]:
    """Return what is compared if the warehouse has the columns that a target makes."""
    upper = dialect.name == "snowflake"
    return {
        choice.stream.name: audit_scope.comparison(
            choice,
            choice.stream.name.upper() if upper else choice.stream.name,
            audit_scope.assumed_columns(choice, dialect),
            dialect,
        )
        for choice in selected
    }


def _statements(selected: list[Selected], dialect: Dialect, schema: str | None) -> str:
    """Return one statement for all tables, so that its result is one CSV."""
    warehouse = Warehouse(dialect, schema or DEFAULT_SCHEMAS.get(dialect.name, "twilio"), lambda query: iter(()))
    parts = [
        dialect.sums(comparison, warehouse.qualified(comparison.table)).replace(
            " AS stream,", f" AS stream, {dialect.literal(dialect.name)} AS dialect,", 1
        )
        for comparison in _assumed(selected, dialect).values()
    ]
    return "\nUNION ALL\n".join(parts) + ";\n"


def _read_result(path: str) -> tuple[dict[str, dict[Bucket, Sums]], str]:
    """Return the sums in a CSV file by stream, and the dialect of the statement. Raises TapError."""
    found: dict[str, dict[Bucket, Sums]] = {}
    dialect = ""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                line = {str(name).lower(): value for name, value in row.items()}
                dialect, bucket = line["dialect"], (line["account_sid"], line["bucket"])
                sums = Sums(*(int(line[name]) for name in ("row_count", "key_sum", "row_sum")))
                found.setdefault(line["stream"], {})[bucket] = sums
    except OSError as error:
        raise TapError(f"--warehouse {path}: cannot be read ({error.strerror}).") from None
    except (KeyError, ValueError, csv.Error):
        raise TapError(f"--warehouse {path}: is not the result of --sql, as CSV with a heading.") from None
    if dialect not in DIALECTS:
        raise TapError(f"--warehouse {path}: is not the result of --sql, as CSV with a heading.")
    return found, dialect


# -- the result


def _print(arguments: argparse.Namespace, audit: Audit, found: Any, state: Any) -> None:
    """Print the result to stdout, or to stderr if stdout gets messages or a state."""
    if arguments.diff:
        try:
            with open(arguments.diff, "w", encoding="utf-8", opener=open_private) as file:
                file.write(report.as_csv(found, arguments.values))
        except OSError as error:
            raise TapError(f"--diff {arguments.diff}: cannot be written ({error.strerror}).") from None
    place = sys.stderr if arguments.emit or arguments.repair else sys.stdout
    if arguments.format == "json":
        print(json.dumps(report.as_json(found)), file=place)  # the result of this command
    else:
        differences = [one for stream in found.streams for one in stream.differences]
        for line in [*report.lines(found), *repair.delete_statements(audit, differences)]:
            print(line, file=place)
    place.flush()
    if arguments.emit:
        repair.emit(audit, Output())
    elif arguments.repair:
        Output().document(json.dumps(repair.repaired_state(state, audit)) + "\n")
