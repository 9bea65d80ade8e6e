"""The results, kept as JSON, and the page that is generated from them; tests/docs/test_targets.py compares both."""

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

How targets handle the tap's output, as tested by `make targets`. It installs each target into its own environment,
loads calls, conferences, transcriptions, messages, addresses and ratings of a simulated Twilio, changes and deletes
some, loads again, and compares the tables with Twilio's rows. It also kills a target after 60 % of the lines of a
first load, and runs the sync again from the last STATE that the target printed. Batches had 200 rows if the target has
such a setting.

A cell is the result on that day with that version, not a promise of the target. [targets.json](targets.json) has
the cells.

## Loading
"""
VALUES_TITLE = """
## Values

The test's prices are like Twilio's, except one with 20 decimals, which Twilio's do not have so far. If only that one
was not kept, the cell says "beyond 15 digits". Sums over a column of type `double` or `float` still have the errors of
floats.
"""
ADVICE = """
## What to set
"""
REST = """
- **`decimals: text`** in the tap's config writes prices as text of the same digits. Use it for each target whose cell
  under "prices" says `double`, `float` or "not exact", and cast in the warehouse: `cast(price as numeric(38, 18))`.
  Decide before the first load. Later, the columns have a type: load into a new schema, without a state.
- **`flush_all_streams: true`** is required for PipelineWise's targets. Without it they print a STATE that covers rows
  which they have not stored yet, and a kill loses these rows. With it, none was lost (tested with their
  target-postgres, and with their target-snowflake over fakesnow).
- **Do not use FULL_TABLE with target-clickhouse** (shaped-target-clickhouse): when a version is activated it deletes
  the rows of that version too, which were just loaded. Its `hard_delete` is on unless you set it to `false`.
- **FULL_TABLE after INCREMENTAL.** Records of INCREMENTAL streams have no version, as Singer specifies. When such a
  stream becomes FULL_TABLE, meltanolabs-target-postgres treats rows without a version as old. Targets that use
  the Singer SDK's own statement, such as meltanolabs-target-snowflake, drop only rows with an older version: rows from
  INCREMENTAL syncs never leave. Empty the table before you change the method there.
- **`validate_records: false`** saves the target a second validation of each record, and nearly half of its time
  ([measured](#measured)). The tap already checks every value.
- **`use_copy: true`** of meltanolabs-target-postgres loads even faster, but converts numbers to floats:
  prices with more than 15 digits are rounded. Twilio's have fewer.
- **`batch_size_rows`** for Snowflake: each batch needs a file, a MERGE and further statements, whatever its size.
  So use batches as large as memory allows, such as 100,000 rows. The default of meltanolabs-target-snowflake is 10,000,
  which needs [four times as many MERGEs](#measured) for 40,000 rows; that of pipelinewise-target-snowflake is 100,000.
  A target holds several streams at once, each up to a batch.
- **Newlines in pipelinewise-target-snowflake.** It stages a newline as `\\n` and a tab as `\\t`, two characters each.
  It was not tested whether Snowflake converts them back. A user reports that it does not convert a tab:
  [issue 421](https://github.com/transferwise/pipelinewise-target-snowflake/issues/421). Empty text is staged as
  nothing, which is null. So use meltanolabs-target-snowflake if the text of messages matters.

## Snowflake, over fakesnow

The test does not use Snowflake. Both targets run unchanged, with their own connector, against the server of fakesnow
0.12, an imitation of Snowflake built on DuckDB. A shim redirects their connections, rewrites statements that fakesnow
does not support, and runs one statement at a time.

The test shows that a target creates tables with columns of these types, sends its files by PUT, requests a MERGE of
them, and then prints STATE. The files contain what the cells say.

The test does not show:

- that Snowflake accepts these statements as the targets write them;
- Snowflake's types, casts, transactions and MERGE: here they are DuckDB's, which enforces primary keys, unlike
  Snowflake;
- how Snowflake reads staged CSV and JSON, and stages in cloud storage;
- logins, keys, roles, grants and warehouses, because fakesnow accepts every login;
- streams that load at the same time;
- how long anything takes.

{shim}
"""


def load() -> dict[str, Any]:
    """Read the results: cells by target, and the measurements."""
    found: dict[str, Any] = json.loads(SEEN.read_text("utf-8")) if SEEN.is_file() else {}
    return found


def keep(name: str, what: Any) -> None:
    """Replace the results of one target."""
    seen = {**load(), name: what}
    order = [*BY_NAME, *MEASURED]
    ordered = {one: seen[one] for one in sorted(seen, key=order.index)}
    SEEN.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", "utf-8")


def write() -> None:
    """Write the page."""
    PAGE.write_text(rendered(load()), "utf-8")


def rendered(seen: dict[str, Any]) -> str:
    """Return the page as Markdown."""
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
    """Return the rewritten statements, by target."""
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
