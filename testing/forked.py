"""
Starting the tap by a fork of a process that has imported it: a run as real as any, without half a second of imports.

`multiprocessing`'s fork server is that process: clean, with no threads and nothing of the tests in it.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema  # noqa: F401  # as below: imported by the server, for those that it forks
import requests  # noqa: F401

import tap_twilio.cli
import tap_twilio.run.sync
import tap_twilio.settings
import tap_twilio.singer.catalog

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


class Forked:
    """The part of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], out: Path, err: Path) -> None:
        self._process = CONTEXT.Process(target=_run, args=(list(arguments), dict(env), str(out), str(err)))
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("tap-twilio", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid or 0, number)


def _run(arguments: list[str], env: dict[str, str], out: str, err: str) -> None:
    for path, fd in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, fd)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    tap_twilio.cli.main(arguments)
