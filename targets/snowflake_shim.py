"""
A target for Snowflake that loads fakesnow's server instead: run by the target's own Python, with its arguments.

The port is in FAKESNOW_PORT. Statements that fakesnow 0.12 does not know are rewritten, and each kind is said once on
stderr. So what is shown is what the target writes into which columns, and not that Snowflake takes its statements.
"""

from __future__ import annotations

import gzip
import itertools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import snowflake.connector
from snowflake.connector.cursor import SnowflakeCursor

number = itertools.count()  # of the tables that stand in for a stage: batches of several streams load at once
USING = re.compile(r"(?is)using \((select .*)\) s on ")
PUT = re.compile(r"(?is)put\s+'?file://([^' ]+)'?\s+'?@~/([^' ]+)")
FROM_STAGE = re.compile(r"(?is)from\s+'@~/([^']*)'\s*\(file_format => [^)]*\)")
Execute = Callable[..., Any]
said: set[str] = set()
files: dict[str, list[Path]] = {}  # by their folder in the user's stage


def say(what: str) -> None:
    if what not in said:
        said.add(what)
        print(f"SHIM {what}", file=sys.stderr, flush=True)


def rewritten(cursor: SnowflakeCursor, command: str, arguments: Any, execute: Execute) -> str:
    """A statement as fakesnow knows it."""
    word = command.split()[0].lower() if command.split() else ""
    if word == "put":
        say("PUT to the user's stage: the file stays where it is")
        text = command % arguments if arguments else command
        found = PUT.match(text)
        assert found, text
        files.setdefault(found[2].strip("/"), []).append(Path(found[1]))
        return "select 1"
    if word == "remove" or command.lower().startswith("alter session"):
        say(f"{word.upper()}: left out")
        return "select 1"
    if found := FROM_STAGE.search(command):
        say("MERGE from staged JSON: the lines go into a table of one VARIANT column, and SEQ8() is a line's number")
        staged = f"DB.PUBLIC.STAGED_{next(number)}"
        _stage(cursor, found[1].strip("/"), staged, execute)
        command = FROM_STAGE.sub(f"from {staged}", command)
        command = command.replace("$1:", "V:").replace("SEQ8()", "N")
        if using := USING.search(command):
            say("MERGE: its source is made a table first")
            execute(cursor.connection.cursor(), f"create table {staged}_SOURCE as {using[1]}")
            command = USING.sub(f"using {staged}_SOURCE s on ", command)
        return command
    return command


def _stage(cursor: SnowflakeCursor, folder: str, staged: str, execute: Execute) -> None:
    one = cursor.connection.cursor()
    execute(one, f"create or replace table {staged} (N int, V variant)")
    read = 0
    for path in files.pop(folder, []):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            batch = [line.rstrip("\n") for line in lines if line.strip()]
        values = ", ".join(["(%s, %s)"] * len(batch))
        rows = [value for line in enumerate(batch, read) for value in line]
        execute(one, f"insert into {staged} select column1, parse_json(column2) from values {values}", rows)
        read += len(batch)


def main() -> None:
    """Start the target, its connections turned to fakesnow."""
    connect, execute = snowflake.connector.connect, SnowflakeCursor.execute

    def to_fakesnow(*arguments: Any, **options: Any) -> Any:
        options.update(host="localhost", port=int(os.environ["FAKESNOW_PORT"]), protocol="http")
        parameters = options.get("session_parameters") or {}
        options["session_parameters"] = {**parameters, "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
        return connect(*arguments, **options)

    def executed(self: SnowflakeCursor, command: str, params: Any = None, *arguments: Any, **options: Any) -> Any:
        text = rewritten(self, command, params, execute)
        return execute(self, text, None if text == "select 1" else params, *arguments, **options)

    snowflake.connector.connect = snowflake.connector.Connect = to_fakesnow
    SnowflakeCursor.execute = executed
    try:
        from target_snowflake.target import TargetSnowflake
    except ImportError:
        from target_snowflake import main as started  # PipelineWise's
    else:
        started = TargetSnowflake.cli
    started()


if __name__ == "__main__":
    main()
