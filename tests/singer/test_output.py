"""Output: Singer messages on a real pipe, whole and in order, or none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import singer

from tap_twilio.errors import OutputFailed, TargetGone
from tap_twilio.singer.output import Output

SCHEMA = {"type": "object", "properties": {"sid": {"type": "string"}}}
LINE = b'{"type":"RECORD","stream":"messages","record":{"sid":"SM1"}}\n'


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(fd)


def lines_of(pipe: tuple[int, int]) -> list[str]:
    """What arrived, once the writing end is closed."""
    os.close(pipe[1])
    with os.fdopen(os.dup(pipe[0]), "rb") as file:
        return file.read().decode().splitlines()


def test_messages_arrive_in_order_and_singer_python_reads_them(pipe: tuple[int, int]) -> None:
    """SCHEMA, RECORD, ACTIVATE_VERSION and STATE, as the specification has them, without anyone flushing."""
    output = Output(pipe[1])
    output.schema("messages", SCHEMA, ("sid",), ("date_updated",))
    output.records(LINE * 2)
    output.activate_version("messages", 7)
    output.state({"bookmarks": {"messages": {"date_updated": "ä"}}})
    schema, *records, version, state = (singer.parse_message(line) for line in lines_of(pipe))

    assert schema == singer.SchemaMessage("messages", SCHEMA, ["sid"], ["date_updated"])
    assert [record.record for record in records] == [{"sid": "SM1"}] * 2
    assert version == singer.ActivateVersionMessage("messages", 7)
    assert state == singer.StateMessage({"bookmarks": {"messages": {"date_updated": "ä"}}})


def test_bookmark_properties_are_left_out_where_there_are_none(pipe: tuple[int, int]) -> None:
    """Some targets take an empty list for a mistake."""
    Output(pipe[1]).schema("messages", SCHEMA, ["sid"])

    assert "bookmark_properties" not in lines_of(pipe)[0]


def test_an_empty_page_writes_nothing(pipe: tuple[int, int]) -> None:
    """No bytes are no line."""
    Output(pipe[1]).records(b"")

    assert lines_of(pipe) == []


@pytest.mark.parametrize("blocking", [True, False])
def test_a_page_larger_than_the_pipe_arrives_whole(pipe: tuple[int, int], blocking: bool) -> None:
    """A slow target takes a large page bit by bit, also where the pipe answers "not now" instead of waiting."""
    os.set_blocking(pipe[1], blocking)
    page = LINE * 20_000
    read = bytearray()

    def target() -> None:
        while len(read) < len(page):
            read.extend(os.read(pipe[0], 4_096 if len(read) < 100_000 else 65_536))
            if len(read) < 100_000:
                time.sleep(0.001)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    Output(pipe[1]).records(page)
    thread.join(10)

    assert bytes(read) == page


def test_a_write_cut_by_the_system_goes_on(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A write may take a part only; the rest follows."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    Output(pipe[1]).records(LINE)
    monkeypatch.undo()

    assert lines_of(pipe) == [LINE.decode().strip()]


def test_a_target_that_is_gone_ends_the_output(pipe: tuple[int, int]) -> None:
    """A closed pipe is its own error, since there is nothing to say; and nothing is tried again."""
    os.close(pipe[0])
    output = Output(pipe[1])
    with pytest.raises(TargetGone):
        output.records(LINE)
    with pytest.raises(OutputFailed, match="cut short"):
        output.state({})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to write to")
def test_a_full_disk_is_one_line() -> None:
    """The error names stdout and the reason, and what to do."""
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OutputFailed, match=r"^stdout: No space left on device\. .*run again") as error:
            Output(fd).records(LINE)
    finally:
        os.close(fd)

    assert "\n" not in str(error.value)


def test_a_closed_stdout_is_one_line(pipe: tuple[int, int]) -> None:
    """As `tap-twilio >&-` makes it."""
    os.close(pipe[1])
    with pytest.raises(OutputFailed, match="^stdout: Bad file descriptor"):
        Output(pipe[1]).state({})


def test_nothing_follows_an_interrupted_write(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a signal in the middle of a line, the STATE of the tap's end is not glued to half a record."""
    write = os.write

    def interrupted(fd: int, data: Any) -> int:
        write(fd, data[:10])
        raise KeyboardInterrupt

    output = Output(pipe[1])
    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output.records(LINE)
    monkeypatch.undo()
    with pytest.raises(OutputFailed, match="cut short"):
        output.state({})

    assert lines_of(pipe) == [LINE.decode()[:10]]


def test_a_process_whose_target_is_gone_says_nothing() -> None:
    """No "Exception ignored" from Python's own stdout at exit."""
    program = (
        "import sys; from tap_twilio.singer.output import *\n"
        "try:\n"
        "    while True: Output().records(b'x' * 1000)\n"
        "except TargetGone as gone: sys.exit(gone.exit_code)\n"
    )
    tap = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert tap.stdout and tap.stdout.read(10) == b"x" * 10
    tap.stdout.close()

    assert tap.stderr and tap.stderr.read() == b""
    assert tap.wait(10) == 1
    tap.stderr.close()
