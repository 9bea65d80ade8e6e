"""
Convert rows to records and RECORD lines, ten times as fast as singer-python.

`Table.take` (tables/table.py) calls `Recorder.records`: each row becomes the JSON of its record without `received_at`,
whose hash shows whether the row changed. run/sync.py calls `Recorder.lines` for the records that are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import orjson

from tap_twilio.errors import InvalidRecord
from tap_twilio.twilio.request import PageTimes, Row

from .catalog import Selected, load_schema
from .compile import Compiled, Drift, Note, compile_record, sid_of
from .numbers import to_json

NEVER_WRITTEN = frozenset({"links", "subresource_uris"})  # addresses of other resources, which the key implies


class AnnotatedRecord(bytes):
    """The JSON of a record that has replaced values or volatile properties."""

    notes: Sequence[Note] = ()  # replaced values, counted if the record is written
    compared: bytes | None = None  # the JSON without the properties that are not compared


def compared(record: bytes) -> bytes:
    """Return the JSON whose hash shows whether the row changed."""
    without_volatile: bytes | None = record.compared if record.__class__ is AnnotatedRecord else None
    return record if without_volatile is None else without_volatile


def _without(record: dict[str, Any], not_compared: Iterable[str]) -> dict[str, Any]:
    """Return a record without the properties, and members of JSON text, that are not compared."""
    rest = dict(record)
    for name in not_compared:
        column, _, member = name.partition(".")
        if not member:
            rest.pop(column, None)
        elif text := rest.get(column):
            value = orjson.loads(text)
            if isinstance(value, dict):
                rest[column] = orjson.dumps({key: item for key, item in value.items() if key != member}).decode()
    return rest


class Recorder:
    """Makes the records of one selected stream. If `received_at` is selected, it is the last property of each."""

    def __init__(self, selected: Selected, on_invalid: str) -> None:
        self._selected, self._on_invalid = selected, on_invalid
        self._stream, self._received = selected.stream.name, "received_at" in selected.properties
        self.drift = Drift(self._stream)

    @cached_property
    def _record(self) -> Compiled:
        """Compile the function at the first row: most streams have no row in most runs."""
        stream, schema, options = self._selected.stream, load_schema(self._stream), self._selected.options
        record = compile_record(
            stream.name,
            schema,
            self._selected.properties,
            key=stream.key,
            on_invalid=self._on_invalid,
            drift=self.drift,
            decimals=options.decimals,
            dropped=NEVER_WRITTEN.union(stream.hidden) - set(schema["properties"]),
        )
        return options.mask.masking(stream, options.written(schema["properties"]), self._selected.properties, record)

    def records(self, rows: Iterable[Row]) -> Iterator[bytes]:
        """Yield the records of rows as JSON, without `received_at`. Raises InvalidRecord for one that does not fit."""
        record, drift, not_compared = self._record, self.drift, self._selected.stream.not_compared
        for row in rows:
            try:
                made = record(row)
                data = to_json(made)
            except InvalidRecord:
                drift.notes = []  # of a row that is not written
                raise
            except orjson.JSONEncodeError as error:  # nested deeper than 254 levels, a number beyond any reader
                drift.notes = []
                raise InvalidRecord(f"{self._stream} {sid_of(row)}: cannot be written as JSON: {error}") from None
            if drift.notes or not_compared:
                data = AnnotatedRecord(data)
                data.notes, drift.notes = drift.notes, []
                data.compared = to_json(_without(made, not_compared)) if not_compared else None
            yield data

    def lines(self, records: Iterable[bytes], times: PageTimes, version: int | None = None) -> bytes:
        """Return the RECORD lines of records from one page."""
        records, (received_at, time_extracted) = list(records), times
        if not records:
            return b""
        for record in records:
            if record.__class__ is AnnotatedRecord:
                self.drift.count(record.notes)
        received = b',"received_at":%s' % orjson.dumps(received_at) if self._received else b""
        versioned = b"" if version is None else b',"version":%d' % version
        before = b'{"type":"RECORD","stream":%s,"record":' % orjson.dumps(self._stream)
        after = b'%s}%s,"time_extracted":%s}\n' % (received, versioned, orjson.dumps(time_extracted))
        parts = [record[:-1] for record in records]
        parts[0] = before + parts[0]  # before the join, which saves a copy of all lines
        parts[-1] += after
        return (after + before).join(parts)
