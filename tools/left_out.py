"""
Exceptions of the check, with reasons: lists that no stream reads, and streams that the documents lack.

A list is named by its product (the host's first label) and its path, as in the documents.
"""

from __future__ import annotations

from pathlib import Path

LINES = (Path(__file__).resolve().parent / "left_out.txt").read_text(encoding="utf-8").splitlines()
_FOUND = [line.split(None, 2) for line in LINES if not line.startswith("#")]
LEFT_OUT: dict[tuple[str, str], str] = {(product, path): why for product, path, why in _FOUND}

UNDOCUMENTED: dict[str, str] = {
    "call_feedback": "Twilio took it out of the documents in 2023",
}
