"""
Faults: what goes wrong between Twilio and its client, at random or as scripted.

This module decides whether a request meets a fault and which; `api` and `server` then do it.
"""

from random import Random

STATUSES = {"429": 429, "500": 500, "502": 502, "503": 503, "504": 504}

# Faults of the connection, done by the server.
CONNECTION = (
    "reset",  # the connection is reset before any answer
    "cut",  # Content-Length promises more than comes
    "hang",  # accepted, never answered
    "trickle",  # a byte a second
)

# Faults of the answer's content. The last four concern list pages only.
CONTENT = (
    "broken",  # a body that ends in the middle of its JSON
    "error200",  # 200 with an error's body
    "redirect",  # 302 to another host
    "misdated",  # the Date header is hours ahead
    "duplicate",  # next page is this page
    "circle",  # next page is the first page
    "foreign",  # next page on another host
    "keyless",  # no rows under their key
    "hollow",  # no rows, and a next page that holds what this one left out
)

KINDS = (*STATUSES, *CONNECTION, *CONTENT)
OF_PAGES = frozenset({"duplicate", "circle", "foreign", "keyless", "hollow"})


class Faults:
    """Scripted faults, each for the next matching requests, and after them random ones by their rates."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(f"faults {seed}")
        self.scripted: list[list[object]] = []  # [kind, times left, part of the path]

    def add(self, kind: str, times: int, path_contains: str) -> None:
        """Let the next `times` requests whose path and query contain this part fail so."""
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; there are {', '.join(KINDS)}")
        self.scripted.append([kind, times, path_contains])

    def next(self, path: str, rates: dict[str, float], is_page: bool) -> str:
        """Return the fault of this request, or an empty string."""
        for entry in self.scripted:
            kind, times, part = str(entry[0]), int(str(entry[1])), str(entry[2])
            if part in path and (is_page or kind not in OF_PAGES):
                entry[1] = times - 1
                if times <= 1:
                    self.scripted.remove(entry)
                return kind
        draw = self.rng.random() if rates else 1.0
        for kind, rate in rates.items():
            if kind not in KINDS:
                raise ValueError(f"There is no fault {kind!r}; there are {', '.join(KINDS)}")
            if draw < rate:
                return kind if is_page or kind not in OF_PAGES else ""
            draw -= rate
        return ""
