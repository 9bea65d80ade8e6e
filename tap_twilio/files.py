"""The JSON files that the user names."""

from __future__ import annotations

import json
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
