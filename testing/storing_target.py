"""
A target that stores rows in SQLite, and confirms a STATE only once the rows before it are stored, as targets should.

`storing_target.py DATABASE [ORDERS]`. It commits with each third STATE and at the end, and prints that STATE then. In
the file ORDERS, if there is one, stands what happens on the way, once: `VICTIM WHEN N`, where VICTIM is tap, target or
sync, and WHEN is read (the Nth line), stored (the Nth commit), or confirming (half of the Nth STATE is printed).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

HELD = 3  # STATEs, until it commits


class Killer:
    """Kills one of the three when it is time."""

    def __init__(self, orders: Path | None) -> None:
        self.victim, self.when, n = orders.read_text().split() if orders and orders.exists() else ("", "", "0")
        self.left = int(n)
        if orders:
            orders.unlink(missing_ok=True)

    def due(self, now: str) -> bool:
        """Return whether it is time."""
        self.left -= self.when == now
        return self.when == now and self.left == 0

    def kill(self) -> None:
        """SIGKILL, to whom the orders name; run-sync is this process's parent, and the tap its other child."""
        sync = os.getppid()
        pids = {"target": os.getpid(), "sync": sync}
        if self.victim == "tap":
            ps = ["ps", "-axwwo", "pid=,ppid=,args="]
            for line in subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines():
                pid, parent, command = line.split(maxsplit=2)
                if int(parent) == sync and "--config" in command:
                    pids["tap"] = int(pid)
        if self.victim in pids:  # a tap may have ended already
            os.kill(pids[self.victim], signal.SIGKILL)


class Rows:
    """The table in a database; `count` rows were stored in this run."""

    def __init__(self, path: str) -> None:
        self.count, self.database = 0, sqlite3.connect(path)
        self.database.execute("create table if not exists rows (stream, sid, record, primary key (stream, sid))")

    def store(self, message: dict[str, Any]) -> None:
        row = (message["stream"], message["record"]["sid"], json.dumps(message["record"]))
        self.database.execute("insert or replace into rows values (?, ?, ?)", row)
        self.count += 1


def main() -> None:
    """From stdin into the database."""
    rows = Rows(sys.argv[1])
    killer = Killer(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    held: list[str] = []

    def confirm() -> None:
        rows.database.commit()
        if killer.due("stored"):
            killer.kill()
        state = held[-1] + "\n"
        if killer.due("confirming"):
            sys.stdout.write(state[: len(state) // 2])
            sys.stdout.flush()
            killer.kill()
            state = state[len(state) // 2 :]
        sys.stdout.write(state)
        sys.stdout.flush()
        held.clear()

    for line in sys.stdin:
        message = json.loads(line)  # half of a line is an error, as for any target
        if killer.due("read"):
            killer.kill()
        if message["type"] == "RECORD":
            rows.store(message)
        elif message["type"] == "STATE":
            held.append(json.dumps(message["value"]))
            if len(held) == HELD:
                confirm()
    if held:
        confirm()


if __name__ == "__main__":
    main()
