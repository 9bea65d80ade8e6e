"""`python -m targets [NAME ...]`: try these targets, or all; what was seen goes to docs/targets.json and targets.md."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from . import page, servers, trial, types_only
from .declared import BY_NAME, FAKESNOW, TARGETS, Destination, Target
from .environments import Refusal, made


def main() -> int:
    """Exit code 0, whatever targets do: what they do is the result."""
    parser = argparse.ArgumentParser(prog="python -m targets", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BY_NAME)}")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="where their logs and files are left")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in BY_NAME]:
        parser.error(f"there is no target {unknown[0]}")
    for target in TARGETS:
        if not arguments.names or target.name in arguments.names:
            cells = _one(target, arguments.keep)
            print(f"{target.name}: {json.dumps(cells, indent=2, ensure_ascii=False)}", flush=True)
            page.keep(target.name, cells)
    page.write()
    return 0


def _one(target: Target, keep: Path | None) -> dict[str, str]:
    """Return the results of a target."""
    seen = {"version": trial.version_of(target), "seen": f"{date.today():%Y-%m-%d}"}
    folder = Path(tempfile.mkdtemp(prefix="tap-twilio-target-", dir=keep))
    folder.chmod(0o755)
    try:
        made(target)
        seen["Python"] = trial.python_of(target)
        if target.reader == "types":
            return {**seen, **types_only.asked(target)}
        with ExitStack() as stack:
            postgres = stack.enter_context(servers.postgres(folder)) if target.reader == "postgres" else ""
            port = 0
            if target.reader == "snowflake":
                made(FAKESNOW)
                port = stack.enter_context(servers.snowflake(folder))
            cells = trial.tried(target, Destination(folder / "trial", "twilio", postgres, port))
            if rewritten := trial.logs(folder, "SHIM "):
                cells["rewritten"] = "; ".join(rewritten)
            return {**seen, **cells}
    except Refusal as refusal:
        return {**seen, "loads": f"not tried: {refusal}"}
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
