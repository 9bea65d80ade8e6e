"""The rows of a table as a target left them, and its columns' types. Names come in lower case."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from .declared import FAKESNOW, Destination, Target

Row = dict[str, Any]


@dataclass
class LoadedTable:
    """A table. `types` are the columns', where the target's store has any."""

    rows: list[Row] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)


def read(target: Target, destination: Destination, table: str) -> LoadedTable:
    """A table; an empty one where there is none."""
    loaded = READERS[target.reader](target, destination, table)
    rows = [{name.lower(): value for name, value in row.items()} for row in loaded.rows]
    return LoadedTable(rows, {name.lower(): kind.lower() for name, kind in loaded.types.items()})


def _postgres(target: Target, destination: Destination, table: str) -> LoadedTable:
    import psycopg
    from psycopg import sql
    from psycopg.rows import dict_row

    with psycopg.connect(destination.postgres, row_factory=dict_row, autocommit=True) as connection:
        connection.execute("set timezone to 'UTC'")
        found = connection.execute(
            "select column_name as name, data_type as kind from information_schema.columns"
            " where table_schema = %s and table_name = %s",
            [destination.schema, table],
        ).fetchall()
        if not found:
            return LoadedTable()
        rows = connection.execute(
            sql.SQL("select * from {}").format(sql.Identifier(destination.schema, table))
        ).fetchall()
        return LoadedTable(rows, {one["name"]: one["kind"] for one in found})


def _sqlite(target: Target, destination: Destination, table: str) -> LoadedTable:
    with closing(sqlite3.connect(destination.folder / "it.db")) as connection:
        connection.row_factory = sqlite3.Row
        types = {row["name"]: row["type"] for row in connection.execute(f"pragma table_info({table})")}
        return LoadedTable([dict(row) for row in connection.execute(f"select * from {table}")] if types else [], types)


def _jsonl(target: Target, destination: Destination, table: str) -> LoadedTable:
    lines = [line for path in _files(destination, table, "jsonl") for line in path.read_text("utf-8").splitlines()]
    return LoadedTable([json.loads(line, parse_float=Decimal) for line in lines if _is_whole(line)])


def _is_whole(line: str) -> bool:
    """Return whether a line is complete: the last one of a killed target may not be."""
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


def _csv(target: Target, destination: Destination, table: str) -> LoadedTable:
    rows: list[Row] = []
    for path in _files(destination, table, "csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    return LoadedTable(rows)


def _files(destination: Destination, table: str, ending: str) -> list[Path]:
    return sorted(destination.folder.glob(f"{table}-*.{ending}"))


def _by_script(script: str) -> Callable[[Target, Destination, str], LoadedTable]:
    """Read by the target's own environment, which has the library that it takes."""

    def reader(target: Target, destination: Destination, table: str) -> LoadedTable:
        python = FAKESNOW.python if target.reader == "snowflake" else target.python
        arguments = [python, "-c", script, destination.folder, table, destination.schema, str(destination.snowflake)]
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{target.name}: its tables cannot be read: {done.stderr[-500:]}")
        found = json.loads(done.stdout, parse_float=Decimal)
        return LoadedTable(found["rows"], found["types"])

    return reader


_DUCKDB = """
import duckdb, json, sys
folder, table = sys.argv[1:3]
db = duckdb.connect(folder + "/it.db")
known = db.execute("select column_name, data_type from duckdb_columns() where table_name = ?", [table]).fetchall()
rows = []
if known:
    cursor = db.execute(f'select * from "{table}"')
    names = [one[0] for one in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor.fetchall()]
print(json.dumps({"rows": rows, "types": dict(known)}, default=str))
"""
_PARQUET = """
import glob, json, sys
import pyarrow.parquet as parquet
folder, table = sys.argv[1:3]
rows, types = [], {}
for path in sorted(glob.glob(f"{folder}/{table}-*.parquet")):
    found = parquet.read_table(path)
    types.update({field.name: str(field.type) for field in found.schema})
    columns = found.to_pydict()
    rows += [dict(zip(columns, values)) for values in zip(*columns.values())]
print(json.dumps({"rows": rows, "types": types}, default=str))
"""
_SNOWFLAKE = """
import json, sys
import snowflake.connector
folder, table, schema, port = sys.argv[1:5]
connection = snowflake.connector.connect(
    user="fake", password="fake", account="fake", host="localhost", port=int(port), protocol="http",
    database="DB", session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
)
cursor = connection.cursor()
where = f"where table_schema = '{schema.upper()}' and table_name = '{table.upper()}'"
known = cursor.execute(f"select column_name, data_type from db.information_schema.columns {where}").fetchall()
rows = []
if known:
    cursor.execute(f'select * from db.{schema}."{table.upper()}"')
    names = [one[0] for one in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor.fetchall()]
print(json.dumps({"rows": rows, "types": dict(known)}, default=str))
"""

READERS: dict[str, Callable[[Target, Destination, str], LoadedTable]] = {
    "postgres": _postgres,
    "sqlite": _sqlite,
    "jsonl": _jsonl,
    "csv": _csv,
    "duckdb": _by_script(_DUCKDB),
    "parquet": _by_script(_PARQUET),
    "snowflake": _by_script(_SNOWFLAKE),
}
