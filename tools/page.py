"""`python -m tools.page` writes docs/streams.md and docs/dictionary/, from declarations and schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tap_twilio.singer.catalog import grades_of_evidence, load_schema
from tap_twilio.streams import BY_NAME, PRODUCTS
from tap_twilio.streams.model import Stream

from .dictionary import MODULES, TITLES, joins, product_page
from .evidence import GRADES
from .left_out import LEFT_OUT

DOCS = Path(__file__).resolve().parents[1] / "docs"
STREAMS_HEAD = """# Streams

The streams of `tap-twilio --discover`. Streams in **bold** are selected by default;
[select](settings.md#choose-streams-and-properties) the others to read them. Each name links to the columns, the key and
the joins in the [data dictionary](dictionary/index.md). `python -m tools.page` generates all these pages.

The tap finds a changed row by the date of the change, and by content: it rereads each list from time to time. A stream
with one of these remarks is read in another way:

- *whole list*: rows have no date of a change, so each sync reads the list, and sends the rows that changed.
- *log*: older rows are final, so each sync rereads only the last days.
- *once a day*: Twilio returns the same rows to all accounts.

The last remark says [what the stream rests on](#what-a-stream-rests-on).

The tap reads a stream with a parent below the rows of the parent, even if the parent is not selected. `FULL_TABLE`
removes deleted rows from the warehouse; a log, or a stream with a parent, cannot have it.

## What a table holds

Each table has all of Twilio's properties under their own names, and `received_at`: when the tap received the row.
Every record has all selected columns, in the schema's order. A property that Twilio omits is null, and so is an empty
string where a number or a date belongs. Dates are UTC. Prices are JSON numbers of exactly the value that Twilio gave.
meltanolabs-target-postgres stores them exactly (without `use_copy`); most other targets convert them to floats, unless
you set `decimals: singer` ([targets](targets.md)). [catalog.json](../catalog.json) is the output of discovery.

Twilio's date filters hide messages that were never sent and calls that never started. The tap uses filters only to read
long lists faster the first time; [How exactness works](exactness.md) explains how it gets the hidden rows too.
"""
EVIDENCE_HEAD = """
## What a stream rests on

The tap's authors never ran it on a live account. They compare the tap, its schemas and the simulated Twilio of its
tests with what is public, and with what users send. The best evidence of a stream counts:

"""
LEFT_OUT_HEAD = """
## Lists without a stream

The other lists of Twilio's OpenAPI documents, with the reason.

"""
DICTIONARY_HEAD = """# Data dictionary

Each page has the streams of one product of Twilio's. A stream is a table, and its section begins with what a row is.

- **Key**: the columns that identify a row. Any other column can be null.
- **Replication**: how the tap finds changed rows ([Streams](../streams.md) explains the words).
- **Endpoint**: the list at Twilio. A stream with a **parent** has one list for each row of the parent.
- **Joins**: the columns that have the key of another table; if a key has several columns, join by all of them. Use a
  left join: a column can be null, or name a row that Twilio deleted. Every table with `account_sid` also joins
  [accounts](api.md#accounts) `sid`.
- **Joined by**: the tables that have the key of this table.
- **`received_at`**: when the tap received the row. A target of the Singer SDK adds `_sdc_received_at`, when the target
  got it.
- **Types**: a timestamp is UTC. JSON is JSON text.

The diagram has the streams that are selected by default (blue), and tables that join them. Each box has the columns
that join it with the table at the head of an arrow.

![The main streams and how they join](main-streams.svg)

"""
# The streams of the diagram: column and row.
BOXES = {
    **{"message_media": (0, 0), "messages": (1, 0), "messaging_services": (2, 0)},
    **{"call_feedback": (0, 1), "calls": (1, 1), "incoming_phone_numbers": (2, 1)},
    **{"conference_participants": (0, 2), "recordings": (1, 2), "addresses": (2, 2)},
    **{"conferences": (0, 3), "transcriptions": (1, 3)},
}
WIDTH, HEIGHT, COLUMN, ROW = 216, 52, 250, 96


def diagram() -> Iterator[str]:
    """Yield the lines of the SVG of the main streams."""
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 756 380" width="756" height="380" text-anchor="middle"'
    yield ' font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" role="img" aria-labelledby="title">'
    yield '<title id="title">The main streams and how they join</title>'
    yield '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    yield '<path d="M0 0L8 4L0 8z" fill="#33475b"/></marker></defs>'
    yield '<rect width="756" height="380" rx="3" fill="#ffffff"/>'
    for name, (column, row) in BOXES.items():
        x, y = 20 + column * COLUMN, 20 + row * ROW
        found = [join for join in joins(name) if join[1] in BOXES and join[1] != name]
        found = [join for join in found if join[0] != ("call_sid_to_coach",)]  # the box has no room for it
        for other in sorted({join[1] for join in found}):
            right, down = BOXES[other][0] - column, BOXES[other][1] - row
            x1, y1 = x + WIDTH // 2 * (1 + right), y + HEIGHT // 2 * (1 + down)
            x2, y2 = x1 + (COLUMN - WIDTH) * right, y1 + (ROW - HEIGHT) * down
            yield f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#33475b" marker-end="url(#head)"/>'
        fill, middle = "#cfe3f7" if BY_NAME[name].selected_by_default else "#f4f6f8", x + WIDTH // 2
        yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="3" fill="{fill}" stroke="#33475b"/>'
        yield f'<text x="{middle}" y="{y + 22}" font-size="14" fill="#1f2d3d">{name}</text>'
        names = ", ".join(name for names, _, _ in found for name in names if name != "account_sid")
        yield f'<text x="{middle}" y="{y + 40}" font-size="11" fill="#5a6b7d">{names}</text>'
    yield "</svg>"


def entry(stream: Stream, product: str) -> str:
    """Return the line of a stream in docs/streams.md."""
    name = f"**{stream.name}**" if stream.selected_by_default else stream.name
    text = load_schema(stream.name)["description"]
    cost = f" Cost: {stream.cost}." if stream.cost else ""
    return f"- [{name}](dictionary/{product}.md#{stream.name}): {text}{remark(stream)}{cost}"


def remark(stream: Stream) -> str:
    """Return how a stream is read, if it is not read as most streams are, and what it rests on."""
    remarks = ["log"] if stream.is_log else [] if stream.has_rescans else ["whole list"]
    remarks += ["once a day"] if stream.scope == "global" else []
    return f" *{', '.join([*remarks, grades_of_evidence()[stream.name]]).capitalize()}.*"


def evidence() -> Iterator[str]:
    """Yield the section of docs/streams.md that explains the grades of evidence, with the number of their streams."""
    grades = list(grades_of_evidence().values())
    yield EVIDENCE_HEAD
    for grade, meaning in GRADES.items():
        number = grades.count(grade)
        yield f"- *{grade}* ({number} stream{'s' * (number != 1)}): {meaning}.\n"
    yield "\nTo help, [report what your account answers](troubleshooting.md#report-what-your-account-answers).\n"


def pages() -> dict[str, str]:
    """Return the text of each generated page, by its path in docs/."""
    streams, index = [STREAMS_HEAD, *evidence()], [DICTIONARY_HEAD]
    for product in PRODUCTS:
        entries = [entry(stream, product) for stream in MODULES[product].STREAMS]
        streams.append("\n".join([f"\n## {TITLES[product]}\n", *entries, ""]))
        index.append(f"- [{TITLES[product]}]({product}.md): {len(entries)} stream{'s' * (len(entries) > 1)}\n")
    left_out: dict[tuple[str, str], list[str]] = {}
    for (host, path), reason in LEFT_OUT.items():
        left_out.setdefault((host, reason), []).append(f"`{path}`")
    streams.append(LEFT_OUT_HEAD)
    streams += [f"- **{host}**, {reason}: {', '.join(paths)}\n" for (host, reason), paths in left_out.items()]
    return {
        "streams.md": "".join(streams),
        "dictionary/index.md": "".join(index),
        "dictionary/main-streams.svg": "\n".join([*diagram(), ""]),
        **{f"dictionary/{product}.md": product_page(product) for product in PRODUCTS},
    }


if __name__ == "__main__":
    (DOCS / "dictionary").mkdir(exist_ok=True)
    for path, text in pages().items():
        (DOCS / path).write_text(text, encoding="utf-8")
