"""
`make sync`, from the outside: what it prints, what it keeps, and the one line that it ends with when it fails.

The first test runs the real tap against the sandbox into a Postgres of its own. The others put a script of a few
lines in the tap's place, which does as its environment says, since what they hold is the demo's own part.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from demo import report
from testing.warehouse import Warehouse, started

ROOT = Path(__file__).resolve().parents[2]
SIX = {"addresses", "call_feedback", "calls", "conferences", "messages", "transcriptions"}
CATALOG = {  # each stream's columns, without those that must be selected by name
    entry["stream"]: {
        item["breadcrumb"][1]
        for item in entry["metadata"]
        if item["breadcrumb"] and item["metadata"].get("selected-by-default") is not False
    }
    for entry in json.loads((ROOT / "catalog.json").read_text("utf-8"))["streams"]
}
REAL_TAP = Path(sys.executable).parent / "tap-twilio"
FAKE_TAP = """
import json, os, sys
if sys.argv[1] == "run-sync":  # the real one, with this script as its tap
    tap = ["--tap", f"{sys.executable} {__file__}"]
    os.execv(sys.executable, [sys.executable, "-m", "tap_twilio", "run-sync", *tap, *sys.argv[2:]])
if "--discover" in sys.argv:
    entry = lambda name, default: {"tap_stream_id": name, "metadata": [
        {"breadcrumb": [], "metadata": {"selected-by-default": default, "inclusion": "available"}}]}
    print(json.dumps({"streams": [entry("messages", True), entry("alerts", False), entry("keys", False)]}))
    sys.exit(int(os.environ.get("FAKE_DISCOVERY", "0")))
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
runs = json.load(open(arguments["--state"]))["bookmarks"]["messages"]["runs"] if "--state" in arguments else 0
screen = open(int(os.environ["TAP_TWILIO_SCREEN"]), "w")
say = lambda text: [print(text, file=file, flush=True) for file in (sys.stderr, screen)[: 2 - text.startswith("INFO")]]
put = lambda **message: print(json.dumps(message), flush=True)
say(f"WARNING run {runs + 1}")
if "--select" in arguments:
    say("WARNING reads " + arguments["--select"])
if screen.isatty():
    say("WARNING looked at")
text, moment = {"type": ["null", "string"]}, {"type": ["null", "string"], "format": "date-time"}
properties = {"sid": {"type": "string"}, "status": text, "body": text, "received_at": moment}
put(type="SCHEMA", stream="messages", schema={"properties": properties}, key_properties=["sid"])
for sid in ("SM1", "SM2"):
    row = {"sid": sid, "status": f"seen {runs}", "body": None, "received_at": "2099-01-01T00:00:00Z"}
    put(type="RECORD", stream="messages", record=row | json.loads(os.environ.get("FAKE_ROW", "{}")))
put(type="STATE", value={"bookmarks": {"messages": {"runs": runs + 1}}})
if "FAKE_WAIT" in os.environ:
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # one that comes before the wait is kept for it
    say("WARNING waiting")
    signal.sigwait({signal.SIGTERM})
    sys.exit(143)
say(os.environ.get("FAKE_LAST", "INFO done"))
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""


class Checkout:
    """A folder as a clone is after its environments were made, with a tap of the test's choice in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        for name in ("demo", "sandbox"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv-target").symlink_to(ROOT / ".venv-target")
        self.command(".venv/bin/python", [sys.executable])

    def command(self, path: str, runs: list[str | Path]) -> None:
        """An executable file that runs something else."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec {" ".join(map(str, runs))} "$@"\n')
        file.chmod(0o755)

    def fake_tap(self) -> Checkout:
        """Put the script in the tap's place."""
        (self.folder / "fake.py").write_text(FAKE_TAP)
        self.command(".venv/bin/tap-twilio", [sys.executable, self.folder / "fake.py"])
        return self

    def configure(self, account_sid: str) -> Checkout:
        """Write a config.json, as a user would."""
        (self.folder / "config.json").write_text(json.dumps({"account_sid": account_sid}))
        return self

    def start(self, *arguments: str, terminal: int | None = None, **environment: str) -> subprocess.Popen[str]:
        """`make sync`, once its environments are there; with a terminal for its stderr."""
        process = subprocess.Popen(
            [self.folder / ".venv-target/bin/python", "-m", "demo.sync", *arguments],
            cwd=self.folder,
            env={**{k: v for k, v in os.environ.items() if not k.startswith(("TWILIO_", "STREAMS"))}, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a test that failed left running."""
        for process in self._started:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def sync(
        self, *arguments: str, terminal: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The same, to its end."""
        process = self.start(*arguments, terminal=terminal, **environment)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def running(self) -> list[str]:
        """Every process of this checkout: whatever ran from it has its path on the command line."""
        listed = subprocess.run(["ps", "-axww", "-o", "command"], capture_output=True, text=True, check=True).stdout
        return [command for command in listed.splitlines() if str(self.folder) in command]

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to the embedded Postgres while it runs, one that no query holds for ever."""
        socket_folder = (self.folder / ".demo/postgres/postmaster.pid").read_text().splitlines()[4]
        url = f"postgresql://postgres@/postgres?host={socket_folder}"
        return psycopg.connect(url, autocommit=True, options="-c statement_timeout=30s")

    def runs(self) -> list[int]:
        """The number of runs that each kept state covers."""
        states = sorted((self.folder / ".demo/state").glob("*/state.json"))
        return [json.loads(path.read_text())["bookmarks"]["messages"]["runs"] for path in states]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """One with the fake tap."""
    checkout = Checkout(tmp_path / "checkout").fake_tap()
    yield checkout
    checkout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Warehouse]:
    """One Postgres for all of these tests."""
    yield from started()


@pytest.fixture
def new_database(server: Warehouse) -> Callable[[], str]:
    """Makes databases; gives their URLs."""
    numbers = itertools.count(1)

    def make() -> str:
        name = f"demo_{os.urandom(4).hex()}_{next(numbers)}"
        server.query(f"create database {name}")
        return server.url.replace("/postgres?", f"/{name}?")

    return make


def table(shown: str) -> dict[str, tuple[int, int, int]]:
    """Rows, new and changed, by table, as printed."""
    found = re.findall(r"^  (\w+) +([\d,]+) +([\d,]+) +([\d,]+)  ", shown, re.M)
    return {name: tuple(int(number.replace(",", "")) for number in rest) for name, *rest in found}  # type: ignore[misc]


def further(shown: str) -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """Of the further tables: rows and new ones, by table, and how many are only counted, by the word for them."""
    part = shown.partition("urther tables ")[2].partition("\n\n")[0]
    cells, counts = [[line for line in part.splitlines()[1:] if line.endswith(".") == ends] for ends in (False, True)]
    found = re.findall(r"(\w+) ([\d,]+)(?: \+([\d,]+))?", "\n".join(cells))
    named = {name: (int(rows.replace(",", "")), int(new.replace(",", "") or 0)) for name, rows, new in found}
    return named, {word: int(number) for number, word in re.findall(r"(\d+) (\w+)[.,]", "\n".join(counts))}


def waits(process: subprocess.Popen[str]) -> None:
    """Read on until the fake tap says that it waits."""
    assert process.stdout is not None
    while "waiting" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, list[str]]]:
    """A checkout with the real tap in which a stranger ran `make sync` twice, and what that showed."""
    checkout = Checkout(tmp_path_factory.mktemp("twice") / "checkout")
    checkout.command(".venv/bin/tap-twilio", [REAL_TAP])
    runs = [checkout.sync(), checkout.sync()]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    yield checkout, [run.stdout for run in runs]
    checkout.close()


@pytest.mark.long
def test_the_second_sync_shows_what_changed_in_the_sandbox_and_adds_no_duplicate(
    twice: tuple[Checkout, list[str]],
) -> None:
    """What a stranger sees: two runs, with nothing set up."""
    first, second = twice[1]
    before, after = table(first), table(second)

    assert first.startswith("No config.json, so this reads the sandbox")
    assert set(before) == SIX
    assert all(rows == new > 0 and not changed for rows, new, changed in before.values())
    assert all(rows == before[name][0] + new for name, (rows, new, _) in after.items())
    assert after["messages"][1] > 0
    assert after["messages"][2] > 0
    assert re.search(r"^  messages SM\w+: .*status \w+ → \w+", second, re.M)


def test_the_largest_further_tables_are_shown_and_in_the_second_sync_those_that_changed(
    twice: tuple[Checkout, list[str]],
) -> None:
    """Several a line; the others are counted. Each has rows, so that there is something to see of each stream."""
    (first, others), (second, unchanged) = map(further, twice[1])
    many = len(CATALOG.keys() - SIX)

    assert first.keys() | second.keys() < CATALOG.keys() - SIX
    assert len(first) == 30 and others == {"more": many - 30}
    assert all(rows > 0 and not new for rows, new in first.values())
    assert unchanged == {"unchanged": many - len(second)}
    assert {"call_summaries"} <= second.keys()
    assert all(rows == first[name][0] + new for name, (rows, new) in second.items() if name in first)
    assert any(new for _, new in second.values())


@pytest.mark.long
def test_whoever_names_all_streams_sees_every_table(twice: tuple[Checkout, list[str]]) -> None:
    """Whether or not it changed."""
    done = twice[0].sync(STREAMS="all")

    assert done.returncode == 0, done.stderr
    assert further(done.stdout)[0].keys() == CATALOG.keys() - SIX


def test_what_a_sync_shows_fits_80_columns(twice: tuple[Checkout, list[str]]) -> None:
    """All but a row that changed, which takes what it needs."""
    for shown in twice[1]:
        assert not [line for line in shown.splitlines() if len(line) > 80 and not re.match(r"  \w+ \w{34}: ", line)]


def test_tables_of_many_rows_and_bodies_of_wide_letters_fit_80_columns() -> None:
    """Ten million rows and more are shown as millions; an ideograph takes two columns, and a body what is left."""
    timestamp = datetime(2026, 3, 1, 9, 30)
    tables = [
        report.Table(name, rows, rows, 50_000, timestamp, timestamp)
        for name, rows in (("transcriptions", 9_999_999), ("calls", 10**9))
    ]
    words = {"date_updated": timestamp, "from": "whatsapp:+4915100000000", "to": "+49151000", "status": "undelivered"}
    found = [{**words, "body": body} for body in ("你好你的预约已确认" * 4, "👍" * 50, "a\nb" * 50, None)]
    shown = report.text(tables, found, "twilio", ["transcriptions", "calls"]).splitlines()

    assert max(map(report._columns, shown)) <= 80
    assert "  calls            1,000.0M   1,000.0M   50,000  2026-03-01 09:30Z  2026-03-01" in shown
    assert [line[-1] for line in shown[-4:]] == ["…", "…", "…", "l"]
    assert "你好" in shown[-4]


def test_what_is_empty_is_counted() -> None:
    """After the first sync, and where nothing else is there."""
    tables = [
        report.Table(name, rows, rows, 0, None, None) for name, rows in (("alerts", 3), ("keys", 0), ("queues", 0))
    ]

    assert report.text(tables, [], "s", []) == "\nFurther tables in schema s, with their rows:\n  alerts 3\n  2 empty."
    assert report.text(tables[1:], [], "s", []) == "\nFurther tables in schema s:\n  2 empty."


def test_the_columns_of_every_table_bear_the_names_of_the_catalog(twice: tuple[Checkout, list[str]]) -> None:
    """The target takes each name as it is."""
    held = "select json_object_agg(name, columns) from (select table_name as name, json_agg(column_name) as columns"
    held += " from information_schema.columns where table_schema = 'twilio_sandbox' and column_name not like '\\_sdc%'"
    psql = twice[0].start("--psql")
    shown = json.loads(answer(psql, f"{held} group by 1) as tables"))
    psql.communicate()

    assert {name: set(columns) for name, columns in shown.items()} == CATALOG


@pytest.mark.long
def test_an_account_is_read_as_the_tap_does_by_itself_unless_streams_are_named(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """All of them, or some; the sandbox has all of them read unless some are named."""
    database = new_database()

    def reads(**environment: str) -> list[str]:
        done = checkout.sync(TARGET_POSTGRES_URL=database, **environment)
        assert done.returncode == 0, done.stderr
        return re.findall(r"WARNING reads (.+)", done.stdout)

    sandbox = [reads(), reads(STREAMS="keys")]
    checkout.configure("AC1")
    account = [reads(), reads(STREAMS=""), reads(STREAMS="all"), reads(STREAMS="keys, messages")]

    assert sandbox == [["*"], ["keys"]]
    assert account == [[], [], ["*"], ["keys, messages"]]


def test_on_a_terminal_the_tap_is_passed_that_terminal(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """There its warnings go, and its live display; the closing line comes at the end, as elsewhere."""
    screen, end = os.openpty()
    done = checkout.configure("AC1").sync(terminal=end, TARGET_POSTGRES_URL=new_database())
    drawn = os.read(screen, 1_000)
    os.close(end)
    os.close(screen)

    assert done.returncode == 0
    assert drawn == b"WARNING run 1\r\nWARNING looked at\r\n"
    assert done.stdout.splitlines()[:2] == ["Reading the Twilio account AC1, as config.json says.", "  INFO done"]


def test_after_the_end_of_the_display_the_screen_says_that_the_target_works(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """It may load rows for a while, and nothing else would be on the terminal."""
    ours, theirs = os.openpty()
    last = "INFO read 1 pages with 1 requests in 0.1 s and emitted 2 rows"
    done = checkout.sync(terminal=theirs, TARGET_POSTGRES_URL=new_database(), FAKE_LAST=last)
    os.close(theirs)
    os.close(ours)

    assert done.returncode == 0
    waiting, _, end = done.stdout.partition("\n  INFO read 1 pages")
    assert waiting.endswith("  The tap has ended; waiting for the target.") and "Tables in schema" in end


def test_a_stream_that_is_not_there_is_one_line(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """It names those that may have been meant; nothing is read, and the sandbox stays where it was."""
    checkout.command(".venv/bin/tap-twilio", [REAL_TAP])
    done = checkout.sync(TARGET_POSTGRES_URL=new_database(), STREAMS="messages,alert")

    assert done.returncode == 1
    assert re.fullmatch("tap-twilio --discover failed: .* no stream 'alert': did you mean alerts\\? .*\n", done.stderr)
    assert not (checkout.folder / ".demo/sandbox.json").exists()


def test_a_tap_that_prints_no_catalog_is_one_line(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """As when it cannot be imported: the sync ends before it reads anything."""
    done = checkout.sync(TARGET_POSTGRES_URL=new_database(), FAKE_DISCOVERY="1")

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "tap-twilio --discover failed: 1\n")


def test_nothing_outlives_a_sync_but_its_data(checkout: Checkout) -> None:
    """No server, no sandbox and no file with credentials; what stays is the user's alone."""
    done = checkout.sync()

    assert done.returncode == 0, done.stderr
    demo = checkout.folder / ".demo"
    assert not (demo / "postgres/postmaster.pid").exists()
    assert not list(demo.glob("config.json")) + list(demo.glob("target.json"))
    assert demo.stat().st_mode & 0o077 == 0


@pytest.mark.long
def test_each_pair_of_account_and_database_has_its_own_state(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """A second database gets a backfill of its own, and so does a second account; the first goes on where it was."""
    one, other = new_database(), new_database()

    def run(account: str, database: str) -> str:
        done = checkout.configure(account).sync(TARGET_POSTGRES_URL=database)
        assert done.returncode == 0, done.stderr
        return str(re.findall(r"WARNING (run \d+)", done.stdout)[0])

    runs = [run("AC1", one), run("AC1", one), run("AC1", other), run("AC2", one), run("AC1", one)]

    assert runs == ["run 1", "run 2", "run 1", "run 1", "run 3"]


def test_a_schema_that_was_dropped_is_filled_anew(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """State that speaks of rows which are gone would leave the new tables empty for ever."""
    database = new_database()
    checkout.configure("AC1").sync(TARGET_POSTGRES_URL=database)
    with psycopg.connect(database) as connection:
        connection.execute("drop schema twilio cascade")

    done = checkout.sync(TARGET_POSTGRES_URL=database)

    assert "WARNING run 1" in done.stdout
    assert re.search(r"messages +2 +2 ", done.stdout)


@pytest.mark.long
def test_sandbox_rows_go_into_a_schema_of_their_own(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """An account's rows and the sandbox's never meet in one table."""
    database = new_database()

    sandbox, account = (
        checkout.sync(TARGET_POSTGRES_URL=database),
        checkout.configure("AC1").sync(TARGET_POSTGRES_URL=database),
    )

    assert "Tables in schema twilio_sandbox:" in sandbox.stdout
    assert "Tables in schema twilio:" in account.stdout


def test_a_tap_that_fails_is_quoted_and_what_it_finished_is_kept(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """Its last line, and the STATE that the target got through: it covers what is loaded."""
    done = checkout.configure("AC1").sync(
        TARGET_POSTGRES_URL=new_database(), FAKE_EXIT="1", FAKE_LAST="auth_token is wrong: compare the console."
    )

    assert done.returncode == 1
    assert done.stderr == "tap-twilio failed (.demo/tap.log): auth_token is wrong: compare the console.\n"
    assert checkout.runs() == [1]


def test_a_sync_finished_in_part_shows_what_it_has_and_says_so(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """Exit code 3 of the tap: its state goes on from there."""
    done = checkout.configure("AC1").sync(TARGET_POSTGRES_URL=new_database(), FAKE_EXIT="3")

    assert done.returncode == 3
    assert "Tables in schema twilio:" in done.stdout
    assert done.stderr.startswith("tap-twilio did not read everything")
    assert checkout.runs() == [1]


def test_a_target_that_fails_is_named_and_its_state_is_not_taken(
    checkout: Checkout, new_database: Callable[[], str]
) -> None:
    """The state of the last run that ended well stays, so the next one sends those rows again."""
    database = new_database()
    checkout.configure("AC1").sync(TARGET_POSTGRES_URL=database)

    done = checkout.sync(TARGET_POSTGRES_URL=database, FAKE_ROW='{"status": 7}')

    assert done.returncode == 1
    assert re.fullmatch(r"target-postgres failed \(\.demo/target\.log\): .*7 is not of type.*\n", done.stderr)
    assert checkout.runs() == [1]


def test_a_sync_that_is_stopped_lets_the_target_finish(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """The tap is told to stop; what it wrote is loaded, and the state that covers it is kept."""
    process = checkout.configure("AC1").start(TARGET_POSTGRES_URL=new_database(), FAKE_WAIT="1")
    waits(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()

    assert process.returncode == 130
    assert errors.endswith("Stopped. Run make sync again to continue.\n")
    assert checkout.runs() == [1]


def test_the_sandbox_and_the_postgres_of_a_killed_sync_end(checkout: Checkout) -> None:
    """SIGKILL lets nobody tidy up, so what a sync started sees for itself that the sync is gone."""
    process = checkout.start(FAKE_WAIT="1")
    waits(process)
    url = urlsplit(json.loads((checkout.folder / ".demo/config.json").read_text())["base_url"])
    with checkout.database() as postgres, socket.create_connection((url.hostname, url.port), timeout=30) as sandbox:
        process.kill()

        assert sandbox.recv(1) == b""
        with pytest.raises(psycopg.errors.AdminShutdown):
            postgres.execute("select pg_sleep(60)")
    process.communicate()


def test_make_clean_after_a_killed_sync_leaves_nothing_running(checkout: Checkout) -> None:
    """The tap and the target neither, though they may be at it for hours."""
    process = checkout.start(FAKE_WAIT="1")
    waits(process)
    process.kill()
    process.communicate()

    done = checkout.sync("--stop")

    assert (done.returncode, done.stdout) == (0, "")
    assert checkout.running() == []


@pytest.mark.long
def test_a_sync_right_after_a_killed_one_goes_on(checkout: Checkout) -> None:
    """No lock is left behind, and no half of the killed run works beside the new one."""
    process = checkout.start(FAKE_WAIT="1")
    waits(process)
    process.kill()
    process.communicate()

    done = checkout.sync()

    assert done.returncode == 0, done.stderr
    assert re.search(r"messages +2 +2 ", done.stdout)
    assert checkout.running() == []


def answer(psql: subprocess.Popen[str], query: str) -> str:
    """What an open psql shows: one value."""
    assert psql.stdin is not None
    assert psql.stdout is not None
    psql.stdin.write(f"\\pset tuples_only on\n\\pset format unaligned\n{query};\n\\echo answered\n")
    psql.stdin.flush()
    shown = ""
    while (line := psql.stdout.readline()) != "answered\n":
        assert line, psql.communicate()
        shown = line.strip()
    return shown


def test_psql_before_the_first_sync_says_that_nothing_was_loaded(checkout: Checkout) -> None:
    """Once where there is no database yet, where nothing is installed or started; and where the database is empty."""
    shutil.copy(ROOT / "Makefile", checkout.folder)
    fresh = subprocess.run(["make", "-s", "psql"], cwd=checkout.folder, capture_output=True, text=True, check=False)
    assert fresh.returncode == 2 and not (checkout.folder / ".demo").exists()
    assert fresh.stderr.startswith("Nothing was loaded yet: run make sync, then make psql.\n")

    empty = checkout.start("--psql")
    assert empty.communicate("\\q\n")[1] == "Nothing was loaded yet: leave psql with \\q, and run make sync.\n"
    assert checkout.sync().returncode == 0
    assert checkout.start("--psql").communicate("\\q\n")[1] == ""


def test_a_sync_works_while_psql_is_open(checkout: Checkout) -> None:
    """Both use one server, which the last of them stops."""
    psql = checkout.start("--psql")
    assert answer(psql, "select 'open'") == "open"

    done = checkout.sync()

    assert done.returncode == 0, done.stderr
    assert answer(psql, "select count(*) from messages") == "2"
    psql.communicate()
    assert checkout.running() == []


@pytest.mark.long
def test_psql_opened_during_a_sync_stays_when_the_sync_ends(checkout: Checkout) -> None:
    """The sync started the server, and leaves it to psql; a new connection works as well."""
    process = checkout.start(FAKE_WAIT="1")
    waits(process)
    psql = checkout.start("--psql")
    assert answer(psql, "select 'open'") == "open"
    process.send_signal(signal.SIGTERM)
    process.communicate()

    assert answer(psql, "\\connect -\nselect count(*) from messages") == "2"
    psql.communicate()
    assert checkout.running() == []


@pytest.mark.long
def test_rows_that_an_open_psql_holds_are_no_silent_wait(checkout: Checkout) -> None:
    """A change that was not committed blocks the target: the sync ends with a line that says how to go on."""
    checkout.sync()
    psql = checkout.start("--psql")
    assert answer(psql, "begin;\nupdate messages set body = 'mine'") == "UPDATE 2"

    _, errors = checkout.start().communicate(timeout=60)

    assert re.fullmatch("Another session, such as an open make psql, holds rows .*: commit or roll back .*\n", errors)
    assert answer(psql, "rollback") == "ROLLBACK"
    psql.communicate()
    done = checkout.sync()
    assert done.returncode == 0, done.stderr


def test_make_clean_says_that_psql_is_open(checkout: Checkout) -> None:
    """It ends with an error, before it removes anything; once psql is left, it does its work."""
    psql = checkout.start("--psql")
    assert answer(psql, "select 'open'") == "open"

    refused = checkout.sync("--stop")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "make psql is open in this folder: leave it with \\q, then run make clean again.\n"
    assert answer(psql, "select 'still open'") == "still open"
    psql.communicate()
    assert checkout.sync("--stop").returncode == 0


def test_make_clean_after_a_killed_psql_leaves_nothing_running(checkout: Checkout) -> None:
    """No lock is left behind either."""
    psql = checkout.start("--psql")
    assert answer(psql, "select 'open'") == "open"
    psql.kill()
    psql.communicate()

    done = checkout.sync("--stop")

    assert (done.returncode, done.stdout) == (0, "")
    assert not [command for command in checkout.running() if "demo" in command]


def test_two_runs_at_once_are_refused(checkout: Checkout) -> None:
    """The second one, before it reads or moves anything; and make clean leaves the first its ground."""
    lock = checkout.folder / ".demo/lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = [checkout.sync(), checkout.sync("--stop")]

    for done in refused:
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch("Another make sync is running in this folder: .*\n", done.stderr)


def test_a_port_in_use_is_one_line(checkout: Checkout, new_database: Callable[[], str]) -> None:
    """The sandbox takes any free port, unless SANDBOX_PORT names one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = checkout.sync(TARGET_POSTGRES_URL=new_database(), SANDBOX_PORT=str(port))

    assert done.returncode == 1
    assert re.fullmatch(f"The sandbox does not start at SANDBOX_PORT={port}: .*not free.*\n", done.stderr)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("post gres://me:hunter2@host/db", "TARGET_POSTGRES_URL is not a Postgres URL"),
        ("postgresql://me:hunter2@127.0.0.1:1/db", "TARGET_POSTGRES_URL does not answer: .*refused"),
    ],
)
def test_a_database_out_of_reach_is_one_line_without_the_password(checkout: Checkout, url: str, says: str) -> None:
    """It names the variable to mend."""
    done = checkout.sync(TARGET_POSTGRES_URL=url)

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"{says}.*\n", done.stderr)
    assert "hunter2" not in done.stderr


def test_a_postgres_that_does_not_start_is_one_line(checkout: Checkout) -> None:
    """It quotes what Postgres said, and says what to do."""
    (checkout.folder / ".demo/postgres").mkdir(parents=True)
    (checkout.folder / ".demo/postgres/PG_VERSION").write_text("18\n")

    done = checkout.sync()

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("The embedded Postgres does not start: make clean, then try again. It said: .+\n", done.stderr)


@pytest.mark.parametrize("text", ['{"account_sid"', "[]"])
def test_a_config_that_is_no_json_object_is_one_line(
    checkout: Checkout, new_database: Callable[[], str], text: str
) -> None:
    """It points to the sample."""
    (checkout.folder / "config.json").write_text(text)

    done = checkout.sync(TARGET_POSTGRES_URL=new_database())

    assert done.returncode == 1
    assert re.fullmatch("config.json is not a JSON object .*: compare sample_config.json.\n", done.stderr)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "There is no .*: install Python 3.10 or later"),
        ("case $2 in *print*) echo 3.9;; *) exit 1;; esac", ".* is Python 3.9, and tap-twilio needs 3.10 or later: .*"),
        ("case $2 in *print*) echo 3.11;; *ensurepip*) exit 1;; esac", ".*apt install python3.11-venv.*"),
        ("exit 1", ".* does not run: install Python 3.10 or later.*"),
    ],
)
def test_a_python_that_will_not_do_is_one_line(tmp_path: Path, script: str | None, says: str) -> None:
    """None at all, one too old, one that Debian ships without venv, one that is broken."""
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)

    done = subprocess.run([ROOT / "demo/venv.sh", python], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert re.fullmatch(f"{says}.*\n", done.stderr)


# In the place of a Python: pip says something, and then works until it is told to end.
PIP = """#!/bin/sh
case "$*" in
*print*) echo 3.11 ;;
*"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"-m pip"*)
    printf 'WARNING: of no interest\\n  Collecting sqlalchemy\\nWARNING: neither\\n'
    read -r ending <"$ENDS"
    exit "$ending"
    ;;
esac
"""


class Installing:
    """`venv.sh` at work, with a pip that ends when it is told to; what it shows goes to a terminal or to a file."""

    def __init__(self, folder: Path, *, terminal: bool) -> None:
        self.folder = folder
        files = {
            "python": PIP,
            "bin/sleep": "#!/bin/sh\nexec /bin/sleep 0.02\n",
        }  # it waits as long as it is asked to else
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        os.mkfifo(folder / "ends")
        self.shown, theirs = os.openpty() if terminal else os.pipe()
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [ROOT / "demo/venv.sh", "./python", ".venv", "a-package"],
            cwd=folder,
            env={**os.environ, "PATH": path, "ENDS": str(folder / "ends"), "TERM": "xterm"},
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        shown = ""
        while text not in shown:
            more = os.read(self.shown, 1_000).decode()
            assert more, shown  # it ended
            shown += more
        return shown

    def end(self, code: int) -> tuple[str, str]:
        """What it showed since, and what it said on stderr."""
        (self.folder / "ends").write_text(f"{code}\n")
        _, said = self.process.communicate()
        shown = ""
        with suppress(OSError):  # EIO: how a terminal ends
            while more := os.read(self.shown, 1_000).decode():
                shown += more
        os.close(self.shown)
        return shown, said


def test_while_pip_works_a_log_has_lines_of_it(tmp_path: Path) -> None:
    """What pip does and for how long, a line each 10 seconds; its warnings are in its own log."""
    installing = Installing(tmp_path, terminal=False)
    shown = installing.read_until(": 20 s, ")
    end, said = installing.end(0)

    assert shown.startswith("Installing into .venv: a-package ...\n")
    assert "  .venv: 10 s, " in shown
    assert re.search(r"^  \.venv: \d+0 s, Collecting sqlalchemy$", shown + end, re.M)
    assert (installing.process.returncode, said) == (0, "")
    assert "WARNING" not in shown + end


def test_while_pip_works_a_terminal_has_one_line_of_it(tmp_path: Path) -> None:
    """It is written over each second, and gone at the end."""
    installing = Installing(tmp_path, terminal=True)
    shown = installing.read_until("s, Collecting sqlalchemy\x1b[K")
    end, said = installing.end(0)

    assert shown.count("\n") == 1
    assert (shown + end).endswith("\r\x1b[K")
    assert (installing.process.returncode, said) == (0, "")


def test_a_pip_that_fails_is_one_line(tmp_path: Path) -> None:
    """It names pip's log, which stays."""
    installing = Installing(tmp_path, terminal=True)
    installing.read_until("Collecting sqlalchemy")
    _, said = installing.end(1)

    assert installing.process.returncode == 1
    assert re.fullmatch("pip could not install into .venv: .* Its output is in .venv.log; .*\n", said)
    assert "Collecting sqlalchemy" in (tmp_path / ".venv.log").read_text()
