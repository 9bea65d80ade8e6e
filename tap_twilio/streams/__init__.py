"""The declared streams. To add one, add a `Stream` to its product's file here, and its schema to `schemas/`."""

from importlib import import_module

from tap_twilio.errors import DeclarationError

from .model import Stream

PRODUCTS = (  # the modules of this folder, in the order of discovery
    *("api", "sip", "accounts", "chat", "content", "conversations", "events", "flex", "insights", "intelligence"),
    *(
        "marketplace",
        "messaging",
        "monitor",
        "notify",
        "numbers",
        "pricing",
        "proxy",
        "serverless",
        "studio",
        "supersim",
        "sync",
    ),
    *("taskrouter", "trunking", "trusthub", "verify", "video", "voice", "wireless"),
)
STREAMS: tuple[Stream, ...] = tuple(
    stream for product in PRODUCTS for stream in import_module(f".{product}", __name__).STREAMS
)
BY_NAME = {stream.name: stream for stream in STREAMS}


_CHILDREN: dict[str, tuple[Stream, ...]] = {}
for _stream in STREAMS:
    if _stream.parent:
        _CHILDREN[_stream.parent.stream] = (*_CHILDREN.get(_stream.parent.stream, ()), _stream)


def children(stream: Stream) -> tuple[Stream, ...]:
    """Return the streams whose parent is this one."""
    return _CHILDREN.get(stream.name, ())


def top_of(stream: Stream) -> Stream:
    """Return the stream without a parent from which this one descends."""
    while stream.parent:
        stream = BY_NAME[stream.parent.stream]
    return stream


def check(streams: tuple[Stream, ...]) -> None:
    """Raise DeclarationError if the declarations contradict each other."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        raise DeclarationError("two streams have one name")
    for stream in streams:
        ancestors, parent = [stream.name], stream.parent
        while parent:
            if parent.stream not in names or parent.stream in ancestors:
                raise DeclarationError(f"Stream {stream.name}: its parent {parent.stream} is unknown, or its own child")
            ancestor = streams[names.index(parent.stream)]
            if (ancestor.scope == "global") != (stream.scope == "global"):
                raise DeclarationError(f"Stream {stream.name}: only one of it and its parent has the scope twilio")
            ancestors.append(parent.stream)
            parent = ancestor.parent


check(STREAMS)
ACCOUNTS = BY_NAME["accounts"]  # lists the accounts to read
PROBE = BY_NAME["messages"]  # one page of it tests whether credentials may read an account
__all__ = ["ACCOUNTS", "BY_NAME", "PROBE", "STREAMS", "Stream", "check", "children", "top_of"]
