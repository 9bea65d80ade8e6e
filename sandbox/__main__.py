"""
`python -m sandbox`: serve a simulated Twilio until stopped. One line on stdout says when it is ready, and where.

With `--clock FILE` the advances made are kept in a file, and replayed by the next start: same seed, same rows.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .options import CHOICES, Options
from .server import serve
from .timestamps import DAY, timestamp
from .twilio import Twilio

NOW = "2026-04-01T09:00:00Z"
ENDS = (signal.SIGTERM, signal.SIGINT)
BULK = ("messages", "calls", "conferences", "transcriptions", "addresses")


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line, with a flag for each switch."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A simulated Twilio on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--seed", type=int, default=None, help="one seed, one history (default 0)")
    parser.add_argument("--clock", "--state", type=Path, metavar="FILE", help="keep the advances made, and replay them")
    parser.add_argument("--advance", type=float, metavar="HOURS", help="let life go on before serving")
    bulk = parser.add_argument_group("a large history in place of the demo's")
    for stream in BULK:
        bulk.add_argument(f"--{stream}", type=int, default=0, metavar="N")
    bulk.add_argument("--accounts", type=int, default=1, help="active accounts to spread them over (default 1)")
    bulk.add_argument("--days", type=float, default=365, help="how long the history is (default 365)")
    bulk.add_argument("--skew", action="store_true", help="one month holds ten times the rows of any other")
    switches = parser.add_argument_group("switches", "see sandbox/options.py")
    for switch in fields(Options):
        choices = "|".join(map(str, CHOICES.get(switch.name, ()))) or "VALUE"
        switches.add_argument(f"--{switch.name.replace('_', '-')}", metavar=choices, dest=f"switch_{switch.name}")
    return parser


def large(options: argparse.Namespace, seed: int) -> Twilio:
    """Return a large history that ends at the demo's time."""
    end = timestamp(NOW)
    start = end - int(options.days * DAY)
    twilio = Twilio(seed, start=start - DAY, accounts=options.accounts).at(end)
    accounts = list(twilio.streams["accounts"])
    for stream in BULK:
        for i, account in enumerate(accounts):
            n = getattr(options, stream) // len(accounts) + (i < getattr(options, stream) % len(accounts))
            if n:
                twilio.bulk(stream, n, start, end, account, options.skew)
    return twilio


def read_clock(path: Path | None, seed: int | None) -> dict[str, Any]:
    """Read the seed and the advances of earlier runs."""
    if path is None or not path.exists():
        return {"seed": seed or 0, "advances": []}
    kept = json.loads(path.read_text())
    if seed is not None and seed != kept["seed"]:
        raise ValueError(f"{path} was begun with seed {kept['seed']}: use that, or another file.")
    return dict(kept)


def write_clock(path: Path | None, clock: dict[str, Any]) -> None:
    """Keep them, whole or not at all."""
    if path is not None:
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(clock) + "\n")
        part.replace(path)


def world(options: argparse.Namespace, clock: dict[str, Any]) -> Twilio:
    """Return the simulated Twilio that the command line asks for, at the clock file's time."""
    is_large = any(getattr(options, stream) for stream in BULK)
    twilio = large(options, clock["seed"]) if is_large else Twilio.demo(clock["seed"])
    for hours in clock["advances"]:
        twilio.advance(hours)
    for switch in fields(Options):
        value = getattr(options, f"switch_{switch.name}")
        if value is not None:
            twilio.switch(switch.name, value)
    return twilio


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    options = arguments().parse_args(argv)
    # Blocked in every thread, and waited for. A handler runs in the main thread only, and nothing wakes that one where
    # the system hands the signal to another.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        clock = read_clock(options.clock, options.seed)
        twilio = world(options, clock)

        def record(hours: float) -> None:
            clock["advances"].append(hours)
            write_clock(options.clock, clock)

        if options.advance:
            twilio.advance(options.advance)
            record(options.advance)
        write_clock(options.clock, clock)
        with serve(twilio, options.port) as server:
            server.on_advance = record
            base_url = f"{server.url}/{{product}}"  # two products may have a list with the same path
            print(
                f"sandbox: base_url={base_url}  account_sid={twilio.main}  auth_token={twilio.auth_token}", flush=True
            )
            signal.sigwait(ENDS)
    except ValueError as mistake:
        print(f"sandbox: {mistake}", file=sys.stderr)
        return 1
    except OSError as failure:
        hint = f"port {options.port} is not free: stop what uses it, or leave out --port" if options.port else "failed"
        print(f"sandbox: {hint} ({failure.strerror or failure}).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
