"""
The statements of the targets for Snowflake, as fakesnow 0.12 knows them. Runs in fakesnow's server.

Each kind of change is said once on stderr, and docs/targets.md lists what was said.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakesnow.transforms import stage
from fakesnow.transforms.file_format import lookup_file_format

Rewrites = Callable[[Any, str, "re.Match[str]"], str]  # fakesnow's connection, the statement, what matched
NOTHING = "select 1"
STAGED = r"(?is)using\s*\((select .*?) from '(@[^']+)'\s*\(file_format => '?([^')]+)'?\)(.*?)\) s on "
LEFT_OUT = r"(?is)^(start transaction|drop file format|alter table \S+ alter column \S+ drop not null)"
number = itertools.count()  # of the tables that are made on the way
reported: set[str] = set()


def say(what: str) -> None:
    if what not in reported:
        reported.add(what)
        print(f"SHIM {what}", file=sys.stderr, flush=True)


def rewritten(connection: Any, text: str) -> str:
    """A statement as fakesnow knows it; files and tables that it needs are made ready."""
    for pattern, rewrites in KINDS.items():
        if found := re.search(pattern, text.strip()):
            return rewrites(connection, text.strip(), found)
    return text


def _put(connection: Any, text: str, found: re.Match[str]) -> str:
    say("PUT: a stage's name loses its quotes, and a named stage stands in for the user's, `@~`")
    return f"put '{found[1]}' {_stage(found[2])}"


def _remove(connection: Any, text: str, found: re.Match[str]) -> str:
    say("REMOVE: the server deletes the files that the stage has")
    for path in _files(connection, found[1]):
        path.unlink()
    return NOTHING


def _formats(connection: Any, text: str, found: re.Match[str]) -> str:
    say("SHOW FILE FORMATS, SHOW SCHEMAS LIKE: each a SELECT of fakesnow's catalog")
    known = "_fs_global._fs_information_schema._fs_file_formats"
    return f"""select name as "name", type as "type" from {known} where name ilike '{found[1]}'"""


def _schemas(connection: Any, text: str, found: re.Match[str]) -> str:
    say("SHOW FILE FORMATS, SHOW SCHEMAS LIKE: each a SELECT of fakesnow's catalog")
    return f"""select schema_name as "name" from DB.information_schema.schemata where schema_name ilike '{found[1]}'"""


def _scan(connection: Any, text: str, found: re.Match[str]) -> str:
    say("RESULT_SCAN: the earlier rows become a table first")
    table = _table(connection, "select * from arrow", arrow=connection.results_cache[found[1]][0])
    return text.replace(found[0], table)


def _merge(connection: Any, text: str, found: re.Match[str]) -> str:
    """MERGE from a table in the place of a staged file. fakesnow makes three statements of it."""
    select, reference, form, rest = found.groups()
    options = lookup_file_format(connection._duck_conn, form, connection.database, connection.schema)
    files = [str(path) for path in _files(connection, reference)]
    if options["TYPE"] == "JSON":
        reads = f"select json as V from read_json_objects({files}, format = 'newline_delimited')"
        select, rest = select.replace("$1:", "V:"), rest.replace("SEQ8()", "N")
    else:
        columns = {f"C{one}": "varchar" for one in re.findall(r"\$(\d+)", select)}
        how = f"header = false, auto_detect = false, nullstr = '', quote = '\"', escape = '{options['ESCAPE']}'"
        reads, select = f"select * from read_csv({files}, columns = {columns}, {how})", select.replace("$", "C")
    say(f"MERGE from staged {options['TYPE']}: DuckDB reads the file, and its select becomes a table first")
    lines = _table(connection, f"select row_number() over () as N, * from ({reads})")
    connection.cursor().execute(f"create table {lines}_SOURCE as {select} from {lines} {rest}")
    if not connection.schema_set:
        connection.cursor().execute("use schema DB.PUBLIC")  # fakesnow's MERGE makes a table of its own there
    return text.replace(found[0], f"using {lines}_SOURCE s on ")


def _nothing(connection: Any, text: str, found: re.Match[str]) -> str:
    say(f"{'ALTER COLUMN ... DROP NOT NULL' if 'column' in found[1].lower() else found[1].upper()}: left out")
    return NOTHING


def _table(connection: Any, select: str, arrow: Any = None) -> str:
    """A table of the rows of a select in DuckDB's words, which may read `arrow`."""
    table = f"DB.PUBLIC.STAGED_{next(number)}"
    connection._duck_conn.execute(f"create table {table} as {select}")
    return table


def _stage(reference: str) -> str:
    """A stage as fakesnow names it: the user's stage is one that was made for it."""
    name, slash, path = reference.partition("/")
    return ("@DB.PUBLIC.USERS_STAGE" if name == "@~" else name.replace('"', "").upper()) + slash + path


def _files(connection: Any, reference: str) -> list[Path]:
    """The files of a stage whose names begin so."""
    name, _, path = _stage(reference)[1:].partition("/")
    root = stage.internal_dir(".".join(stage.parts_from_var(name, connection.database, connection.schema)))
    return sorted(one for one in Path(root).rglob("*") if one.is_file() and str(one).startswith(root + path))


KINDS: dict[str, Rewrites] = {
    r"(?is)^put\s+'?(file://[^' ]+)'?\s+'?(@[^' ]+)'?": _put,
    r"(?is)^remove\s+'?(@[^' ]+)'?": _remove,
    r"(?is)^show file formats like '([^']*)'": _formats,
    r"(?is)^show schemas like '([^']*)'": _schemas,
    r"(?is)table\(result_scan\('([^']+)'\)\)": _scan,
    STAGED: _merge,
    LEFT_OUT: _nothing,
}
