"""`python -m targets.fakesnow_server PORT` in fakesnow's environment: its server, with statements rewritten for it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sys
from typing import Any

import fakesnow.server as fake
import pyarrow.ipc
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .fakesnow_statements import rewritten, say

MASTER = {"masterToken": "none", "masterValidityInSeconds": 14400, "validityInSeconds": 3600, "sessionId": 1}
one_by_one = asyncio.Lock()  # fakesnow's MERGE keeps notes of a table whose name is always the same


async def login(request: Request) -> JSONResponse:
    """As fakesnow's, with what older connectors look for beside the token."""
    answer = json.loads(bytes((await fake.login_request(request)).body))
    return JSONResponse({**answer, "data": {**MASTER, **answer["data"]}})


async def query(request: Request) -> Response:
    """As fakesnow's, of the statement as it knows it. What fails there fails at once: a 500 is asked again for long."""
    body = await request.body()
    told = json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)
    text = told["sqlText"]
    print(f"SENT {' '.join(text.split())[:80]}", file=sys.stderr, flush=True)
    try:
        async with one_by_one:
            told["sqlText"] = await run_in_threadpool(rewritten, fake.to_conn(fake.to_token(request)), text)
            answer = await fake.query_request(_with_body(request, json.dumps(told).encode()))
        failed = json.loads(bytes(answer.body))["message"] if answer.status_code == 500 else ""
    except Exception as error:
        failed = repr(error)
    if failed:
        print(f"FAILED {text}\n{failed}", file=sys.stderr, flush=True)
        what = {"data": {"errorCode": "261000", "sqlState": "58000"}, "code": "261000", "success": False}
        return JSONResponse({**what, "message": f"fakesnow: {failed}: {text}"})
    old = "PythonConnector/3.0" in request.headers.get("User-Agent", "")
    return _as_json(json.loads(bytes(answer.body))) if old else answer


def _with_body(request: Request, body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    kept = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]
    return Request({**request.scope, "headers": kept}, receive)


def _as_json(told: dict[str, Any]) -> Response:
    """An answer whose rows are JSON: the connector of PipelineWise's target crashes on fakesnow's Arrow."""
    data = told.get("data") or {}
    if arrow := data.pop("rowsetBase64", ""):
        say("all rows: come as JSON and not as Arrow, on which the target's old connector crashes")
        columns = [column.to_pylist() for column in pyarrow.ipc.open_stream(base64.b64decode(arrow)).read_all().columns]
        data["rowset"] = [[_wire(value) for value in row] for row in zip(*columns)]
    if data.get("queryResultFormat") == "arrow":
        data = {"rowset": [], **data, "queryResultFormat": "json"}
    return JSONResponse({**told, "data": data})


def _wire(value: Any) -> str | None:
    """A value as Snowflake's JSON has it: text, and of a timestamp its seconds."""
    if isinstance(value, dict):
        zone = f" {value['timezone']}" if "timezone" in value else ""
        return f"{value['epoch']}.{value['fraction']:09d}{zone}"
    return None if value is None else str(value)


def main() -> None:
    """Serve until a signal ends it."""
    own = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/queries/v1/query-request", query, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=[*own, *fake.routes]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
