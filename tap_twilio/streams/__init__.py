"""What is read: declarations, a file a product. To add a stream, add a `Stream` here and its schema in `schemas/`."""

from tap_twilio.errors import Contradiction

from . import api, conversations, insights, messaging, monitor, pricing, studio
from .model import Stream

STREAMS: tuple[Stream, ...] = (
    *api.STREAMS,
    *conversations.STREAMS,
    *insights.STREAMS,
    *messaging.STREAMS,
    *monitor.STREAMS,
    *pricing.STREAMS,
    *studio.STREAMS,
)
BY_NAME = {stream.name: stream for stream in STREAMS}


def children(stream: Stream) -> tuple[Stream, ...]:
    """The streams that are asked by this one's rows."""
    return tuple(other for other in STREAMS if other.parent and other.parent.stream == stream.name)


def check(streams: tuple[Stream, ...]) -> None:
    """Raises Contradiction where the declarations contradict each other."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        raise Contradiction("two streams have one name")
    for stream in streams:
        ancestors, parent = [stream.name], stream.parent
        while parent:
            if parent.stream not in names or parent.stream in ancestors:
                raise Contradiction(f"Stream {stream.name}: its parent {parent.stream} is none")
            ancestors.append(parent.stream)
            parent = streams[names.index(parent.stream)].parent


check(STREAMS)
ACCOUNTS = BY_NAME["accounts"]  # its list tells which accounts there are
PROBE = BY_NAME["messages"]  # a page of it tells whether credentials may read an account
__all__ = ["ACCOUNTS", "BY_NAME", "PROBE", "STREAMS", "Stream", "check", "children"]
