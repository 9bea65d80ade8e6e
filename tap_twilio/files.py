"""
Reads and writes the files that the user names: JSON in, and out whole or not at all.

Config, catalog, state and the summary file come through here; run_sync/ stores its STATE with it.
"""

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
SEPARATORS = (b",", b"[", b"{")  # each value but the first follows one of these


def read_json(path: str, what: str) -> Any:
    """Return the JSON of a file. Raises TapError, which names the option `what` and the file, and never quotes it."""
    try:
        text = Path(path).read_bytes()
        if not text.strip():
            advice = {
                "--state": "Put a target's last STATE into it, or leave --state out to read everything.",
                "--catalog": "Recreate it: tap-twilio --discover > catalog.json.",
            }.get(what, "Recreate the file.")
            raise TapError(f"{what} {path}: is empty. {advice}")
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

    It counts values too, since 60 MB of `{},` would take more than 1 GB.
    """
    return len(text) <= MAX_JSON_BYTES and (
        len(text) <= MAX_JSON_VALUES or sum(map(text.count, SEPARATORS)) <= MAX_JSON_VALUES
    )


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text, which must not hold NaN or Infinity. Raises ValueError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    data = text.encode() if isinstance(text, str) else text
    if not fits_in_memory(data):
        raise ValueError("JSON too large for the memory")
    try:
        return json.loads(data, parse_constant=refuse)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def unwrap_state(value: Any) -> Any:
    """Return the value of a STATE from the value itself, a whole STATE message, or Meltano's form."""
    if isinstance(value, dict) and "bookmarks" not in value:
        if "singer_state" in value:
            value = value["singer_state"]
        if isinstance(value, dict) and value.get("type") == "STATE":
            value = value.get("value")
    return value


def parse_state(text: bytes) -> dict[str, Any] | None:
    """Return the state in a text; None if the text holds none, or the state has no bookmark."""
    try:
        state = unwrap_state(parse_json(text))
    except ValueError:
        return None
    has_bookmark = isinstance(state, dict) and isinstance(state.get("bookmarks"), dict) and state["bookmarks"]
    return state if has_bookmark else None


def write_atomically(path: Path, content: bytes, opener: Callable[[str, int], int] | None = None) -> None:
    """Write a file whole or not at all, and flush it to the disk. Raises OSError."""
    new = _temporary(path)
    with open(new, "wb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(folder)


def check_writable(path: Path) -> None:
    """Check that the run can write a file at its end. Raises OSError."""
    _temporary(path).touch()
    _temporary(path).unlink()


def prepare_output_file(path: Path) -> None:
    """
    Check that the run can write a file at its end, and delete the file of an earlier run. Raises OSError.

    A reader could take the earlier file for this run's.
    """
    check_writable(path)
    path.unlink(missing_ok=True)


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Raise a TapError that names the option and its file, for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise TapError(
            f"{option} {path}: cannot be written ({error.strerror}). Check the folder and its permissions."
        ) from None


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def open_private(path: str, flags: int) -> int:
    """Open a file that only this user may read; an `opener` for `open`."""
    return os.open(path, flags, 0o600)
