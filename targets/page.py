"""What was seen, kept as JSON, and the page that is made of it; tests/docs/test_targets.py compares them."""

from __future__ import annotations

import json
from typing import Any

from .declared import BY_NAME, ROOT, TARGETS, Target

SEEN, PAGE = ROOT / "docs/targets.json", ROOT / "docs/targets.md"
RUNS = ("version", "Python", "loads", "upserts", "deletions", "STATE", "killed halfway", "seen")
VALUES = ("prices", "prices, decimals: text", "newlines, emoji", "empty text", "`from`, `to`", "arrays", "dates")
NONE = ""
MEASURED = ("measured: postgres", "measured: snowflake")

INTRODUCTION = """# Targets, tried

What targets make of the tap's output, as `make targets` saw it. It installs each into an environment of its own, loads
calls, conferences, transcriptions, messages, addresses and ratings of a simulated Twilio, changes and deletes some,
loads again, and compares the tables with Twilio's rows. It also kills a target after 60 % of the lines of a first load,
and runs the sync again from the last STATE that came out. Batches were of 200 rows, where a target can be told.

A cell is what was seen on that day with that version, not what a target promises. [targets.json](targets.json) holds
the cells.

## Loading
"""
VALUES_TITLE = """
## Values

The test's prices are like Twilio's, and one has 20 decimals, as no price of Twilio's has so far. Where only that one
was not kept, the cell says "beyond 15 digits". A column of type `double` or `float` still adds up with the errors of
floats.
"""
ADVICE = """
## What to set
"""
REST = """
- **`decimals: text`** in the tap's config writes prices as text of the same digits. Take it for each target whose cell
  under "prices" says `double`, `float` or "not exact", and cast in the warehouse: `cast(price as numeric(38, 18))`.
  Choose before the first load. Later, columns have a type already: load into a new schema, without a state.
- **`flush_all_streams: true`** is a must for PipelineWise's targets. Without it they let go of a STATE that covers rows
  which they still hold, and a kill loses these rows. With it, none was lost (seen with their target-postgres, and
  with their target-snowflake over fakesnow).
- **Do not use FULL_TABLE with target-clickhouse** (shaped-target-clickhouse): when a version is activated it deletes
  the rows of that version too, which were just loaded. Its `hard_delete` is on unless you set it to `false`.
- **FULL_TABLE after INCREMENTAL.** Records of INCREMENTAL streams carry no version, as Singer has it. When such a
  stream becomes FULL_TABLE, meltanolabs-target-postgres takes rows without a version for old ones. Targets that use
  the Singer SDK's own statement, such as meltanolabs-target-snowflake, drop only rows with an older version: rows from
  INCREMENTAL syncs never leave. Empty the table before you change the method there.
- **`validate_records: false`** spares the target a second look at each record, and nearly half of its time
  ([measured](#measured)). The tap checks every value already.
- **`use_copy: true`** of meltanolabs-target-postgres loads quicker still, and sends numbers through a float:
  prices with more than 15 digits are rounded. Twilio's have fewer.
- **`batch_size_rows`** for Snowflake: each batch is a file, a MERGE and the statements around them, whatever it holds.
  So take large batches, as far as memory goes: 100,000 rows, say. meltanolabs-target-snowflake takes 10,000 by itself,
  and [four times as many MERGEs](#measured) for 40,000 rows; pipelinewise-target-snowflake takes 100,000 by itself.
  Several streams are held at once, each up to a batch.
- **Newlines in pipelinewise-target-snowflake.** It stages a newline as `\\n` and a tab as `\\t`, two characters each.
  Whether Snowflake makes of them what they were was not shown. A user says that it does not, of a tab:
  [issue 421](https://github.com/transferwise/pipelinewise-target-snowflake/issues/421). Empty text is staged as
  nothing, which is null. So take meltanolabs-target-snowflake where the text of messages counts.

## Snowflake, over fakesnow

There is no Snowflake here. Both targets run unchanged, with their own connector, against the server of fakesnow 0.12, a
fake of Snowflake made of DuckDB. A shim sends their connections there, rewrites what fakesnow does not know, and runs
one statement after another.

What that shows: a target makes tables with columns of these types, sends its files by PUT, asks for a MERGE of them,
and then lets go of STATE. The files hold what the cells say.

What it does not show:

- that Snowflake takes these statements as the targets write them;
- its types, casts, transactions and MERGE, which are DuckDB's here, and hold primary keys, which Snowflake does not;
- how it reads staged CSV and JSON, and its stages in a cloud's storage;
- logins, keys, roles, grants and warehouses, since fakesnow lets everyone in;
- streams that load at the same time;
- how long anything takes.

{shim}
"""


def load() -> dict[str, Any]:
    """What is kept: cells by target, and what was measured."""
    found: dict[str, Any] = json.loads(SEEN.read_text("utf-8")) if SEEN.is_file() else {}
    return found


def keep(name: str, what: Any) -> None:
    """Put what was seen of one target in the place of what was seen before."""
    seen = {**load(), name: what}
    order = [*BY_NAME, *MEASURED]
    ordered = {one: seen[one] for one in sorted(seen, key=order.index)}
    SEEN.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write() -> None:
    """Make the page anew."""
    PAGE.write_text(rendered(load()), "utf-8")


def rendered(seen: dict[str, Any]) -> str:
    """The page as Markdown."""
    rest = REST.format(shim="\n".join(_shims(seen)))
    parts = [INTRODUCTION, _table(RUNS, seen), VALUES_TITLE, _table(VALUES, seen), ADVICE, _advice(seen), rest]
    return "".join([*parts, _measured(*(seen.get(name, {}) for name in MEASURED))])


def _table(columns: tuple[str, ...], seen: dict[str, Any]) -> str:
    lines = [f"| target | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for target in TARGETS:
        if cells := seen.get(target.name):
            values = [_escaped(cells.get(column, NONE)) for column in columns]
            lines.append(f"| {target.name} | {' | '.join(values)} |")
    return "\n" + "\n".join(lines) + "\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _advice(seen: dict[str, Any]) -> str:
    lines = ["| target | set |", "|---|---|"]
    lines += [f"| {target.name} | {_said(target)} |" for target in TARGETS if target.name in seen and _said(target)]
    return "\n" + "\n".join(lines) + "\n"


def _said(target: Target) -> str:
    return "; ".join(filter(None, [target.sets, target.note]))


def _shims(seen: dict[str, Any]) -> list[str]:
    """What was rewritten, by target."""
    lines = []
    for target in TARGETS:
        if rewritten := seen.get(target.name, {}).get("rewritten"):
            lines += [f"Rewritten for {target.name}:", "", *(f"- {one}." for one in rewritten.split("; ")), ""]
    return lines[:-1]


def _measured(postgres: dict[str, Any], snowflake: dict[str, Any]) -> str:
    parts = ["\n## Measured\n"] if postgres or snowflake else []
    if postgres:
        lines = [f"| {name} | {seconds:.1f} s |\n" for name, seconds in postgres["seconds"].items()]
        parts += [f"\n{postgres['what']}\n\n| settings | time |\n|---|---|\n", *lines]
    if snowflake:
        lines = [f"| {name} | {sent['MERGE']} | {sent['all']} |\n" for name, sent in snowflake["statements"].items()]
        parts += [f"\n{snowflake['what']}\n\n| settings | MERGE | all statements |\n|---|---|---|\n", *lines]
    return "".join(parts)
