"""Each warning and error that the tap can print stands in docs/troubleshooting.md, and nothing else does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap_twilio import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
ENDING = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.Error)}
ENDING -= {"Retry", "PageShifted", "DeclarationError"}  # they never leave the tap
LOOSE = 10  # letters in a row; an entry with fewer of them matches no message but itself


def text(node: ast.expr) -> str:
    """A message as a page shows it: … for each value that is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%(?:\.\d)?[sdf]", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text(node.left) + text(node.right)
    return ""


def said(call: ast.Call) -> bool:
    """Whether it prints a warning or an error, or raises what is printed."""
    if isinstance(call.func, ast.Attribute):
        logs = isinstance(call.func.value, ast.Name) and call.func.value.id == "LOGGER"
        return logs and call.func.attr in ("warning", "error", "critical")
    return isinstance(call.func, ast.Name) and call.func.id in ENDING


def messages() -> Iterator[str]:
    for path in sorted((ROOT / "tap_twilio").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and said(node) and node.args:
                found = text(node.args[0])
                if len(found.strip("…:;. ")) > 2:  # else it passes on what another place says
                    yield found


def pattern(entry: str, between: str = ".*") -> re.Pattern[str]:
    return re.compile(between.join(re.escape(piece) for piece in entry.split("…")))


def explains(entry: str, message: str) -> bool:
    loose = max(map(len, entry.split("…"))) < LOOSE
    return entry == message or (not loose and bool(pattern(entry).fullmatch(message)))


ENTRIES = [entry for row in re.findall(r"(?m)^\| (`.+?) \| .+ \|$", PAGE) for entry in re.findall("`([^`]+)`", row)]
MESSAGES = sorted(set(messages()))


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_is_explained(message: str) -> None:
    """By an entry that matches all of it: so a message that was reworded is noticed."""
    assert any(explains(entry, message) for entry in ENTRIES)


def test_no_entry_is_of_a_message_that_there_is_not() -> None:
    """The page is searched by people in a hurry."""
    source = "\n".join(
        text(node)
        for path in sorted((ROOT / "tap_twilio").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp))
    )
    assert [entry for entry in ENTRIES if not pattern(entry, "[^\n]*").search(source)] == []
