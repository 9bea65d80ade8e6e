"""What is read: declarations, a file a product. To add a stream, add a `Stream` here and its schema in `schemas/`."""

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
    """The streams that are asked by this one's rows."""
    return _CHILDREN.get(stream.name, ())


def top_of(stream: Stream) -> Stream:
    """Return the stream whose list is read first, so that this one can be asked."""
    while stream.parent:
        stream = BY_NAME[stream.parent.stream]
    return stream


def check(streams: tuple[Stream, ...]) -> None:
    """Raises Contradiction where the declarations contradict each other."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        raise DeclarationError("two streams have one name")
    for stream in streams:
        ancestors, parent = [stream.name], stream.parent
        while parent:
            if parent.stream not in names or parent.stream in ancestors:
                raise DeclarationError(f"Stream {stream.name}: its parent {parent.stream} is none")
            above = streams[names.index(parent.stream)]
            if (above.scope == "twilio") != (stream.scope == "twilio"):
                raise DeclarationError(
                    f"Stream {stream.name}: one of it and its parent is all Twilio's, the other is not"
                )
            ancestors.append(parent.stream)
            parent = above.parent


check(STREAMS)
ACCOUNTS = BY_NAME["accounts"]  # its list tells which accounts there are
PROBE = BY_NAME["messages"]  # a page of it tells whether credentials may read an account
__all__ = ["ACCOUNTS", "BY_NAME", "PROBE", "STREAMS", "Stream", "check", "children", "top_of"]
