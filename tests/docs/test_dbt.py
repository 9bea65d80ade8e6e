"""
`examples/dbt`, as a user runs it: dbt on the tables that the real target made of the simulated account.

dbt has an environment of its own, which `make test-dbt` makes. Fivetran's package is no part of this project: dbt gets
it from the network, or it lies with those that it needs in the folder that DBT_PACKAGES names, each under its name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from sandbox import Twilio, serve
from testing import answers
from testing.taps import ROOT, Json, Tap
from testing.warehouse import Warehouse
from tools.pictures import PICTURES, draw

EXAMPLE = ROOT / "examples/dbt"
DBT = ROOT / ".venv-dbt/bin/dbt"
SCHEMA = "twilio_dbt"
STREAMS = re.findall(r"- name: (\w+)", (EXAMPLE / "models/sources.yml").read_text("utf-8").partition("tables:")[2])
VIEWS = sorted(path.stem for path in (EXAMPLE / "models/fivetran").glob("*.sql"))

# Messages and their prices by account and day, and an account's own total of that day; nothing is joined.
TRUTH = f"""
select account_sid as account, cast(coalesce(date_sent, date_created) as date) as day,
    count(*) as messages, -sum(price) as spent, null as account_spent
from {SCHEMA}.messages group by 1, 2
union all
select account_sid, start_date, 0, null, price from {SCHEMA}.usage_records where category = 'totalprice'
"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DBT.exists(), reason="there is no .venv-dbt: make test-dbt makes it"),
]


class Project:
    """A copy of the example, and dbt run in it."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        self.folder, self.warehouse = folder, warehouse
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("dbt_packages", "target", "logs"))
        place = conninfo_to_dict(warehouse.url)
        self.environment = {
            **os.environ,
            "PGHOST": str(place["host"]),
            "PGUSER": str(place["user"]),
            "PGDATABASE": str(place["dbname"]),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DBT, "--no-version-check", "--no-use-colors", *arguments, "--vars", f"tap_schema: {SCHEMA}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def build(self, *arguments: str) -> str:
        """`dbt build`, which runs models and their tests in order; what it said."""
        done = self.dbt("build", *arguments)
        assert done.returncode == 0, done.stdout[-4_000:]
        return done.stdout


@pytest.fixture(scope="module")
def twilio() -> Twilio:
    return Twilio.demo(1)


@pytest.fixture(scope="module")
def synced(warehouse: Warehouse, twilio: Twilio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse that holds the sandbox's account in the tables that the example reads."""
    with serve(twilio) as server:
        tap = Tap(server, tmp_path_factory.mktemp("tap")).select(*STREAMS)
        tap.settings["base_url"] += "/{product}"
        done = warehouse.pipe(tap.command(), None, SCHEMA, batch_size_rows=5_000, validate_records=False)
        assert (done.tap_exit, done.target_exit) == (0, 0), done.tap_log[-1_000:] + done.target_log[-1_000:]
    yield warehouse
    for schema in (SCHEMA, "analytics", "analytics_fivetran", "analytics_twilio", "analytics_twilio_source"):
        warehouse.drop(schema)


@pytest.fixture(scope="module")
def alone(synced: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example without Fivetran's package, built."""
    project = Project(tmp_path_factory.mktemp("alone") / "project", synced)
    (project.folder / "packages.yml").unlink()
    project.build()
    return project


@pytest.fixture(scope="module")
def with_fivetran(alone: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The example as it is, built; what dbt said is in `said`."""
    project = Project(tmp_path_factory.mktemp("whole") / "project", alone.warehouse)
    if packages := os.environ.get("DBT_PACKAGES"):
        shutil.copytree(packages, project.folder / "dbt_packages", ignore=shutil.ignore_patterns("integration_tests"))
    elif project.dbt("deps").returncode:
        pytest.skip("dbt deps does not reach hub.getdbt.com, and DBT_PACKAGES names no folder with its packages")
    (project.folder / "said").write_text(project.build(), "utf-8")
    return project


def overview(warehouse: Warehouse, name: str) -> list[Json]:
    """Messages and spend by account and day, of a table that holds them."""
    sums = "sum(total_messages) as messages, sum(total_messages_spend) as spent, sum(total_account_spend) as all_spent"
    return warehouse.query(
        f"select account_id as account, date_day as day, {sums} from {name} group by 1, 2 order by 1, 2"
    )


def truth(warehouse: Warehouse) -> list[Json]:
    return warehouse.query(
        "select account, day, sum(messages) as messages, sum(spent) as spent, sum(account_spent) as all_spent"
        f" from ({TRUTH}) as parts group by 1, 2 order by 1, 2"
    )


def test_the_overview_counts_each_message_and_price_once(alone: Project) -> None:
    """By account and day, also where no message was sent, and without Fivetran's package."""
    should = truth(alone.warehouse)

    assert overview(alone.warehouse, "analytics.account_overview") == should
    assert sum(row["messages"] for row in should) == len(alone.warehouse.rows("messages", SCHEMA)) > 2_000
    assert any(row["all_spent"] for row in should)


def test_the_overview_names_the_account_and_adds_up(alone: Project) -> None:
    """Its name is the account's, and the counts by status and by direction make the whole."""
    rows = alone.warehouse.rows("account_overview", "analytics")
    names = {row["sid"]: row["friendly_name"] for row in alone.warehouse.rows("accounts", SCHEMA)}

    for row in rows:
        directions = row["total_outbound_messages"] + row["total_inbound_messages"]
        statuses = sum(
            value
            for name, value in row.items()
            if re.fullmatch("total_[a-z_]+_messages", name) and not re.search("(out|in)bound", name)
        )
        assert row["account_name"] == names[row["account_id"]]
        assert directions == statuses == row["total_messages"]


def test_a_test_of_the_example_fails_where_a_message_is_counted_twice(alone: Project) -> None:
    """So `dbt build` would say it, should somebody join what multiplies."""
    model = alone.folder / "models/account_overview.sql"
    good = model.read_text("utf-8")
    model.write_text(good.replace("from {{ source('tap', 'messages') }}", "from many_messages"), "utf-8")
    twice = "with many_messages as (select m.* from {{ source('tap', 'messages') }} as m, generate_series(1, 2)),"
    model.write_text(model.read_text("utf-8").replace("with messages as (", f"{twice}\nmessages as ("), "utf-8")
    done = alone.dbt("build", "--select", "account_overview")
    model.write_text(good, "utf-8")

    assert done.returncode == 1
    assert "FAIL" in done.stdout and "every_message_and_price_counts_once" in done.stdout
    alone.build("--select", "account_overview")


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_a_row_for_each_row_of_the_tap(alone: Project, view: str) -> None:
    """None is lost and none doubled; each view has an identifier that is never null."""
    table = re.findall(r"source\('tap', '(\w+)'\)", (EXAMPLE / f"models/fivetran/{view}.sql").read_text("utf-8"))
    rows = alone.warehouse.rows(view, "analytics_fivetran")

    assert len(rows) == len(alone.warehouse.rows(table[0], SCHEMA)) > 0
    assert all(row.get("id", row.get("account_id")) for row in rows)


@pytest.mark.parametrize("model", answers.ANSWERS)
def test_each_model_answers_its_question(alone: Project, twilio: Twilio, model: str) -> None:
    """Each row of it is what plain Python counts in the simulated account, and no row is missing."""
    should = answers.ANSWERS[model](twilio)
    rows = alone.warehouse.rows(model, "analytics")

    assert len(rows) == len(should) > 5
    assert {answers.row_of(row, should) for row in rows} == {tuple(row.values()) for row in should}


def test_the_simulated_account_has_something_to_find_for_each_question(alone: Project) -> None:
    """Each question has an answer that a wrong model would miss."""
    query = alone.warehouse.query

    assert {21610, 30003, 30005, 30007, 30034} <= {
        row["error_code"] for row in alone.warehouse.rows("delivery_failures", "analytics")
    }
    assert query("select 1 as found from analytics.spend_by_product where difference > 0")
    assert {row["campaign_status"] for row in alone.warehouse.rows("a2p_campaigns", "analytics")} == {
        "VERIFIED",
        "FAILED",
        "NONE",
    }
    assert query("select 1 as found from analytics.number_usage where is_unused and last_used_at is not null")
    assert {"blocked", "failed", "sent by another sender"} <= {
        row["outcome"] for row in alone.warehouse.rows("messages_after_stop", "analytics")
    }
    assert {row["region"] for row in alone.warehouse.rows("call_quality", "analytics")} >= {"us1", "ie1", "unknown"}
    joined = (
        f"select count(*) as n from {SCHEMA}.conference_participant_summaries join {SCHEMA}.calls on sid = call_sid"
    )
    assert query(joined)[0]["n"] > 100


@pytest.mark.parametrize("sql", re.findall(r"(?s)```sql\n(.+?)```", (ROOT / "docs/questions.md").read_text("utf-8")))
def test_the_queries_of_the_page_have_answers(alone: Project, sql: str) -> None:
    """Each returns rows, and none is empty."""
    rows = alone.warehouse.query(sql)

    assert rows and all(any(value is not None for value in row.values()) for row in rows)


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_shows_what_its_model_says(alone: Project, name: str) -> None:
    """With PICTURES=write, as `make pictures` does, it is drawn anew."""
    file = ROOT / f"docs/questions/{name}.svg"
    drawn = draw(PICTURES[name], alone.warehouse.query)
    if os.environ.get("PICTURES") == "write":
        file.write_text(drawn, "utf-8")

    assert file.read_text("utf-8") == drawn, "make pictures"


def test_fivetrans_models_are_built_from_the_views(with_fivetran: Project) -> None:
    """All 20, in one `dbt build`, with each of the tap's rows in them; all of its tests but one pass."""
    said = (with_fivetran.folder / "said").read_text("utf-8")
    query = with_fivetran.warehouse.query

    assert len(re.findall(r"OK created sql \w+ model analytics_twilio", said)) == 20
    assert "ERROR=0" in said
    assert re.findall(r"WARN \d+ (not_\w+)", said) == ["not_null_twilio__account_overview_date_day"]
    enhanced = query(
        "select message_id as sid, cast(price as numeric) as price from analytics_twilio.twilio__message_enhanced"
    )
    kept = query(f"select sid, price from {SCHEMA}.messages")
    assert sorted(enhanced, key=str) == sorted(kept, key=str)


def test_fivetrans_views_know_every_column_that_its_models_ask_for(with_fivetran: Project) -> None:
    """It fills none with null."""
    empty = set()
    for macro in (with_fivetran.folder / "dbt_packages/twilio/macros/staging").glob("get_*_columns.sql"):
        view = macro.stem.removeprefix("get_").removesuffix("_columns")
        asked = set(re.findall(r'"name": "(\w+)"', macro.read_text("utf-8"))) - {"FROM", "TO"}
        row = with_fivetran.warehouse.query(f"select * from analytics_fivetran.{view} limit 1")[0]
        empty |= {f"{view}.{name}" for name in asked - row.keys()}

    assert empty == set()


def test_fivetrans_overview_multiplies_and_the_corrected_one_does_not(with_fivetran: Project) -> None:
    """Theirs joins a day's messages to its usage, a row a category: each message counts once a category."""
    warehouse = with_fivetran.warehouse
    theirs = {
        (row["account"], row["day"]): row for row in overview(warehouse, "analytics_twilio.twilio__account_overview")
    }
    counted = f"select account_sid, start_date, count(*) as n from {SCHEMA}.usage_records group by 1, 2"
    categories = {(row["account_sid"], row["start_date"]): row["n"] for row in warehouse.query(counted)}
    sent = f"select account_sid, cast(date_sent as date) as day, count(*) as n from {SCHEMA}.messages group by 1, 2"
    multiplied = 0
    for row in warehouse.query(sent):
        place = row["account_sid"], row["day"]
        assert theirs[place]["messages"] == row["n"] * categories.get(place, 1)
        multiplied += place in categories

    assert multiplied > 20
    assert overview(warehouse, "analytics.account_overview") == truth(warehouse)
