"""
`make audit`: audit what `make sync` loaded, break three rows by hand, find them, and mend them.

One row is deleted and one changed: the audit hands both to the target again. One row is added: the audit prints the
DELETE, which this demonstration runs. It uses only the command lines of the tap and of the target.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg

from demo import postgres
from demo.process_group import Start, process_group
from demo.sync import (
    DEMO,
    TAP,
    TARGET,
    DemoError,
    Source,
    _only_run,
    _open_database,
    _open_source,
    _target_config,
    _write_private,
)

STREAMS = "addresses,calls,conferences,messages,transcriptions"


def main() -> int:
    """Run the demonstration. Every failure is one line."""
    try:
        DEMO.mkdir(mode=0o700, exist_ok=True)
        with _only_run():
            return _audit()
    except psycopg.Error as error:
        print(f"The database refused: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except (DemoError, postgres.PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _audit() -> int:
    with ExitStack() as stack:
        url = stack.enter_context(_open_database())
        start = stack.enter_context(process_group(DEMO / "started"))
        source = stack.enter_context(_open_source(start, advance="0"))
        target_config = _write_private(stack, "target.json", _target_config(url, source.schema))
        command: list[str | Path] = [TAP / "tap-twilio", "audit", "--config", source.config, "--select", STREAMS]
        command += ["--target-config", target_config]
        print("\n1. The warehouse that make sync filled:")
        if _run(start, command, source)[0] not in (0, 3):
            raise DemoError("The warehouse differs from Twilio: make sync, then make audit again.")
        _break_rows(url, source.schema)
        print("\n2. One message is deleted, the body of one changed, and one is made up:")
        code, printed = _run(start, [*command, "--extras"], source)
        print("\n3. The missing and the changed message go to the target again:")
        _mend(start, [*command, "--emit"], target_config, source)
        print("\n4. The made-up one leaves by the DELETE that the audit printed:")
        with psycopg.connect(url, autocommit=True) as connection:
            for line in printed.splitlines():
                if line.startswith("DELETE FROM"):
                    connection.execute(line.encode())
        code, _ = _run(start, [*command, "--extras"], source)
        return code


def _run(start: Start, command: list[str | Path], source: Source) -> tuple[int, str]:
    """Run the audit, show its result, and return its exit code and its result."""
    with (DEMO / "audit.log").open("ab") as log:
        process = start(command, stdout=subprocess.PIPE, stderr=log, text=True, env=source.environment)
        printed = process.communicate()[0]
    print(printed, end="")
    if process.returncode not in (0, 3, 6):
        raise DemoError(f"The audit failed with {process.returncode}: .demo/audit.log says why.")
    return process.returncode, printed


def _break_rows(url: str, schema: str) -> None:
    """Delete, change and add a message behind the target's back; the oldest ones, which no sync changes meanwhile."""
    table = f"{schema}.messages"
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(f"select sid from {table} order by date_created limit 3".encode()).fetchall()
        if len(rows) < 3:
            raise DemoError("There are no messages in the warehouse yet: make sync, then make audit again.")
        deleted, changed, copied = (row[0] for row in rows)
        connection.execute(f"delete from {table} where sid = %s".encode(), [deleted])
        connection.execute(f"update {table} set body = 'changed by hand' where sid = %s".encode(), [changed])
        connection.execute(f"create temporary table made_up as select * from {table} where sid = %s".encode(), [copied])
        connection.execute("update made_up set sid = 'SM' || repeat('0', 32)")
        connection.execute(f"insert into {table} select * from made_up".encode())


def _mend(start: Start, command: list[str | Path], target_config: Path, source: Source) -> None:
    with (DEMO / "audit.log").open("ab") as log:
        process = start(command, stdout=subprocess.PIPE, stderr=log, env=source.environment)
        messages = process.communicate()[0]
        target = start([TARGET / "target-postgres", "--config", target_config], stdin=subprocess.PIPE, stderr=log)
        target.communicate(messages)
    if target.returncode:
        raise DemoError("target-postgres failed: .demo/audit.log says why.")
    print(f"{messages.count(b'RECORD')} records loaded.")


if __name__ == "__main__":
    sys.exit(main())
