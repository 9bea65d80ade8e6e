"""Files that the user names: reads JSON, and writes files whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import TapError

MAX_JSON_BYTES, MAX_JSON_VALUES = (
    24 << 20,
    1_000_000,
)  # of a JSON text; a page of 1,000 rows has about 2 MB and 50,000 values
MARKS = (b",", b"[", b"{")  # each value but the first follows one of these
EMPTY = (
    "Recreate the file.",
    "Put a target's last STATE into it, or leave --state out to read everything.",
)


def read_json(path: str, what: str) -> Any:
    """Return the JSON of a file that the user named. Raises TapError, which names the file and never quotes it."""
    try:
        text = Path(path).read_bytes()
        if not text.strip():
            raise TapError(f"{what} {path}: is empty. {EMPTY[what == '--state']}")
        if not fits_in_memory(text):
            raise TapError(f"{what} {path}: is larger than any that the tap writes or needs. Pass another file.")
        return parse_json(text)
    except OSError as error:
        raise TapError(
            f"{what} {path}: cannot be read ({error.strerror}). Check the path and its permissions."
        ) from None
    except ValueError as error:
        at = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TapError(f"{what} {path}: is not valid JSON{at}. Fix or recreate the file.") from None


def fits_in_memory(text: bytes) -> bool:
    """
    Return whether the values of a JSON text fit in about 200 MB of memory.

    Values count as well as bytes: 60 MB of `{},` would take more than 1 GB.
    """
    return len(text) <= MAX_JSON_BYTES and (
        len(text) <= MAX_JSON_VALUES or sum(map(text.count, MARKS)) <= MAX_JSON_VALUES
    )


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text, which must not hold NaN or Infinity. Raises ValueError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    data = text.encode() if isinstance(text, str) else text
    if not fits_in_memory(data):
        raise ValueError("more JSON than fits in the memory")
    try:
        return json.loads(data, parse_constant=refuse)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def unwrap_state(value: Any) -> Any:
    """Return the value of a STATE, given as such, as a whole message, or as Meltano keeps it."""
    if isinstance(value, dict) and "bookmarks" not in value:
        if "singer_state" in value:
            value = value["singer_state"]
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")
    return value


def parse_state(text: bytes) -> dict[str, Any] | None:
    """Return the state in a text; None if there is none, or if it has no bookmark."""
    try:
        state = unwrap_state(parse_json(text))
    except ValueError:
        return None
    has_bookmark = isinstance(state, dict) and isinstance(state.get("bookmarks"), dict) and state["bookmarks"]
    return state if has_bookmark else None


def write_atomically(path: Path, content: bytes, opener: Callable[[str, int], int] | None = None) -> None:
    """Write a file whole or not at all, and flush it to the disk. Raises OSError."""
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
        if error.errno != errno.EINVAL:  # a network file system may not support it for folders
            raise
    finally:
        os.close(folder)


def prepare_output_file(path: Path) -> None:
    """
    Check that a run can write a file at its end, and delete the file of an earlier run. Raises OSError.

    Readers would take the earlier file for this run's.
    """
    _beside(path).touch()
    _beside(path).unlink()
    path.unlink(missing_ok=True)


@contextmanager
def writing_summary(path: Path) -> Iterator[None]:
    """Convert an OSError of the block to a TapError that names the file of `--summary-json`."""
    try:
        yield
    except OSError as error:
        raise TapError(
            f"--summary-json {path}: cannot be written ({error.strerror}). Check the folder and its permissions."
        ) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def open_private(path: str, flags: int) -> int:
    """Open a file that only this user may read (an `opener` of `open`)."""
    return os.open(path, flags, 0o600)
