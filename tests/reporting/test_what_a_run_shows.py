"""What one sees of a sync: times and JSON in the log, progress, the table at the end, and the summary's file."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio import __version__
from tap_twilio.streams import STREAMS
from testing.sampled import long
from testing.taps import COMMAND, ROOT, Tap

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-03-01", "until": "2025-12-30"}
# The members that Meltano's log_parser singer-sdk asks for (meltano/core/logging/parsers.py), and those of the Singer
# SDK's singer_sdk/schemas/logs.schema.json, which wants `extra` as well.
MEMBERS = {"level", "pid", "logger_name", "ts", "thread_name", "app_name", "stream_name", "message", "extra"}


def a_year(tap_of: MakeTap, messages: int = 300, **settings: Any) -> Tap:
    twilio = Twilio(start="2025-01-01", accounts=2).at("2026-01-01")
    twilio.messages(messages, **PAST)
    twilio.calls(20, **PAST)
    return tap_of(twilio, page_size=10, **settings).select("messages", "calls", "addresses")


def whole(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


# The log --------------------------------------------------------------------------------------------------------------


def test_each_line_has_a_time_and_the_first_says_what_is_read(tap_of: MakeTap) -> None:
    """UTC, in ISO's form; version, how many accounts, how many streams and which, since they are few."""
    lines = a_year(tap_of).sync().log.splitlines()

    assert len(lines) > 5
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING) \S", line) for line in lines)
    assert lines[0][21:] == f"INFO tap-twilio {__version__} reads 2 accounts and 3 streams: addresses, calls, messages"


@pytest.mark.parametrize("how", ["argument", "meltano", *long("variable")])
def test_the_log_is_json_as_the_singer_sdk_writes_it(tap_of: MakeTap, tmp_path: Path, how: str) -> None:
    """Level, stream and metrics, with all members that Meltano's parser asks for, and without secrets."""
    (tmp_path / "sdk.json").write_text('{"formatters": {"x": {"()": "singer_sdk.logging.StructuredFormatter"}}}')
    env = {
        "argument": {},
        "variable": {"TAP_TWILIO_LOG_FORMAT": "json"},
        "meltano": {"SINGER_SDK_LOG_CONFIG": str(tmp_path / "sdk.json")},
    }[how]
    tap = a_year(tap_of, 20)
    run = tap.sync(*(["--log-format", "json"] if how == "argument" else []), env=env)
    lines = [json.loads(line) for line in run.log.splitlines()]

    assert all(line.keys() - {"metric_info"} == MEMBERS for line in lines)
    assert all(line["level"] in ("info", "warning") and line["app_name"] == "tap-twilio" for line in lines)
    assert all(isinstance(line["ts"], float) and isinstance(line["extra"], dict) for line in lines)
    metrics = [line for line in lines if line["message"] == "METRIC"]
    counted = {line["stream_name"]: line["metric_info"] for line in metrics if line["stream_name"]}
    assert counted["messages"] == {
        "type": "counter",
        "metric": "record_count",
        "value": 20,
        "tags": {"endpoint": "messages", "stream": "messages"},
    }
    (summary,) = (line for line in lines if line["stream_name"] == "messages" and "rows_read" in line["extra"])
    assert summary["extra"]["rows_emitted"] == 20 and "20 emitted" in summary["message"]
    assert not any(line["message"].startswith("stream ") for line in lines)


def test_a_line_of_json_bears_the_stream_that_it_names(tap_of: MakeTap) -> None:
    """Whoever filters a log by stream finds all that was said of it: what is announced, and what failed."""
    twilio = Twilio().at("2026-02-01")
    twilio.calls(5, since="2026-01-30", until="2026-01-31")
    twilio.fail_next("500", times=100, path_contains="Messages")
    streams = ("calls", "messages", "call_feedback")
    run = tap_of(twilio, retry_minutes=0).select(*streams).run("--log-format", "json")
    lines = [json.loads(line) for line in run.log.splitlines()]
    named = [(line["stream_name"], line["message"]) for line in lines if line["message"].split()[0] in streams]

    assert run.exit_code == 3 and {message.split()[0] for _, message in named} >= {"messages", "call_feedback"}
    assert all(stream == message.split()[0] for stream, message in named)
    assert [line["stream_name"] for line in lines if line["message"].startswith("failed: ")] == ["messages"]


def test_an_error_is_one_line_of_json_without_secrets(tap_of: MakeTap) -> None:
    """As of text."""
    tap = tap_of(Twilio())
    secret = "s" * 31 + '"'
    run = tap.run("--log-format", "json", auth_token=secret)
    (line,) = (json.loads(line) for line in run.log.splitlines())

    assert run.exit_code == 1 and (line["level"], line["stream_name"]) == ("critical", None)
    assert "check account_sid and auth_token" in line["message"] and "sss" not in run.log


def test_a_form_that_is_none_is_text_and_said(tap_of: MakeTap) -> None:
    """In the environment; as an argument it is refused like any."""
    run = a_year(tap_of, 10).run(env={"TAP_TWILIO_LOG_FORMAT": "xml"})
    assert run.exit_code == 0 and "TAP_TWILIO_LOG_FORMAT is not text or json" in run.said[0]


# Progress -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json"])
def test_elsewhere_a_line_now_and_then_says_how_far_it_is(tap_of: MakeTap, form: str) -> None:
    """Pages, rows read and emitted, and how much of a backfill is done."""
    tap = a_year(tap_of)
    tap.twilio.latency = (0.02, 0.0)
    run = tap.sync("--log-format", form, env={"TAP_TWILIO_PROGRESS_SECONDS": "0.1"})
    found = re.findall(r"(\d+) pages, (\d+) rows read \(\d+ a second\), (\d+) emitted(; backfills: )?", run.log)

    assert found and [int(pages) for pages, *_ in found] == sorted(int(pages) for pages, *_ in found)
    assert 0 < int(found[-1][1]) <= 400 and any(first for *_, first in found)
    if form == "json":
        lines = [json.loads(line)["extra"] for line in run.log.splitlines() if "a second" in line]
        streams = [one for line in lines for one in line["streams"] if one["stream"] == "messages"]
        assert all(0 <= one["backfill_share"] <= 1 for one in streams if one["backfill_share"] is not None)
        assert max(one["rows_read"] for one in streams) > 0


class OnTerminal:
    """A tap whose stderr is a terminal; its stdout is a pipe, as towards a target."""

    def __init__(
        self, tap: Tap, *arguments: str, command: Sequence[str] = (), target: Sequence[str] = ("cat",), **env: str
    ) -> None:
        self._screen, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self._target = subprocess.Popen(target, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process = subprocess.Popen(
            command or tap.command(*arguments),
            cwd=ROOT,
            env=tap.environment({"TERM": "xterm", **env}),
            stdin=subprocess.DEVNULL,
            stdout=self._target.stdin,
            stderr=end,
        )
        os.close(end)
        assert self._target.stdin
        self._target.stdin.close()
        self._target.stdin = None
        self.drawn, self.written = b"", b""
        self._readers = [threading.Thread(target=self._look), threading.Thread(target=self._read)]
        for reader in self._readers:
            reader.start()

    def _look(self) -> None:
        with suppress(OSError):  # how a terminal ends
            while more := os.read(self._screen, 1 << 16):
                self.drawn += more
        os.close(self._screen)

    def _read(self) -> None:
        assert self._target.stdout
        with self._target.stdout as stdout:
            self.written = stdout.read()

    def until(self, text: bytes) -> OnTerminal:
        """Until this was drawn, or the tap has ended."""
        while text not in self.drawn and self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
        return self

    def kill_target(self) -> None:
        self._target.kill()

    def end(self) -> tuple[int, str]:
        """Its exit code, and all that it drew."""
        code = self.process.wait(60)
        self._target.wait(60)
        for reader in self._readers:
            reader.join()
        assert b"\x1b" not in self.written
        return code, self.drawn.decode()


def test_on_a_terminal_a_display_is_drawn_and_gone_at_the_end(tap_of: MakeTap) -> None:
    """On stderr only, with the cursor where it was; without times, metrics and lines of progress."""
    tap = a_year(tap_of)
    tap.twilio.latency = (0.02, 0.0)
    code, drawn = OnTerminal(tap).end()
    plain, last = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn), drawn[drawn.rindex("\x1b[1A") :]

    assert code == 0 and re.search(r"rows read, 320 emitted\s+stream +pages .+\smessages +\d+ +\d+ +300", plain, re.S)
    assert "\x1b[?25l" not in drawn.rpartition("\x1b[?25h")[2]
    assert "rows/s" not in last and "INFO read " in last
    assert "METRIC" not in drawn and not re.search(r"\dZ INFO", drawn)


@pytest.mark.parametrize("terminal", [True, False])
def test_while_the_target_reads_nothing_the_progress_says_so(tap_of: MakeTap, terminal: bool) -> None:
    """As one that makes 238 tables: it takes a line now and then, and the tap seems to stand still."""
    slow = ["sh", "-c", "for i in 1 2 3 4 5 6; do head -c 20000; sleep 0.4; done; cat"]
    tap = a_year(tap_of, 5).select(*(stream.name for stream in STREAMS))
    tap.settings["base_url"] += "/{product}"
    lines = {} if terminal else {"TERM": "dumb", "TAP_TWILIO_PROGRESS_SECONDS": "0.2"}
    running = OnTerminal(tap, target=slow, **lines).until(b"waiting for the target")
    said = running.drawn.decode()
    running.process.send_signal(signal.SIGTERM)
    running.end()

    assert "waiting for the target" in said
    assert terminal or re.search(r"INFO \d+ pages, .* 0 emitted.*; waiting for the target\r\n", said)


@pytest.mark.parametrize("number", [signal.SIGINT, *long(signal.SIGTERM)])
def test_a_display_ends_with_a_signal(tap_of: MakeTap, number: signal.Signals) -> None:
    """And the log says so below it."""
    tap = a_year(tap_of, 3000)
    tap.twilio.latency = (0.05, 0.0)
    running = OnTerminal(tap).until(b"rows/s")
    running.process.send_signal(number)
    code, drawn = running.end()

    assert code == 128 + number and "WARNING stopped before the end" in drawn.rpartition("rows/s")[2]


def test_a_display_ends_with_its_target(tap_of: MakeTap) -> None:
    """Nothing of it is left on the screen."""
    tap = a_year(tap_of, 3000)
    tap.twilio.latency = (0.05, 0.0)
    running = OnTerminal(tap, "--log-format", "text").until(b"rows/s")
    running.kill_target()
    code, drawn = running.end()

    assert code == 1 and drawn.rstrip().endswith("\x1b[2K") and "Traceback" not in drawn


@pytest.mark.parametrize("how", ["without rich", *long("dumb", "no colour")])
def test_what_a_terminal_cannot_show_is_not_drawn(tap_of: MakeTap, tmp_path: Path, how: str) -> None:
    """One that cannot move its cursor, or no rich: lines, as elsewhere. NO_COLOR: drawn without colours."""
    (tmp_path / "rich.py").write_text("raise ImportError")
    env = {"dumb": {"TERM": "dumb"}, "without rich": {"PYTHONPATH": str(tmp_path)}, "no colour": {"NO_COLOR": "1"}}[how]
    tap = a_year(tap_of)
    tap.twilio.latency = (0.02, 0.0)
    code, drawn = OnTerminal(tap, TAP_TWILIO_PROGRESS_SECONDS="0.1", **env).end()

    assert code == 0
    if how == "no colour":
        assert "rows/s" in drawn and not re.search(r"\x1b\[[\d;]*3\dm", drawn)
    else:
        assert "\x1b" not in drawn and re.search(r"INFO \d+ pages, \d+ rows read", drawn)


def test_run_sync_passes_its_terminal_on_and_logs_the_lines(tap_of: MakeTap, tmp_path: Path) -> None:
    """With --logs, the screen has the display and the warnings, and the log's file each line with its time."""
    tap = a_year(tap_of)
    tap.twilio.latency = (0.02, 0.0)
    target = f"{sys.executable} '{ROOT / 'testing/storing_target.py'}' '{tmp_path / 'rows.db'}' '{tmp_path / 'orders'}'"
    given = tap.command(nonsense=1)[len(COMMAND) :]
    where = ["--target", target, "--state", str(tmp_path), "--logs", str(tmp_path)]
    code, drawn = OnTerminal(tap, command=[*COMMAND, "run-sync", *where, "--", *given]).end()
    log = [line for line in (tmp_path / "tap.log").read_text("utf-8").splitlines() if not line.startswith("--- ")]

    assert code == 0 and "rows/s" in drawn and "  WARNING unknown setting" in drawn and "INFO" not in drawn
    assert drawn.rstrip().endswith("\x1b[2K")
    assert all(re.match(r"\S+Z (INFO|WARNING) ", line) for line in log) and "reads 2 accounts" in log[1]
    assert "bookmarks" in (tmp_path / "state.json").read_text("utf-8")


@pytest.mark.parametrize("screen", ["99", "1", "nowhere"])
def test_a_screen_that_is_none_changes_nothing(tap_of: MakeTap, screen: str) -> None:
    """A number that stands for nothing, or for stdout, where only messages go."""
    tap = a_year(tap_of, 5)
    run = tap.run(nonsense=1, env={"TAP_TWILIO_SCREEN": screen})

    assert run.exit_code == 0 and "WARNING unknown setting" in run.log
    assert all(line.startswith(b"{") for line in run.lines)


# The table and the summary's file -------------------------------------------------------------------------------------


def test_a_table_at_the_end_says_what_became_of_each_stream(tap_of: MakeTap) -> None:
    """Rows read and emitted, the new bookmark, and completeness; selected streams without rows are named."""
    tap = a_year(tap_of, 50)
    run = tap.sync()

    assert run.table["messages"] == ["60", "50", "0", "2025-12-31 18:00", "yes"], "the first page is looked at twice"
    assert run.table.keys() == {"messages", "calls"}
    assert "1 selected stream returned no rows: addresses" in run.said
    assert run.said[-1].startswith("read ")
    assert tap.sync().table["messages"][1] == "0"


def test_the_table_fits_80_columns_and_names_selected_streams_only(tap_of: MakeTap) -> None:
    """Also with a stream of a long name, whose parents are read for its sake."""
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    name = "trusthub_customer_profile_entity_assignments"
    twilio.messages(9, **PAST)
    twilio.add("trusthub_customer_profiles", n=2)
    twilio.add(name, n=3)
    tap = tap_of(twilio)
    tap.settings["base_url"] += "/{product}"
    run = tap.select("messages", name).run()

    assert run.table.keys() == {"messages", name}
    (at,) = (index for index, line in enumerate(run.said) if line.split()[:2] == ["stream", "read"])
    assert all(len(f"INFO {line}") <= 80 for line in run.said[at : at + 4])


def test_the_summarys_file_says_the_same_for_programs(tap_of: MakeTap, tmp_path: Path) -> None:
    """With totals, which are the sums of the streams', and these of their accounts'."""
    tap = a_year(tap_of, 50)
    file = tmp_path / "summary.json"
    file.write_text("of another run")
    tap.sync("--summary-json", str(file))
    found = whole(file)

    assert (found["format"], found["exit_code"], found["error"], found["stopped"]) == (1, 0, None, False)
    assert (found["version"], found["accounts"]) == (__version__, 2)
    streams = {one["stream"]: one for one in found["streams"]}
    assert streams.keys() == {"messages", "calls", "addresses", "accounts"}
    for name in ("pages", "rows_read", "rows_emitted", "requests"):
        assert found["totals"][name] == sum(one[name] for one in found["streams"])
        for one in found["streams"]:
            assert one[name] == sum(part[name] for part in one["accounts"])
    assert found["totals"]["requests"] == len(tap.requests)
    assert (
        streams["messages"]["rows_emitted"] == 50 and streams["messages"]["bookmark"] == "2025-12-31T18:00:00.000000Z"
    )
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("summary")] == ["summary.json"]


def test_a_summary_is_written_of_a_run_that_failed(tap_of: MakeTap, tmp_path: Path) -> None:
    """In part, or before it began; the exit code and the errors are in it, without secrets."""
    tap, file = a_year(tap_of, 50), tmp_path / "summary.json"
    run = tap.run("--summary-json", str(file), auth_token="f" * 32)
    found = whole(file)
    assert run.exit_code == found["exit_code"] == 1 and found["totals"]["rows_emitted"] == 0
    assert "check account_sid and auth_token" in found["error"] and "f" * 32 not in file.read_text()

    tap.state = {"bookmarks": 3}
    run = tap.run("--summary-json", str(file))
    assert run.exit_code == whole(file)["exit_code"] == 1 and "state" in whole(file)["error"]


def test_a_summary_is_written_of_a_run_that_was_stopped(tap_of: MakeTap, tmp_path: Path) -> None:
    """Also of one that a second signal ends at once, since its target reads nothing any more."""
    tap, file = a_year(tap_of, 3000), tmp_path / "summary.json"
    tap.twilio.latency = (0.02, 0.0)
    started = tap.start("--summary-json", str(file)).wait_for(lambda: len(tap.server.requests) > 12)
    started.process.send_signal(signal.SIGTERM)
    assert started.wait().exit_code == whole(file)["exit_code"] == 143
    assert whole(file)["stopped"] and 0 < whole(file)["totals"]["rows_read"] < 3020

    reader, writer = os.pipe()
    started = tap.start("--summary-json", str(file), stdout=writer, page_size=1000)
    os.close(writer)
    started.wait_for(lambda: struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0] > 60_000)
    started.process.send_signal(signal.SIGINT)
    started.process.send_signal(signal.SIGTERM)
    assert started.wait().exit_code == whole(file)["exit_code"] == 143
    os.close(reader)


def test_a_summary_that_cannot_be_written_is_refused_before_anything_is_asked(tap_of: MakeTap, tmp_path: Path) -> None:
    """In one line."""
    tap = a_year(tap_of, 5)
    run = tap.run("--summary-json", str(tmp_path / "nowhere" / "summary.json"))
    (line,) = run.said

    assert run.exit_code == 1 and not tap.requests and "nowhere" in line and "No such file or directory" in line
