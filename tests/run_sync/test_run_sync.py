"""`run-sync`: the tap into a target as a scheduler runs it, whatever is killed on the way. Through real processes."""

from __future__ import annotations

import fcntl
import json
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Twilio, serve
from tap_twilio.run_sync.pipe import Lines
from testing.sampled import long
from testing.taps import COMMAND, Tap

TARGET = Path(__file__).parents[2] / "testing" / "storing_target.py"
STREAMS = ("messages", "addresses")
LAST_YEAR = {"since": "2025-03-01", "until": "2025-12-30"}

MakeTap = Callable[..., Tap]


class Job:
    """What a crontab would run: a folder with a state, a database, and the command."""

    def __init__(self, tap: Tap, folder: Path) -> None:
        self.tap, self.folder = tap.select(*STREAMS), folder
        self.state_folder = folder / "state"
        self.target = f"{sys.executable} '{TARGET}' '{folder / 'rows.db'}' '{folder / 'orders'}'"
        folder.mkdir(parents=True, exist_ok=True)

    def command(self, *options: str, target: str = "", location: str = "", **settings: Any) -> list[str]:
        """As the README has it."""
        given = self.tap.command(**{"state_seconds": 0, "page_size": 5, **settings})[len(COMMAND) :]
        where = ["--target", target or self.target, "--state", location or str(self.state_folder)]
        return [*COMMAND, "run-sync", *where, *options, "--", *given]

    def start(self, *options: str, **how: Any) -> subprocess.Popen[str]:
        """One run; what Twilio lists now is what the warehouse is to hold then."""
        self.tap.offer()
        return subprocess.Popen(
            self.command(*options, **how),
            env=self.tap.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """The same, to the end of all three processes."""
        process = self.start(*options, **how)
        out, err = process.communicate()
        self.outlast()
        self.tap.ended(well=process.returncode == 0)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def outlast(self) -> None:
        """Return once nothing of a run is left, as the lock tells."""
        self.state_folder.mkdir(exist_ok=True)
        with (self.state_folder / "sync.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def orders(self, text: str) -> None:
        (self.folder / "orders").write_text(text)

    @property
    def state(self) -> Any:
        file = self.state_folder / "state.json"
        return json.loads(file.read_text("utf-8")) if file.exists() else None

    def wrong(self) -> dict[str, Any]:
        """What the database holds otherwise than Twilio lists."""
        tables: dict[str, dict[str, Any]] = {}
        with closing(sqlite3.connect(self.folder / "rows.db")) as database:
            for stream, sid, record in database.execute("select stream, sid, record from rows"):
                tables.setdefault(stream, {})[sid] = json.loads(record, parse_float=Decimal)
        self.tap.tables.rows = tables
        return self.tap.wrong(STREAMS)


@pytest.fixture
def job(tap_of: MakeTap, tmp_path: Path) -> Job:
    """Over 60 messages and 20 addresses, five rows a page."""
    return Job(tap_of(some_rows()), tmp_path / "a job")


def some_rows() -> Twilio:
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    twilio.messages(60, **LAST_YEAR)
    twilio.addresses(20, **LAST_YEAR)
    return twilio


def test_a_sync_fills_the_warehouse_and_the_next_one_goes_on_from_its_state(job: Job) -> None:
    """The closing line says how both ended, how many rows went, and that the state was kept; a file says it, too."""
    file = job.folder / "summary.json"
    first, second = job.run("--summary-json", str(file)), job.run()

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert job.wrong() == {}
    closing = (
        r"\S+ INFO tap-twilio ended with 0, the target with 0, after \d+ s; {} rows sent; state saved .+ ago in {}"
    )
    for run, rows in ((first, 80), (second, 0)):
        assert re.fullmatch(closing.format(rows, job.state_folder / "state.json"), run.stderr.splitlines()[-1])
    assert (first.stdout, second.stdout) == ("", "")
    summary = json.loads(file.read_text())
    assert {name: summary[name] for name in ("exit_code", "tap_exit", "target_exit", "rows")} == {
        "exit_code": 0,
        "tap_exit": 0,
        "target_exit": 0,
        "rows": 80,
    }
    assert summary["bookmarks"] == {stream: job.state["bookmarks"][stream]["date_updated"] for stream in STREAMS}


def test_a_summary_that_cannot_be_written_is_refused_before_anything_is_read(job: Job) -> None:
    """And one of an earlier run is gone once a run begins: nobody takes it for the new one's."""
    run = job.run("--summary-json", str(job.folder / "nowhere" / "summary.json"))
    assert (run.returncode, run.stderr.count("\n"), job.state) == (1, 1, None)
    assert "summary.json: cannot be written (No such file or directory)" in run.stderr and not job.tap.server.requests

    file = job.folder / "summary.json"
    file.write_text("{}")
    job.run("--summary-json", str(file), target=f"""sh -c 'ls "$0" >"$0/seen"; cat >/dev/null' '{job.folder}'""")
    assert "summary.json\n" not in (job.folder / "seen").read_text() and file.exists()


def test_with_logs_nothing_is_said_when_all_is_well(job: Job) -> None:
    """What cron mails is what somebody must look at. The logs have a heading for each run, with time and version."""
    done = job.run("--logs", str(job.folder))
    failed = job.run("--logs", str(job.folder), target=f"{sys.executable} -c 'exit(\"the disk is full\")'")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert failed.returncode == 4
    assert "target.log says: the disk is full" in failed.stderr
    for name in ("tap.log", "target.log"):
        headings = re.findall(r"(?m)^--- \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.+)$", (job.folder / name).read_text())
        assert [text.split()[-1] for text in headings[::2]] == ["run-sync", "run-sync"]
        assert (job.folder / name).stat().st_mode & 0o077 == 0


SQLALCHEMY = """\
Traceback (most recent call last):
  File "engine/base.py", line 1964, in _exec_single_context
psycopg2.errors.UndefinedColumn: column "edge" does not exist

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedColumn) column "edge" does not exist
LINE 1: insert into calls (edge) values ('ERROR')

[SQL: insert into calls (edge) values ('ERROR')]
(Background on this error at: https://sqlalche.me/e/20/f405)
"""


@pytest.mark.parametrize(
    ("log", "quoted"),
    [
        (SQLALCHEMY, 'sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedColumn) column "edge" does not exist'),
        ("2026-01-01 | ERROR | the disk is full\n2026-01-01 | INFO | bye\n", "2026-01-01 | ERROR | the disk is full"),
    ],
)
def test_the_error_of_a_target_is_quoted_and_not_its_last_line(job: Job, log: str, quoted: str) -> None:
    """Libraries log advice after an error, and targets say goodbye."""
    (job.folder / "said").write_text(log)
    failed = job.run("--logs", str(job.folder), target=f"sh -c 'cat \"$0\" >&2; exit 1' '{job.folder / 'said'}'")

    assert failed.returncode == 4
    assert failed.stderr.splitlines()[-1].endswith(f"target.log says: {quoted}")


@pytest.mark.parametrize("name", ["target-snowflake", "target-bigquery", "target-duckdb"])
def test_a_target_that_is_about_to_make_floats_is_warned_of_once(job: Job, name: str) -> None:
    """Before the first load of JSON numbers only: later, the columns have their types."""
    target = job.folder / name
    target.symlink_to("/bin/cat")
    command = shlex.quote(str(target))
    text = job.run(target=command, location=str(job.folder / "text"), decimals="singer")
    first, second = job.run(target=command), job.run(target=command)
    job.tap.select("addresses")
    none = job.run(target=command, location=str(job.folder / "none"))

    assert [run.returncode for run in (text, first, second, none)] == [0, 0, 0, 0], first.stderr
    says = f"WARNING {name} stores numbers such as messages.price as floats, whose sums are not exact: set decimals to"
    assert [run.stderr.count("floats") for run in (text, first, second, none)] == [0, 1, 0, 0]
    assert says in first.stderr


def test_arguments_of_the_tap_before_the_dashes_are_named_with_their_place(job: Job) -> None:
    """Exit code 2, and the line shows a command that works."""
    done = subprocess.run(
        [*COMMAND, "run-sync", "--target", "cat", "--state", ".", "--config", "c.json"],
        cwd=job.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert "unknown arguments: --config c.json. Put the tap's arguments after --" in line
    assert "--state . -- --config config.json" in line


def test_the_taps_config_must_follow_the_dashes(tmp_path: Path) -> None:
    """Without them, the tap would ask for a config in a place that run-sync does not read."""
    command = [*COMMAND, "run-sync", "--target", "cat", "--state", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pass the tap's --config after --, as in: tap-twilio run-sync --target" in done.stderr


def test_an_empty_state_is_warned_of_before_everything_is_read(job: Job) -> None:
    """A killed first sync may leave one; whoever lost a state learns why all rows come again."""
    job.run()
    (job.state_folder / "state.json").write_text("")
    done = job.run()

    assert done.returncode == 0
    assert "state.json: is empty, so everything is read again" in done.stderr


def test_a_second_sync_ends_at_once(job: Job) -> None:
    """It neither reads nor loads anything, and its exit code is no other's."""
    job.state_folder.mkdir()
    with (job.state_folder / "sync.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(job.command(), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (5, "")
    assert re.fullmatch(r"\S+ WARNING --state .*: the last sync still runs, so this one is skipped.\n", done.stderr)
    assert not job.tap.server.requests


def test_a_tap_that_finishes_in_part_keeps_its_state(job: Job) -> None:
    """Exit code 3, and the next sync goes on."""
    job.tap.twilio.script.add("broken", 10_000, "/Messages.json")
    in_part = job.run(retry_minutes=0.01)

    assert in_part.returncode == 3, in_part.stderr
    assert job.state is not None


@pytest.mark.long
def test_settings_that_the_tap_refuses_leave_the_state_alone(job: Job) -> None:
    """The exit code is the tap's."""
    job.run()
    before = job.state
    refused = job.run(page_size="many")

    assert refused.returncode == 1
    assert "page_size" in refused.stderr
    assert job.state == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target", "no-such-target", "--state", "."], "--target no-such-target: there is no such program"),
        (["--target", "'", "--state", "."], "--target ': No closing quotation"),
        (["--target", "", "--state", "."], "--target is empty"),
        (["--target", "cat", "--state", "/dev/null/x"], "--state /dev/null/x: no folder can be made there"),
        (["--target", "cat", "--state", ".", "--logs", "/dev/null/x"], "--logs /dev/null/x: cannot be written"),
        (["--target", "cat", "--state", "nowhere://x"], "--state nowhere://x: cannot be opened"),
        (["--target", "cat", "--state", "s3://"], "--state s3://: names no bucket, as s3://bucket/twilio does."),
        (["--target", "cat", "--state", ".", "--", "--state", "s.json"], "run-sync passes the state to the tap"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, options: list[str], says: str) -> None:
    """It names the option."""
    command = [*COMMAND, "run-sync", *options, "--", "--config", "config.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.partition(" ")[2].startswith(f"CRITICAL {says}")
    assert done.stderr.count("\n") == 1


def test_a_signal_ends_the_tap_first_and_the_target_may_finish(job: Job) -> None:
    """So nothing that was read is lost: the state covers what was stored."""
    job.tap.twilio.latency = (0.02, 0.0)
    process = job.start()
    assert process.stderr
    while len(job.tap.server.requests) < 8:
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()

    assert process.returncode == 143
    assert "tap-twilio ended with 143, the target with 0" in said
    with closing(sqlite3.connect(job.folder / "rows.db")) as database:
        (stored,) = database.execute("select count(*) from rows").fetchone()
    assert f"; {stored} rows sent; state saved" in said


def test_what_a_killed_run_sync_leaves_ends_by_itself_and_holds_the_lock_until_then(job: Job) -> None:
    """Also where Twilio answers nothing, so that the tap writes nothing and would not see its pipe closed."""
    job.tap.twilio.faults = {"hang": 1.0}
    process = job.start()
    while not job.tap.server.requests:
        assert process.poll() is None
    process.kill()
    process.communicate()  # until stderr is closed, which tap and target inherited
    job.outlast()


def test_a_tap_that_is_killed_in_the_middle_of_a_line_fails_no_target(tap_of: MakeTap, tmp_path: Path) -> None:
    """What came before that line is stored and confirmed."""
    twilio = Twilio(start="2025-01-01").at("2026-01-01")
    twilio.messages(500, body="x" * 1000, **LAST_YEAR)
    job = Job(tap_of(twilio), tmp_path / "job")
    job.orders("tap read 5")  # more than a pipe holds is on its way then
    done = job.run(page_size=500)

    assert done.returncode == 137
    assert "tap-twilio ended with 137, the target with 0" in done.stderr


@pytest.mark.parametrize("text", ['{"bookmarks": {"mess', *long("", "\n")])
def test_a_torn_state_has_everything_read_again(job: Job, text: str) -> None:
    """Nobody must come and mend it; what was there is set aside."""
    job.run()
    (job.state_folder / "state.json").write_text(text)
    done = job.run()

    assert done.returncode == 0, done.stderr
    assert "; 80 rows sent; state saved" in done.stderr
    assert ("holds no state" in done.stderr) == bool(text.strip())
    assert not text.strip() or (job.state_folder / "state.torn").read_text() == text


@pytest.mark.long
def test_the_state_may_lie_at_an_address(job: Job) -> None:
    """As in an object store; a second sync is refused there too, until the lock has run out."""
    store = job.folder / "store"
    location = f"local://{store}"
    nowhere = job.run(location=location)
    store.mkdir()
    first, second = job.run(location=location), job.run(location=location)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "; 0 rows sent; state saved" in second.stderr
    assert [path.name for path in store.iterdir()] == ["state.json"]

    lock = {"holder": "x", "host": "elsewhere", "process": 7, "until": 4e9}
    (store / "sync.lock").write_text(json.dumps(lock))
    refused = job.run(location=location)
    (store / "sync.lock").write_text(json.dumps({**lock, "until": 1}))
    (store / "state.json").write_text("{")
    again = job.run(location=location)

    assert nowhere.returncode == 1
    assert re.fullmatch(
        r"\S+ CRITICAL --state local://.*: sync.lock cannot be written: there is no such bucket or folder .*\n",
        nowhere.stderr,
    )
    assert refused.returncode == 5
    assert "a sync on elsewhere (process 7) still runs, or was killed" in refused.stderr
    assert again.returncode == 0, again.stderr
    assert "; 80 rows sent; state saved" in again.stderr
    assert job.wrong() == {}


# Targets of every kind ------------------------------------------------------------------------------------------------


def odd(job: Job, way: str) -> str:
    """The command line of a target with a way of its own."""
    return f"{sys.executable} -m testing.odd_target '{job.folder / 'rows.db'}' {shlex.quote(way)}"


@pytest.mark.parametrize("way", ["half", "none"])
def test_rows_that_a_target_swallowed_are_no_success(job: Job, way: str) -> None:
    """It took all and ended with 0; the exit code is 4, one line says how many, and the next sync sends them."""
    run = job.run(target=odd(job, way))
    missing = re.findall(
        r" ERROR the target ended with 0 .+: up to (\d+) rows may be missing\. The next sync", run.stderr
    )

    assert run.returncode == 4, run.stderr
    assert [int(rows) >= 50 for rows in missing] == [True]
    assert (job.state is None) == (way == "none")
    again = job.run()
    assert again.returncode == 0, again.stderr
    assert job.wrong() == {}


def test_rows_swallowed_by_a_later_sync_are_no_success_either(job: Job) -> None:
    """The state stays as it was."""
    job.run()
    before = job.state
    job.tap.twilio.messages(7, since="2025-12-31", until="2026-01-01")
    run = job.run(target=odd(job, "none"))

    assert (run.returncode, job.state) == (4, before)
    assert "up to 7 rows may be missing" in run.stderr
    assert (job.run().returncode, job.wrong()) == (0, {})


@pytest.mark.parametrize("way", ["anew", "added", "message"])
def test_a_state_may_come_in_the_form_that_the_target_likes(job: Job, way: str) -> None:
    """It is compared by what it says; the next sync goes on from it."""
    first, second = job.run(target=odd(job, way)), job.run(target=odd(job, way))

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "; 0 rows sent; state saved" in second.stderr
    assert job.wrong() == {}


@pytest.mark.long
@pytest.mark.parametrize("way", ["first", "none"])
def test_the_bookmark_moves_though_the_target_prints_no_last_state_of_a_run_without_rows(job: Job, way: str) -> None:
    """As pipelinewise-target-postgres: what no row stands behind needs no word of the target's."""
    job.run()
    for day in ("2026-01-02", "2026-01-03"):
        job.tap.twilio.at(day)
        before = job.state
        run = job.run(target=odd(job, way))

        assert run.returncode == 0, run.stderr
        for stream in STREAMS:
            moved = [state["bookmarks"][stream]["date_updated"] for state in (before, job.state)]
            assert moved[0] < moved[1]


NO_STATES = ["[]", "123", '"bookmarks"', "{}", '{"bookmarks": {}}', '{"bookmarks": 1}', '{"bookmarks": {"a": NaN}}']


@pytest.mark.long
def test_what_is_no_state_replaces_none(job: Job) -> None:
    """Nor does one that says nothing."""
    for line in ("[" * 300_000, "\n".join(NO_STATES), '{"type": "STATE"}'):
        if len(line) > 100_000:  # longer than a command line may be
            line = f"@{len(line)}"
        run = job.run(target=odd(job, line))
        assert run.returncode == 0, run.stderr
        assert run.stderr.count("the target printed a line that is no STATE") == 1
        assert job.state["bookmarks"].keys() == set(STREAMS)


@pytest.mark.parametrize("text", [NO_STATES[-1], *long(*NO_STATES[:-1], "[" * 300_000)], ids=lambda text: text[:30])
def test_a_kept_file_that_is_no_state_is_set_aside(job: Job, text: str) -> None:
    """So a sync never ends with 1 for ever, and never with a traceback."""
    job.state_folder.mkdir()
    (job.state_folder / "state.json").write_text(text)
    run = job.run("--summary-json", str(job.folder / "summary.json"))

    assert run.returncode == 0, run.stderr
    assert "holds no state" in run.stderr and (job.state_folder / "state.torn").read_text() == text
    assert job.wrong() == {}


def test_a_summary_has_the_bookmark_of_another_tap(job: Job) -> None:
    """Such as singer-io's, of a stream that is not selected: text, where ours is an object."""
    job.state_folder.mkdir()
    foreign = {"usage_records": "2025-06-01T00:00:00Z", "keys": {"date_updated": "2025-06-01T00:00:00Z"}}
    (job.state_folder / "state.json").write_text(json.dumps({"bookmarks": foreign}))
    run = job.run("--summary-json", str(job.folder / "summary.json"))

    assert run.returncode == 0, run.stderr
    bookmarks = json.loads((job.folder / "summary.json").read_text())["bookmarks"]
    assert [bookmarks[name] for name in foreign] == ["2025-06-01T00:00:00Z"] * 2


def test_a_line_without_an_end_costs_neither_the_sync_nor_the_memory(job: Job) -> None:
    """Two hundred megabytes; it is no STATE, and those around it are kept."""
    program = "import sys; [sys.stdout.write('x' * 1_000_000) for _ in range(200)]; print()"
    endless = f"sh -c '{sys.executable} -c \"{program}\"; exec {job.target.replace(chr(39), '')}'"
    wrapped = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
    wrapped += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    job.tap.offer()
    command = [sys.executable, "-c", wrapped, *job.command(target=endless)]
    run = subprocess.run(command, env=job.tap.environment(), capture_output=True, text=True, check=False, timeout=60)

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 300 * 1024
    assert job.state["bookmarks"].keys() == set(STREAMS)


@given(lines=st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line)), size=st.integers(1, 30))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    """All of them, in order, none in two parts."""
    text, whole = b"\n".join(lines), Lines()
    parts = [whole.take(text[at : at + size]) for at in range(0, len(text), size)]

    assert all(part.endswith(b"\n") for part in parts if part)
    assert b"".join(parts) + whole.rest() == text


def test_windows_is_told_so_in_one_line() -> None:
    """There is no fcntl; nothing else was tried."""
    program = "import sys; sys.modules['fcntl'] = None; from tap_twilio.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "run-sync", "--target", "cat", "--state", "."],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "run-sync does not run on Windows" in done.stderr


# Killed at any time --------------------------------------------------------------------------------------------------

KILLS = st.lists(
    st.one_of(
        st.builds("{} read {}".format, st.sampled_from(["tap", "target", "sync"]), st.integers(1, 110)),
        st.builds(
            "{} {} {}".format,
            st.sampled_from(["tap", "target", "sync"]),
            st.sampled_from(["stored", "confirming"]),
            st.integers(1, 4),
        ),
        st.just("a torn state"),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def folders() -> Iterator[Callable[[], Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


def arrives(folder: Path, kills: list[str]) -> None:
    """Each kill in a run of its own; between them Twilio goes on. A last run is left alone."""
    twilio = some_rows()
    with serve(twilio) as server:
        job = Job(Tap(server, folder / "tap"), folder / "job")
        for kill in kills:
            if kill == "a torn state":
                job.outlast()
                (job.state_folder / "state.json").write_text('{"bookmarks": {"me')
            else:
                job.orders(kill)
            job.run()
            assert job.state is None or job.state["bookmarks"]
            twilio.messages(3, since="2025-12-31", until="2026-01-01")
        (folder / "job/orders").unlink(missing_ok=True)  # of an event that never came
        last = job.run()

        assert last.returncode == 0, last.stderr
        assert job.wrong() == {}


@pytest.mark.long
def test_killed_syncs_arrive_at_the_same_warehouse(tmp_path: Path) -> None:
    """The target between two commits, run-sync after one, and the target in the middle of a STATE."""
    arrives(tmp_path, ["target read 40", "sync stored 1", "target read 25", "target confirming 1"])


@pytest.mark.long
@settings(max_examples=settings().max_examples // 6)
@given(kills=KILLS)
def test_whatever_is_killed_the_next_sync_arrives_at_the_same_warehouse(
    folders: Callable[[], Path], kills: list[str]
) -> None:
    """The tap, the target or run-sync, at any line, before and after a commit, and in the middle of a STATE."""
    arrives(folders(), kills)
