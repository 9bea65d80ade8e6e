"""
A simulated Twilio over HTTP, for demonstrations, tests and benchmarks. It is true to Twilio, not to any client of it.

Six lists are written by hand (`rows`, `lists`, `simulation`); all others come from facts of Twilio's OpenAPI documents
(`facts/`, `catalog`, `generic`, `generic_api`). A product's host is the first segment of the path: /studio/v2/Flows.

    from sandbox import Twilio, serve

    with serve(Twilio.demo(seed=7)) as server:
        print(server.url)
"""

from .server import Request, Server, serve
from .twilio import Twilio

__all__ = ["Request", "Server", "Twilio", "serve"]
