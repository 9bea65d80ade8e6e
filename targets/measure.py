"""
`python -m targets.measure [NAME ...]`: what settings cost for 40,000 messages, of `postgres` and `snowflake` or of one.

Of meltanolabs-target-postgres that is time. Of meltanolabs-target-snowflake it is statements, which Snowflake runs one
by one: the time that fakesnow takes is not Snowflake's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from sandbox import Twilio, serve
from testing.taps import Tap

from . import page, servers
from .declared import BY_NAME, FAKESNOW, Destination
from .environments import made

ROWS = 40_000
Settings = dict[str, Any]
POSTGRES: tuple[Settings, ...] = ({}, {"validate_records": False}, {"validate_records": False, "use_copy": True})
SNOWFLAKE: tuple[Settings, ...] = ({"batch_size_rows": 1_000}, {}, {"batch_size_rows": 100_000})


def postgres(folder: Path, lines: Path) -> dict[str, Any]:
    """Three times each, in turn; the shortest counts, since others use the machine too."""
    target = BY_NAME["meltanolabs-target-postgres"]
    made(target)
    seconds: dict[str, float] = {}
    with servers.postgres(folder) as url:
        for turn in range(3):
            for number, settings in enumerate(POSTGRES):
                destination = Destination(folder, f"it_{turn}_{number}", url, 0)
                config = target.config(destination)
                kept = {one: config[one] for one in ("sqlalchemy_url", "default_target_schema")}
                taken = _timed(target.start(_config(destination, {**kept, **settings})), lines)
                seconds[_named(settings)] = min(taken, seconds.get(_named(settings), taken))
    description = (
        f"{ROWS:,} messages from a file into an empty table of a Postgres on the same machine "
        f"({os.cpu_count()} cores), {date.today():%Y-%m-%d}: the shortest of three runs."
    )
    return {"what": description, "seconds": {name: round(value, 1) for name, value in seconds.items()}}


def snowflake(folder: Path, lines: Path) -> dict[str, Any]:
    """The statements that come to fakesnow's server, once each: their number is the same each time."""
    target = BY_NAME["meltanolabs-target-snowflake"]
    made(target)
    made(FAKESNOW)
    statements: dict[str, dict[str, int]] = {}
    for number, settings in enumerate(SNOWFLAKE):
        here = folder / f"snowflake_{number}"
        here.mkdir()
        with servers.snowflake(here) as port:
            destination = Destination(here, f"it_{number}", "", port)
            config = {**target.config(destination), "batch_size_rows": None, **settings}
            kept = {name: value for name, value in config.items() if value is not None}
            _timed(target.start(_config(destination, kept)), lines, {"FAKESNOW_PORT": str(port)})
        log = (here / "fakesnow.log").read_text("utf-8").lower()
        sent = re.findall(r"^sent (?!put 'file://[^/])(\w+)", log, re.MULTILINE)  # only fakesnow is told a PUT twice
        statements[_named(settings)] = {"MERGE": sent.count("merge"), "all": len(sent)}
    description = (
        f"meltanolabs-target-snowflake, {ROWS:,} messages into an empty table, {date.today():%Y-%m-%d}: the statements "
        "that came to fakesnow's server. Each is a round trip to Snowflake."
    )
    return {"what": description, "statements": statements}


MEASURES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"postgres": postgres, "snowflake": snowflake}


def main() -> int:
    """Write the measurements to docs/targets.json and targets.md."""
    parser = argparse.ArgumentParser(prog="python -m targets.measure", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}")
    names = parser.parse_args().names or list(MEASURES)
    if unknown := [name for name in names if name not in MEASURES]:
        parser.error(f"nothing is measured as {unknown[0]}")
    for name in names:
        with tempfile.TemporaryDirectory(prefix="tap-twilio-measure-") as temporary:
            folder = Path(temporary)
            folder.chmod(0o755)
            found = MEASURES[name](folder, _lines(folder))
        page.keep(f"measured: {name}", found)
        print(found)
    page.write()
    return 0


def _named(settings: Settings) -> str:
    return ", ".join(f"`{one}: {json.dumps(value)}`" for one, value in settings.items()) or "its own"


def _config(destination: Destination, config: Settings) -> Path:
    path = destination.folder / f"{destination.schema}.json"
    path.write_text(json.dumps(config))
    return path


def _lines(folder: Path) -> Path:
    twilio = Twilio(7, start="2026-01-01").at("2026-01-20T00:00:00Z")
    twilio.messages(ROWS, since="2026-01-02", until="2026-01-19", price="-0.00750")
    with serve(twilio) as server:
        run = Tap(server, folder / "tap").select("messages").run()
    assert run.exit_code == 0, run.log
    assert len(run.sids()) == ROWS
    path = folder / "lines"
    path.write_bytes(b"".join(run.lines))
    return path


def _timed(command: list[str | Path], lines: Path, env: dict[str, str] | None = None) -> float:
    began = time.monotonic()
    with lines.open("rb") as source:
        subprocess.run(command, stdin=source, capture_output=True, check=True, env={**os.environ, **(env or {})})
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
