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


def read_json(path: str, what: str) -> Any:
    """The JSON in a file the user named. Raises TapError, which names the file and never quotes its content."""
    try:
        return parse_json(Path(path).read_bytes())
    except OSError as error:
        raise TapError(
            f"{what} {path}: cannot be read ({error.strerror}). Check the path and its permissions."
        ) from None
    except (ValueError, RecursionError) as error:
        at = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TapError(f"{what} {path}: is not valid JSON{at}. Mend it, or write it anew.") from None


def parse_json(text: bytes | str) -> Any:
    """JSON, without the NaN and Infinity that Python takes for it. Raises ValueError and RecursionError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


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
