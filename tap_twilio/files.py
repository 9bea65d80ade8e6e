"""The files that the user names: JSON that is read, and what is written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import TapError

MOST_BYTES, MOST_VALUES = 24 << 20, 1_000_000  # of a JSON text; a page of 1,000 rows has some 2 MB and 50,000 values
MARKS = (b",", b"[", b"{")  # each value but the first comes after one
EMPTY = (
    "Write it anew.",
    "Put a target's last STATE into it, or leave --state out: everything is read then.",
)


def read_json(path: str, what: str) -> Any:
    """Return the JSON in a file that the user named. Raises TapError, which names the file and never quotes it."""
    try:
        text = Path(path).read_bytes()
        if not text.strip():
            raise TapError(f"{what} {path}: is empty. {EMPTY[what == '--state']}")
        if not fits(text):
            raise TapError(f"{what} {path}: is larger than any that the tap writes or needs. Give another file.")
        return parse_json(text)
    except OSError as error:
        raise TapError(
            f"{what} {path}: cannot be read ({error.strerror}). Check the path and its permissions."
        ) from None
    except ValueError as error:
        at = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TapError(f"{what} {path}: is not valid JSON{at}. Mend it, or write it anew.") from None


def fits(text: bytes) -> bool:
    """
    Return whether the values in a JSON text fit in some 200 MB.

    Sixty megabytes of `{},` take more than a gigabyte, so values count as well as bytes.
    """
    return len(text) <= MOST_BYTES and (len(text) <= MOST_VALUES or sum(map(text.count, MARKS)) <= MOST_VALUES)


def parse_json(text: bytes | str) -> Any:
    """Return what a JSON text holds; NaN and Infinity are no JSON. Raises ValueError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    data = text.encode() if isinstance(text, str) else text
    if not fits(data):
        raise ValueError("more JSON than fits in the memory")
    try:
        return json.loads(data, parse_constant=refuse)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def unwrapped(value: Any) -> Any:
    """Return a STATE's value, also out of a whole STATE message, and out of what Meltano keeps."""
    if isinstance(value, dict) and "bookmarks" not in value:
        if "singer_state" in value:
            value = value["singer_state"]
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")
    return value


def state_in(text: bytes) -> dict[str, Any] | None:
    """Return the state in a text; None where there is none, or one without a bookmark, which says nothing."""
    try:
        found = unwrapped(parse_json(text))
    except ValueError:
        return None
    known = isinstance(found, dict) and isinstance(found.get("bookmarks"), dict) and found["bookmarks"]
    return found if known else None


def replace(path: Path, content: bytes, opener: Callable[[str, int], int] | None = None) -> None:
    """Write a file whole or not at all, and have the disk hold it. Raises OSError."""
    new = _beside(path)
    with open(new, "wb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a network's file system may not know it of a folder
            raise
    finally:
        os.close(folder)


def make_way(path: Path) -> None:
    """
    For a file that a run writes at its end: raise OSError where it could not, and take away that of an earlier run.

    Whoever found the earlier one would take it for this run's.
    """
    _beside(path).touch()
    _beside(path).unlink()
    path.unlink(missing_ok=True)


@contextmanager
def writing_summary(path: Path) -> Iterator[None]:
    """Of `--summary-json`, the tap's and run-sync's: an OSError within becomes a TapError that names the file."""
    try:
        yield
    except OSError as error:
        raise TapError(
            f"--summary-json {path}: cannot be written ({error.strerror}). Check the folder and rights."
        ) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def private(path: str, flags: int) -> int:
    """An opener of files that this user alone may read."""
    return os.open(path, flags, 0o600)
