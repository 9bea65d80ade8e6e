"""
A simulated Twilio over HTTP, for demonstrations, tests and benchmarks. It is true to Twilio, not to any client of it.

    from sandbox import Twilio, serve

    with serve(Twilio.demo(seed=7)) as server:
        print(server.url)
"""

from .server import Request, Server, serve
from .twilio import Twilio

__all__ = ["Request", "Server", "Twilio", "serve"]
