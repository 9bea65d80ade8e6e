"""Records to RECORD lines. They are ours and not singer-python's, whose write costs ten times as much for each."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from tap_twilio.errors import InvalidRecord
from tap_twilio.twilio.request import Page, Row

from .catalog import Selected, load_schema
from .compiled import Compiled, Drift, compile_record, exact_decimal, sid_of

NEVER_WRITTEN = frozenset({"links", "subresource_uris"})  # addresses of other resources, which follow from the key


def record_lines(
    rows: Iterable[Row],
    record: Compiled,
    stream: str,
    received_at: str,
    time_extracted: str,
    version: int | None = None,
) -> bytes:
    """
    The rows as RECORD messages, one line each. Dates are Moments.

    Raises: InvalidRecord for the first row that cannot be written; none of the others is, then.
    """
    versioned = b"" if version is None else b',"version":%d' % version
    before = b'{"type":"RECORD","stream":%s,"record":' % orjson.dumps(stream)
    after = b'%s,"time_extracted":%s}\n' % (versioned, orjson.dumps(time_extracted))
    records = []
    for row in rows:
        try:
            records.append(orjson.dumps(record(row, received_at), exact_decimal))
        except orjson.JSONEncodeError as error:  # nested deeper than 254 levels, a number beyond any reader
            raise InvalidRecord(f"{stream} {sid_of(row)}: cannot be written as JSON: {error}") from None
    return before + (after + before).join(records) + after if records else b""


class Recorder:
    """Makes the RECORD lines of one selected stream."""

    def __init__(self, selected: Selected, on_invalid: str) -> None:
        self._selected = selected
        self.drift = Drift(selected.stream.name)
        self._on_invalid = on_invalid
        self._record: Compiled | None = None

    def lines(self, rows: Iterable[Row], page: Page, version: int | None) -> bytes:
        """The rows of a page as RECORD lines. Raises InvalidRecord for one that cannot be written: none is, then."""
        stream = self._selected.stream
        if self._record is None:  # compiled late: most of many streams have no row in a run
            self._record = compile_record(
                stream.name,
                load_schema(stream.name),
                self._selected.properties,
                key=stream.key,
                on_invalid=self._on_invalid,
                drift=self.drift,
                dropped=NEVER_WRITTEN.union(stream.hidden) - set(load_schema(stream.name)["properties"]),
            )
        return record_lines(rows, self._record, stream.name, page.received_at, page.date, version)
