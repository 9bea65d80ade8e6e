"""How a run ends that does not end by itself: signals, a target that is gone, a full disk. Through real processes."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Twilio
from testing.taps import Tap

MakeTap = Callable[..., Tap]
HOUR_S = 3600.0
PAST = {"since": "2025-03-01", "until": "2025-12-30"}


def busy(tap: Tap) -> bool:
    return len(tap.server.requests) >= 12


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_with_a_last_state(tap_of: MakeTap, number: signal.Signals, code: int) -> None:
    """Though state_seconds is far off and no request is answered; that STATE covers all that was written."""
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    twilio.messages(400, **PAST)
    twilio.addresses(60, **PAST)
    twilio.latency = (0.02, 0.0)
    tap = tap_of(twilio, page_size=5, state_seconds=900).select("messages", "addresses")
    started = tap.start().wait_for(lambda: busy(tap))
    twilio.faults, twilio.hang_seconds = {"hang": 1.0}, HOUR_S
    started.process.send_signal(number)
    run = started.wait()
    assert run.exit_code == code
    assert len(run.states) == 1
    assert run.lines[-1].startswith(b'{"type":"STATE"')
    assert run.said[-1] == "stopped before the end; the last STATE line covers every record that was written"
    assert "Traceback" not in run.log

    twilio.faults, twilio.latency = {}, (0.0, 0.0)
    tap.keep(run.lines)
    again = tap.sync(rescan_pages=1)
    assert len(again.sids()) <= 460 - len(run.sids()) + 5 * (len(tap.state["bookmarks"]) + 32)
    tap.sync()
    assert tap.wrong(["messages", "addresses"]) == {}


# The tap without the alarm that ends a stop which takes too long: so it ends by itself, or never.
WITHOUT_ALARM = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_signal_before_the_first_answer_ends_the_run_too(tap_of: MakeTap, tmp_path: Path) -> None:
    """Nothing was read, nothing is written, and no answer is waited for."""
    tap = tap_of(Twilio(faults={"hang": 1.0}, hang_seconds=HOUR_S), request_timeout=600)
    with (tmp_path / "out").open("wb") as out:
        started = tap.start(command=[sys.executable, "-c", WITHOUT_ALARM, *tap.command()], stdout=out)
    started.wait_for(lambda: bool(tap.server.requests))
    started.process.send_signal(signal.SIGTERM)
    run = started.wait()
    assert run.exit_code == 143
    assert (tmp_path / "out").read_bytes() == b""
    assert "Traceback" not in run.log


def _unread(fd: int) -> int:
    """How many bytes wait in a pipe."""
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]  # type: ignore[no-any-return]


def test_a_second_signal_ends_the_run_at_once(tap_of: MakeTap) -> None:
    """
    Also where the target reads nothing any more, so that a last STATE cannot be written.

    The exit code is the second signal's: the first one, and the end of the time that it gives, have another.
    """
    twilio = Twilio()
    twilio.messages(3000, **PAST)
    tap = tap_of(twilio, page_size=1000)
    reader, writer = os.pipe()
    started = tap.start(stdout=writer)
    os.close(writer)
    started.wait_for(lambda: _unread(reader) > 60_000)  # the pipe is full
    started.process.send_signal(signal.SIGINT)
    started.process.send_signal(signal.SIGTERM)
    assert started.wait().exit_code == 143
    os.close(reader)


def test_a_target_that_is_gone_ends_the_run_quietly(tap_of: MakeTap) -> None:
    """It has said why itself: no word, no traceback, not zero, and no more requests than were on their way."""
    twilio = Twilio(start="2025-01-01", latency=(0.01, 0.0)).at("2026-01-01")
    twilio.messages(2000, **PAST)
    tap = tap_of(twilio, page_size=5, concurrency=2).select("messages")
    reader, writer = os.pipe()
    started = tap.start(stdout=writer)
    os.close(writer)
    assert os.read(reader, 100)
    os.close(reader)
    run = started.wait()
    assert run.exit_code not in (0, 2, 3, 130, 143)
    assert run.said == []
    assert len(tap.requests) < 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_ends_the_run_with_one_line(tap_of: MakeTap) -> None:
    """It names stdout and what is wrong with it."""
    twilio = Twilio()
    twilio.messages(3)
    tap = tap_of(twilio)
    with Path("/dev/full").open("wb") as full:
        run = tap.start(stdout=full).wait()
    assert run.exit_code == 1
    (line,) = run.said
    assert line.startswith("stdout: No space left on device")


def test_output_to_a_pager_that_is_left_is_no_error_of_the_taps(tap_of: MakeTap) -> None:
    """tap-twilio | head: the shell sees head's end, and stderr stays clean."""
    twilio = Twilio()
    twilio.messages(2000, **PAST)
    tap = tap_of(twilio)
    command = " ".join(tap.command())
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 1"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.count(b"\n") == 1
    assert b"WARNING" not in done.stderr and b"ERROR" not in done.stderr and b"CRITICAL" not in done.stderr
