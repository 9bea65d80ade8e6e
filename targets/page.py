"""The results, kept as JSON, and the page that is generated from them; tests/docs/test_targets.py compares both."""

from __future__ import annotations

import json
from typing import Any

from .declared import BY_NAME, ROOT, TARGETS, Target

SEEN, PAGE = ROOT / "docs/targets.json", ROOT / "docs/targets.md"
RUNS = ("version", "Python", "loads", "upserts", "deletions", "STATE", "killed halfway", "seen")
PRICES = ("prices", "prices, decimals: text", "prices, decimals: singer")
VALUES = (*PRICES, "newlines, emoji", "empty text", "`from`, `to`", "arrays", "dates")
NONE = ""
MEASURED = ("measured: postgres", "measured: snowflake")

INTRODUCTION = """# Targets

How targets handle the tap's output, and what to set for each. `make targets` tested them: it installs each target into
an environment of its own, loads the six default streams of a simulated Twilio, changes and deletes some rows, loads
again, and compares the tables with Twilio's rows. It also kills a target in the middle of a first load, and runs the
sync again from the last STATE that the target printed.

A cell is the result on that day with that version, not a promise of the target. The targets for Snowflake were tested
against an imitation, not against Snowflake ([what that shows](../targets/README.md#snowflake-over-fakesnow)).

## Loading
"""
VALUES_TITLE = """
## Values

One of the test's prices has 20 decimals, more than Twilio's prices so far. If only that price was not kept, the cell
says "beyond 15 digits". Sums over a column of type `double` or `float` have the errors of floats in any case.
"""
ADVICE = """
## What to set
"""
REST = """
- **`decimals: singer`**, a setting of the tap, makes exact columns `NUMERIC(38, 18)` in targets that use the Singer SDK
  0.45 or later, such as meltanolabs-target-postgres and meltanolabs-target-snowflake. Other targets store the same
  digits as text: cast it in the warehouse, in BigQuery as `cast(price as bignumeric)`. Use it if the target's cell
  under "prices" says `double`, `float` or "not exact". Choose it before the first load, else follow [the
  steps](#exact-prices-in-tables-that-exist). `run-sync` warns before a first load that would make floats.
- **`decimals: text`** writes the same text without the type. Use it if you want text in every target, or if a number
  has more than 20 digits before the point or 18 after it. Such a number does not fit `decimals: singer`: it fails its
  stream and account, or becomes null, as `on_invalid` says. The tap never rounds.
- **`flush_all_streams: true`** is required for PipelineWise's targets. Without it they print a STATE that covers rows
  which they have not stored yet, and a kill loses these rows. With it, the tests lost none.
- **Do not use FULL_TABLE with target-clickhouse** (shaped-target-clickhouse): when a version is activated, it also
  deletes the rows of that version, which were just loaded. Its `hard_delete` is on unless you set it to `false`.
- **From INCREMENTAL to FULL_TABLE**: rows of INCREMENTAL syncs have no version. meltanolabs-target-postgres drops them
  with the older versions. Other targets that use the Singer SDK, such as meltanolabs-target-snowflake, never drop them:
  empty the table before you change the method.
- **`validate_records: false`** saves the target a second validation of each record, and nearly half of its time
  ([measured](#measured)). The tap already checks every value.
- **`use_copy: true`** of meltanolabs-target-postgres loads even faster, but rounds prices with more than 15 digits,
  also with `decimals: singer`. Twilio's have fewer.
- **`batch_size_rows`** for Snowflake: each batch needs a file, a MERGE and further statements, whatever its size. Use
  batches as large as memory allows, such as 100,000 rows. The default of meltanolabs-target-snowflake is 10,000, which
  needs [four times as many MERGEs](#measured) for 40,000 rows. A target holds several streams at once, each up to a
  batch.
- **Newlines in pipelinewise-target-snowflake**: it stages a newline as `\\n` and a tab as `\\t`, two characters each.
  Whether Snowflake converts them back was not tested; a user reports that it does not convert a tab ([issue
  421](https://github.com/transferwise/pipelinewise-target-snowflake/issues/421)). It stages empty text as nothing,
  which is null. Use meltanolabs-target-snowflake if the text of messages matters.

## Exact prices in tables that exist

Most warehouses cannot alter a column from FLOAT or text to NUMERIC. Rename the columns; the next load adds new ones.
All columns of type `number` in [the data dictionary](dictionary/index.md) change; for messages it is one:

1. Stop the schedule. In the schema of the tables:

   ```sql
   alter table messages rename column price to price_before;
   ```

2. Set `decimals` to `singer`, and sync. Start the schedule again. Until step 3, `price` is null in older rows.
3. Fill these rows, also those that Twilio no longer has, and remove the old column:

   ```sql
   update messages set price = cast(price_before as numeric(38, 18)) where price is null;
   alter table messages drop column price_before;
   ```

The next rescans write every row once more, with Twilio's digits.

PipelineWise's targets rename the old column by themselves.
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
    parts = [INTRODUCTION, _table(RUNS, seen), VALUES_TITLE, _table(VALUES, seen), ADVICE, _advice(seen), REST]
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


def _measured(postgres: dict[str, Any], snowflake: dict[str, Any]) -> str:
    parts = ["\n## Measured\n"] if postgres or snowflake else []
    if postgres:
        lines = [f"| {name} | {seconds:.1f} s |\n" for name, seconds in postgres["seconds"].items()]
        parts += [f"\n{postgres['what']}\n\n| settings | time |\n|---|---|\n", *lines]
    if snowflake:
        lines = [f"| {name} | {sent['MERGE']} | {sent['all']} |\n" for name, sent in snowflake["statements"].items()]
        parts += [f"\n{snowflake['what']}\n\n| settings | MERGE | all statements |\n|---|---|---|\n", *lines]
    return "".join(parts)
