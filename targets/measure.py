"""`python -m targets.measure`: how long meltanolabs-target-postgres takes for 40,000 messages, by its settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from sandbox import Twilio, serve
from tests.taps import Tap

from . import page, servers
from .declared import BY_NAME, Place
from .environments import made

ROWS = 40_000
SETTINGS: tuple[dict[str, bool], ...] = ({}, {"validate_records": False}, {"validate_records": False, "use_copy": True})


def main() -> int:
    """Three times each, in turn; the shortest counts, since others use the machine too."""
    target = BY_NAME["meltanolabs-target-postgres"]
    made(target)
    with tempfile.TemporaryDirectory(prefix="tap-twilio-measure-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        lines = _lines(folder)
        seconds: dict[str, float] = {}
        with servers.postgres(folder) as url:
            for turn in range(3):
                for number, settings in enumerate(SETTINGS):
                    schema = f"it_{turn}_{number}"
                    config = target.config(Place(folder, schema, url, 0))
                    kept = {one: config[one] for one in ("sqlalchemy_url", "default_target_schema")}
                    path = folder / f"{schema}.json"
                    path.write_text(json.dumps({**kept, **settings}))
                    what = ", ".join(f"`{one}: {json.dumps(value)}`" for one, value in settings.items()) or "its own"
                    taken = _timed([*target.start(path)], lines)
                    seconds[what] = min(taken, seconds.get(what, taken))
    said = (
        f"{ROWS:,} messages from a file into an empty table of a Postgres on the same machine "
        f"({os.cpu_count()} cores), {date.today():%Y-%m-%d}: the shortest of three runs."
    )
    page.keep("measured", {"what": said, "seconds": {name: round(value, 1) for name, value in seconds.items()}})
    page.write()
    print(seconds)
    return 0


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


def _timed(command: list[str | Path], lines: Path) -> float:
    began = time.monotonic()
    with lines.open("rb") as source:
        subprocess.run(command, stdin=source, capture_output=True, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
