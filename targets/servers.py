"""The servers that trials load into: the embedded Postgres of the tests, and fakesnow's."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .declared import FAKESNOW, ROOT

_STAGE = """
import sys, snowflake.connector
connection = snowflake.connector.connect(user="fake", password="fake", account="fake", host="localhost",
    port=int(sys.argv[1]), protocol="http", session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False})
for statement in sys.argv[2:]:
    connection.cursor().execute(statement)
"""
_SETUP = (
    "create database if not exists DB",
    "create schema if not exists DB.PUBLIC",
    "create stage if not exists DB.PUBLIC.USERS_STAGE",
    "create file format if not exists DB.PUBLIC.CSV_GZ type = 'CSV' escape='\\\\' field_optionally_enclosed_by='\"'",
)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a Postgres that ends with the body."""
    command: list[str | Path] = [ROOT / ".venv-target/bin/python", "-m", "demo.postgres", folder / "postgres"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.communicate()


@contextmanager
def snowflake(folder: Path) -> Iterator[int]:
    """The port of fakesnow's server, with a database DB, a stage and a file format."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with (folder / "fakesnow.log").open("wb") as log:
        command: list[str | Path] = [FAKESNOW.python, "-m", "targets.fakesnow_server", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        _wait(port)
        subprocess.run([FAKESNOW.python, "-c", _STAGE, str(port), *_SETUP], check=True, capture_output=True, text=True)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("fakesnow's server did not start")
