"""
fakesnow's server, taught what the targets for Snowflake say and fakesnow 0.12 does not know.

Run by fakesnow's own Python, with a port. Each kind of change is said once on stderr: docs/targets.md lists them.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

import fakesnow.server as fake
import uvicorn
from fakesnow.transforms import stage
from fakesnow.transforms.file_format import lookup_file_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

number = itertools.count()  # of the tables that stand in for staged files: several streams load at once
PUT = re.compile(r"(?is)put\s+'?(file://[^' ]+)'?\s+'?(@[^' ]+)'?")
REMOVE = re.compile(r"(?is)remove\s+'?(@[^' ]+)'?")
STAGED = re.compile(r"(?is)using\s*\((select .*?) from '(@[^']+)'\s*\(file_format => '?([^')]+)'?\)(.*?)\) s on ")
FORMATS = re.compile(r"(?is)show file formats like '([^']*)'")
LEFT_OUT = re.compile(r"(?is)alter session|start transaction|drop file format|alter table \S+ alter column \S+ drop not null")
MASTER = {"masterToken": "none", "masterValidityInSeconds": 14400, "validityInSeconds": 3600, "sessionId": 1}
said: set[str] = set()
one_by_one = asyncio.Lock()  # fakesnow's MERGE keeps notes of a table whose name is always the same


def say(what: str) -> None:
    if what not in said:
        said.add(what)
        print(f"SHIM {what}", file=sys.stderr, flush=True)


def rewritten(connection: Any, text: str) -> str:
    """A statement as fakesnow knows it; files and tables that it needs are made ready."""
    text = text.strip()
    if found := PUT.match(text):
        say("PUT: the file is sent to fakesnow's server; the user's stage `@~` is a named one")
        return f"put '{found[1]}' {_stage(found[2])}"
    if found := REMOVE.match(text):
        say("REMOVE: the server deletes the files")
        for path in _files(connection, found[1]):
            path.unlink()
    elif found := FORMATS.match(text):
        say("SHOW FILE FORMATS: a SELECT of what fakesnow keeps of them")
        known = "_fs_global._fs_information_schema._fs_file_formats"
        return f"""select name as "name", type as "type" from {known} where name ilike '{found[1]}'"""
    elif found := STAGED.search(text):
        if not connection.schema_set:
            connection.cursor().execute("use schema DB.PUBLIC")  # fakesnow's MERGE makes a table of its own there
        source = _source(connection, *found.groups())
        return STAGED.sub(lambda _: f"using {source} s on ", text)
    elif not LEFT_OUT.match(text):
        return text
    else:
        say("ALTER SESSION, START TRANSACTION, DROP FILE FORMAT and ALTER COLUMN ... DROP NOT NULL: left out")
    return "select 1"


def _stage(reference: str) -> str:
    """A stage as fakesnow names it: the user's stage is one that was made for it."""
    name, slash, path = reference.partition("/")
    return ("@DB.PUBLIC.USERS_STAGE" if name == "@~" else name.replace('"', "").upper()) + slash + path


def _files(connection: Any, reference: str) -> list[Path]:
    """The files of a stage whose names begin so."""
    name, _, path = _stage(reference)[1:].partition("/")
    root = stage.internal_dir(".".join(stage.parts_from_var(name, connection.database, connection.schema)))
    return sorted(one for one in Path(root).rglob("*") if one.is_file() and str(one).startswith(root + path))


def _source(connection: Any, select: str, reference: str, form: str, rest: str) -> str:
    """The rows of staged files as a table: what MERGE then reads in their place."""
    table, files = f"DB.PUBLIC.STAGED_{next(number)}", [str(path) for path in _files(connection, reference)]
    options = lookup_file_format(connection._duck_conn, form, connection.database, connection.schema)
    if options["TYPE"] == "JSON":
        say("MERGE from staged JSON: DuckDB reads the lines, each one VARIANT, and makes a table of its select first")
        reads, names = "select json as V from read_json_objects($1, format = 'newline_delimited')", ("V:", "N")
        select, rest = select.replace("$1:", names[0]), rest.replace("SEQ8()", names[1])
    else:
        say("MERGE from staged CSV: DuckDB reads the file, and makes a table of its select first")
        columns = {f"C{one}": "varchar" for one in range(1, len(set(re.findall(r"\$(\d+)", select))) + 1)}
        how = f"header = false, auto_detect = false, nullstr = '', quote = '\"', escape = '{options['ESCAPE']}'"
        reads, select = f"select * from read_csv($1, columns = {columns}, {how})", re.sub(r"\$(\d+)", r"C\1", select)
    connection._duck_conn.execute(f"create table {table} as select row_number() over () as N, * from ({reads})", [files])
    connection.cursor().execute(f"create table {table}_SOURCE as {select} from {table} {rest}")
    return f"{table}_SOURCE"


async def login(request: Request) -> JSONResponse:
    """As fakesnow's, with what older connectors look for beside the token."""
    answer = json.loads((await fake.login_request(request)).body)
    return JSONResponse({**answer, "data": {**MASTER, **answer["data"]}})


async def query(request: Request) -> Response:
    """As fakesnow's, of the statement as it knows it. What fails there fails at once: a 500 is asked again for long."""
    body = await request.body()
    told = json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)
    text = told["sqlText"]
    try:
        async with one_by_one:
            told["sqlText"] = await run_in_threadpool(rewritten, fake.to_conn(fake.to_token(request)), text)
            answer: Response = await fake.query_request(_with_body(request, json.dumps(told).encode()))
        failed = json.loads(answer.body)["message"] if answer.status_code == 500 else ""
    except Exception as error:
        failed = repr(error)
    if failed:
        print(f"FAILED {text}\n{failed}", file=sys.stderr, flush=True)
        what = {"data": {"errorCode": "261000", "sqlState": "58000"}, "code": "261000", "success": False}
        return JSONResponse({**what, "message": f"fakesnow: {failed}: {text}"})
    return answer


def _with_body(request: Request, body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    kept = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]
    return Request({**request.scope, "headers": kept}, receive)


def main() -> None:
    """Serve until a signal ends it."""
    own = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/queries/v1/query-request", query, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=[*own, *fake.routes]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
