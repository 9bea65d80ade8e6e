"""Collect the declared streams. A new one is a `Stream` in the module of its product, and a schema in `schemas/`."""

from importlib import import_module

from tap_twilio.errors import DeclarationError

from .model import Stream

# The modules of this folder, in the order of the catalog.
PRODUCTS = (
    "api sip accounts chat content conversations events flex insights intelligence marketplace messaging monitor "
    "notify numbers pricing proxy serverless studio supersim sync taskrouter trunking trusthub verify video voice "
    "wireless"
).split()
STREAMS: tuple[Stream, ...] = tuple(
    stream for product in PRODUCTS for stream in import_module(f".{product}", __name__).STREAMS
)
BY_NAME = {stream.name: stream for stream in STREAMS}


_CHILDREN: dict[str, tuple[Stream, ...]] = {}
for _stream in STREAMS:
    if _stream.parent:
        _CHILDREN[_stream.parent.stream] = (*_CHILDREN.get(_stream.parent.stream, ()), _stream)


def children(stream: Stream) -> tuple[Stream, ...]:
    """Return the streams whose parent is this stream."""
    return _CHILDREN.get(stream.name, ())


def top_of(stream: Stream) -> Stream:
    """Return the stream itself, or the topmost of its parents."""
    while stream.parent:
        stream = BY_NAME[stream.parent.stream]
    return stream


def check(streams: tuple[Stream, ...]) -> None:
    """Raise DeclarationError if two declarations contradict each other."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        raise DeclarationError("two streams have the same name: rename one")
    for stream in streams:
        ancestors, parent = [stream.name], stream.parent
        while parent:
            if parent.stream not in names or parent.stream in ancestors:
                raise DeclarationError(f"Stream {stream.name}: {parent.stream} is not declared, or is its own parent")
            ancestor = streams[names.index(parent.stream)]
            if (ancestor.scope == "global") != (stream.scope == "global"):
                raise DeclarationError(f'Stream {stream.name}: give it and its parent the scope "global", or neither')
            ancestors.append(parent.stream)
            parent = ancestor.parent


check(STREAMS)
ACCOUNTS = BY_NAME["accounts"]  # lists the accounts to read
PROBE = BY_NAME["messages"]  # one page of it tests whether credentials may read an account
__all__ = ["ACCOUNTS", "BY_NAME", "PROBE", "STREAMS", "Stream", "check", "children", "top_of"]
