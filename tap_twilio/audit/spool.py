"""
Keep the key and the hash of each row of one stream in files, so that a row that was read twice counts once.

twilio_side.py adds rows; audit.py asks for the sums of the buckets, and for the rows of those that differ. Small tables
stay in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from .canonical import BUCKETS, Texts, digits_of
from .dialects import PARTS

FILES = 4 * PARTS
MAX_ROWS_IN_MEMORY = 50_000
LOW_BYTE = {f"{number:02x}": number for number in range(256)}
MEMBER, END = "\x1d", "\x1c"  # between the members of a row, and after a row

Bucket = tuple[str, str]  # an account; a day, or the number of a bucket


class Sums(NamedTuple):
    """What both sides compute of a bucket."""

    rows: int = 0
    keys: int = 0  # the sum of the hashes of the keys
    contents: int = 0  # the sum of the hashes of the rows


class Seen(NamedTuple):
    """A row as one side has it."""

    content: int  # its hash
    changed: str  # its newest date
    account: str
    day: str


class Spool:
    """The rows of one stream. The last row of a key counts."""

    def __init__(self, folder: Path, by_day: bool) -> None:
        self._folder, self._by_day = folder, by_day
        self._buffers: list[list[str]] = [[] for _ in range(FILES)]
        self._count = 0

    def add(self, texts: Texts) -> None:
        key, row, account, day, changed = texts
        key_digits = digits_of(key)
        low = LOW_BYTE[key_digits[-2:]]
        if not self._by_day:
            day = str(low % BUCKETS)
        line = f"{key}\x1d{account}\x1d{day}\x1d{changed}\x1d{key_digits}\x1d{digits_of(row)}"
        self._buffers[low % FILES].append(line)
        self._count += 1
        if self._count >= MAX_ROWS_IN_MEMORY:
            self._flush()

    def _flush(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, buffer in enumerate(self._buffers):
            with (self._folder / str(number)).open("a", encoding="utf-8", newline="") as file:
                file.write(END.join([*buffer, ""]))
            buffer.clear()
        self._count = 0

    def _rows(self, number: int) -> Iterator[list[str]]:
        """Yield the members of each row of a file, the last one of each key."""
        path = self._folder / str(number)
        text = ""
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read()
        rows = [*text.split(END)[:-1], *self._buffers[number]]
        yield from {row[0]: row for row in (line.split(MEMBER) for line in rows)}.values()

    def sums(self) -> dict[Bucket, Sums]:
        """Return the sums of each bucket."""
        sums: dict[Bucket, list[int]] = {}
        for number in range(FILES):
            for _, account, day, _, key, content in self._rows(number):
                bucket = sums.setdefault((account, day), [0, 0, 0])
                bucket[0] += 1
                bucket[1] += int(key, 16)
                bucket[2] += int(content, 16)
        return {bucket: Sums(*numbers) for bucket, numbers in sums.items()}

    def details(self, buckets: Collection[Bucket], part: int) -> dict[str, Seen]:
        """Return the rows of some buckets by key; of 16 parts of them, only `part`, unless it is negative."""
        wanted = set(buckets)
        files = range(FILES) if part < 0 else range(part, FILES, PARTS)
        return {
            key: Seen(int(content, 16), changed, account, day)
            for number in files
            for key, account, day, changed, _, content in self._rows(number)
            if (account, day) in wanted
        }
