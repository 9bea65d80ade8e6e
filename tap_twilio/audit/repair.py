"""
Write what mends the rows that an audit found: Singer messages for the target, a state, and DELETE statements.

commands/audit.py calls it for `--emit` and `--repair`, and prints the statements, which are never run.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

from tap_twilio.files import unwrap_state
from tap_twilio.singer.output import Output
from tap_twilio.singer.records import Recorder
from tap_twilio.state.store import State

from .audit import Audit
from .canonical import SEPARATOR
from .compare import DUPLICATE, Difference


def emit(audit: Audit, output: Output) -> int:
    """Write SCHEMA and the RECORDs of the missing and changed rows, without a STATE. Return how many rows."""
    count = 0
    for choice in audit.selected:
        records = audit.records.get(choice.stream.name, [])
        if records:
            output.schema(choice.stream.name, choice.schema, choice.stream.key, choice.bookmark_properties)
            recorder = Recorder(choice, audit.settings.on_invalid)
            for _, times, record in records:
                output.records(recorder.lines([record], times))
            count += len(records)
    return count


def repaired_state(value: Any, audit: Audit) -> dict[str, Any]:
    """
    Return a state without the fingerprints of each list that has wrong rows, so that the next rescan emits its rows.

    A fingerprint covers some 1,000 rows, and does not name them. So all those of the account's list go.
    """
    state = State(copy.deepcopy(unwrap_state(value)))
    for name, records in audit.records.items():
        for account in {account for account, _, _ in records}:
            partition = state.partition(name, account)
            partition.fingerprints = partition.rescan_fingerprints = None
    return state.dump({name: list(state.stream(name).partitions) for name in audit.records})


def delete_statements(audit: Audit, differences: Collection[Difference]) -> Iterator[str]:
    """Yield the DELETE of each extra row whose own address answers 404, and of rows that are there twice."""
    if audit.warehouse is None:
        return
    dialect = audit.warehouse.dialect
    for name, comparison in audit.comparisons.items():
        table = audit.warehouse.qualified(comparison.table)
        columns = [dialect.text(comparison.column(column)) for column in comparison.key]

        def where(key: str, columns: list[str] = columns) -> str:
            return " AND ".join(
                f"{name} = {dialect.literal(value)}" for name, value in zip(columns, key.split(SEPARATOR))
            )

        for key in audit.deletable.get(name, []):
            yield f"DELETE FROM {table} WHERE {where(key)};"
        row = {"postgres": "ctid", "duckdb": "rowid"}.get(dialect.name)
        for key in [one.key for one in differences if (one.stream, one.what) == (name, DUPLICATE)]:
            kept = f"SELECT MAX({row}) FROM {table} WHERE {where(key)}"
            yield (
                f"DELETE FROM {table} WHERE {where(key)} AND {row} NOT IN ({kept});"
                if row
                else (f"-- {table} has more than one row for {where(key)}: delete all but one.")
            )
