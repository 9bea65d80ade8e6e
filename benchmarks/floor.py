"""The least that any client does: ask for a page, parse it, write each row as a line, one request after the other.

python benchmarks/floor.py ORIGIN ACCOUNT_SID AUTH_TOKEN < URIS > LINES
"""

import sys

import orjson
import requests

origin, *credentials = sys.argv[1:]
session = requests.Session()
session.auth = tuple(credentials)
for uri in sys.stdin.read().split():
    while uri:
        body = orjson.loads(session.get(origin + uri).content)
        rows = next((value for value in body.values() if isinstance(value, list)), [body])
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(row) + b"\n")
        uri = body.get("next_page_uri")
