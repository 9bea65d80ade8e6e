"""A target that is fed line by line: when it lets go of STATE, and what is there when it is killed."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTLES_S = 3.0  # so long without a further STATE, and a target is taken to wait for its input's end


@dataclass
class Fed:
    """The end of a pipe. `early`: STATE lines before its input ended; `states`: all of them."""

    exit_code: int
    early: int = 0
    states: list[Any] = field(default_factory=list)
    log: str = ""

    @property
    def state(self) -> Any:
        return self.states[-1] if self.states else None

    @property
    def why(self) -> str:
        """The last line of its log that says what failed."""
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line or "CRITICAL" in line]
        return (errors or lines or [f"exit code {self.exit_code}"])[-1]


class _Printed:
    """The output so far, read by a thread."""

    def __init__(self, stream: Any) -> None:
        self.lines: list[bytes] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            if line.strip():
                self.lines.append(line)

    def all(self) -> list[bytes]:
        self._thread.join()
        return self.lines


def feed(
    command: Sequence[str | Path], lines: Sequence[bytes], log: Path, env: dict[str, str], kill_after: int | None = None
) -> Fed:
    """
    Give a target these lines. With `kill_after` it is killed (SIGKILL) after so many, once it had time to read them.

    Its log goes to a file.
    """
    with log.open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=env, cwd=log.parent
        )
    assert process.stdin is not None and process.stdout is not None
    printed = _Printed(process.stdout)
    with suppress(BrokenPipeError):
        for line in lines[:kill_after]:
            process.stdin.write(line)
        process.stdin.flush()
        _settle(process, printed)
    early = len(printed.lines)
    if kill_after is not None:
        process.kill()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.wait()
    states = [json.loads(line) for line in printed.all() if line.startswith(b"{")]
    process.stdout.close()
    return Fed(process.returncode, early, states, log.read_text("utf-8", "replace"))


def _settle(process: subprocess.Popen[bytes], printed: _Printed) -> None:
    count, since = -1, time.monotonic()
    while process.poll() is None and time.monotonic() - since < SETTLES_S:
        if len(printed.lines) != count:
            count, since = len(printed.lines), time.monotonic()
        time.sleep(0.05)
