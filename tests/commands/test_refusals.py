"""
Refusals: what the user has to mend, or Twilio does not allow, is one line that names it, and nothing is read.

Real runs, each with one thing wrong. None ends with a traceback, and none shows a secret.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio, serve
from tap_twilio.errors import TapError
from tap_twilio.settings import SCHEMA, settings_from
from tap_twilio.streams import STREAMS
from testing.taps import COMMAND, ROOT, Run, Tap, whole_lines

SECRET = "5ecre7" + "0" * 26
OTHER = "AC" + "f" * 32
AC = "AC" + "0" * 32
KEY = {"api_key_sid": "SK" + "0" * 32, "api_key_secret": SECRET}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serve(Twilio(seed=0, accounts=2)) as server:
        server.twilio.messages(3)
        yield server


@pytest.fixture
def tap(server: Any, tmp_path: Path) -> Tap:
    return Tap(server, tmp_path).select("messages")


def executed(command: list[str]) -> Run:
    """A run of any command, such as a shell's."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=20)
    return Run(done.returncode, whole_lines(done.stdout), done.stderr.decode())


def refused(run: Run, *says: str) -> None:
    """One line, which says these things; exit code 1, and no row."""
    lines = [
        line.split(" ", 1)[1]
        for line in run.log.splitlines()
        if not re.search(r" WARNING | INFO tap-twilio \S+ reads ", line)
    ]
    assert run.exit_code == 1 and len(lines) == 1 and lines[0].startswith("CRITICAL "), run.log
    assert not run.lines
    assert "Traceback" not in run.log and SECRET not in run.log
    for part in says:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"account_sid": None}, "Setting account_sid is missing"),
        ({"account_sid": SECRET}, "Setting account_sid is not an account SID"),
        ({"auth_token": None}, "No credentials: set auth_token"),
        ({"auth_token": "snöwman"}, "Setting auth_token is malformed"),
        ({"auth_token": 7}, "Setting auth_token must be of type string"),
        ({"api_key_sid": "SK" + "0" * 32}, "auth_token and api_key_sid are both given"),
        ({"auth_token": None, "api_key_sid": "SK" + "0" * 32}, "Setting api_key_secret is missing"),
        ({"auth_token": None, "api_key_secret": SECRET}, "Setting api_key_sid is missing"),
        ({"start_date": "yesterday"}, "Setting start_date is not a date"),
        ({"end_date": "2026-02-30"}, "Setting end_date is not a date"),
        ({"start_date": "2026-02-01", "end_date": "2026-01-31"}, "Setting end_date is not after start_date"),
        ({"subaccounts": []}, "Setting subaccounts is an empty list"),
        ({"subaccounts": ["AC1"]}, "Setting subaccounts is malformed"),
        ({"subaccounts": "AC1"}, "Setting subaccounts is malformed"),
        ({"subaccounts": "all"}, "Setting subaccounts must be of type boolean or array"),
        ({"subaccounts": ["!AC1"]}, "Setting subaccounts is malformed"),
        ({"subaccounts": [f"!{AC}", OTHER]}, "Setting subaccounts mixes SIDs"),
        ({"credentials": SECRET}, "Setting credentials must be of type object"),
        ({"credentials": {}}, "Setting credentials is empty"),
        ({"credentials": {SECRET: KEY}}, "Setting credentials has a name that is no account SID"),
        ({"credentials": {OTHER: SECRET}}, f"Setting credentials: {OTHER} needs api_key_sid and api_key_secret"),
        (
            {"credentials": {OTHER: {"api_key_sid": KEY["api_key_sid"]}}},
            f"{OTHER} needs api_key_sid and api_key_secret",
        ),
        ({"credentials": {OTHER: {**KEY, "auth_token": SECRET}}}, f"{OTHER} needs api_key_sid and api_key_secret"),
        ({"credentials": {OTHER: {**KEY, "api_key_sid": SECRET}}}, f"credentials: api_key_sid of {OTHER} is malformed"),
        ({"credentials": {OTHER: {**KEY, "api_key_secret": 7}}}, f"api_key_secret of {OTHER} is malformed"),
        ({"credentials": {AC: KEY}}, "Setting credentials has a key of account_sid, and another setting, too"),
        ({"credentials": {OTHER: KEY}, "auth_token": None}, "Setting credentials has no key of account_sid"),
        (
            {"credentials": {AC: KEY}, "auth_token": None, "subaccounts": [OTHER]},
            f"Setting credentials has no key of {OTHER}, which subaccounts names",
        ),
        ({"region": "../ie1"}, "Setting region is malformed"),
        ({"lookback_days": -1}, "Setting lookback_days must be at least 0"),
        ({"lookback_days": 1e300}, "Setting lookback_days must be at most 36500"),
        ({"lookback_days": "NaN"}, "Setting lookback_days must be of type number"),
        ({"concurrency": 0}, "Setting concurrency must be at least 1"),
        ({"page_size": 1001}, "Setting page_size must be at most 1000"),
        ({"page_size": 10.5}, "Setting page_size must be of type integer"),
        ({"request_timeout": 1e12}, "Setting request_timeout must be at most 3600"),
        ({"on_invalid": True}, "Setting on_invalid must be"),
        ({"user_agent": " x\r\nX-Evil: 1"}, "Setting user_agent is malformed"),
        ({"base_url": "http://proxy.example.com"}, "Setting base_url must use https"),
        ({"base_url": "http://127.0.0.1.example.com"}, "Setting base_url must use https"),
        ({"base_url": "https://:@proxy.example.com"}, "Setting base_url must be an origin"),
        ({"base_url": "https://proxy.example.com/api"}, "Setting base_url must be an origin"),
        ({"base_url": "https://a b"}, "Setting base_url must be an origin"),
        ({"base_url": "https://x:99999"}, "Setting base_url must be an origin"),
        ({"base_url": "ftp://127.0.0.1"}, "Setting base_url must use https"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named(change: dict[str, Any], says: str) -> None:
    """Whatever is missing or malformed: the message begins with its name, and holds no value of the file's."""
    raw = {"account_sid": AC, "auth_token": SECRET, **change}
    with pytest.raises(TapError) as error:
        settings_from({name: value for name, value in raw.items() if value is not None}, {})

    assert says in str(error.value) and SECRET not in str(error.value) and "\n" not in str(error.value)


def test_settings_come_from_twilios_own_variables_and_from_files_with_a_newline() -> None:
    """Credentials are taken from the environment as a whole; what surrounds a value is not part of it."""
    environment = {"TWILIO_ACCOUNT_SID": AC + "\n", "TWILIO_API_KEY": "SK" + "0" * 32, "TWILIO_API_SECRET": "s\n"}
    settings, warnings = settings_from({"page_size": "50", "subaccounts": "false\n", "color": 1}, environment)

    assert (settings.account_sid, settings.user, settings.password) == (AC, "SK" + "0" * 32, "s")
    assert (settings.page_size, settings.subaccounts) == (50, False)
    assert warnings == ["unknown setting 'color' in the config is ignored"]
    assert "s" not in repr(settings).partition("password")[1]


def test_the_old_names_of_settings_are_accepted_with_one_warning() -> None:
    """A present name wins over its old one."""
    raw = {"account_sid": AC, "auth_token": SECRET, "margin_hours": "3", "child_requests": 7, "sweep_pages": 9}
    settings, warnings = settings_from(raw, {})
    assert (settings.lateness_hours, settings.max_child_requests, settings.rescan_pages) == (3, 7, 9)
    assert len(warnings) == 1
    assert "margin_hours is called lateness_hours now, child_requests is called max_child_requests now" in warnings[0]
    assert settings_from({**raw, "rescan_pages": 11}, {})[0].rescan_pages == 11


def test_every_setting_with_a_number_has_a_bound_that_holds() -> None:
    """No number that the settings admit is one that clocks, sockets or memory do not bear."""
    for name, about in SCHEMA["properties"].items():
        if about["type"] in ("number", "integer") and name != "state_seconds":
            assert about["maximum"] <= (24 * 36500 if about["type"] == "number" else 10**9), name


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("--config", None, "No such file"),
        ("--config", "", "given.json: is empty. Recreate the file."),
        ("--config", f'{{"auth_token": "{SECRET}"', "not valid JSON (line 1)"),
        ("--config", '{"lookback_days": NaN}', "not valid JSON"),
        ("--config", "[" * 100_000, "not valid JSON"),
        ("--config", "[]", "must be a JSON object"),
        ("--state", None, "No such file"),
        ("--state", '{"bookmarks"', "not valid JSON"),
        ("--state", " \n", "given.json: is empty. Put a target's last STATE into it, or leave --state out"),
        ("--state", "[" * 300_000, "not valid JSON"),
        ("--state", "[]", "state is malformed"),
        ("--state", '{"messages": "2026-01-01T00:00:00Z"}', "malformed at its top: it holds no bookmarks"),
        ("--state", '{"singer_state": {"messages": 7}}', "malformed at its top: it holds no bookmarks"),
        ("--state", '{"completed": {}, "partial": {}}', "malformed at its top: it holds no bookmarks"),
        ("--state", '{"bookmarks": {"messages": 7}}', "bookmarks.messages"),
        ("--state", '{"bookmarks": {"messages": {"date_updated": "soon"}}}', "bookmarks.messages: it is not a date"),
        ("--state", '{"bookmarks": {"messages": {"accounts": {}}}}', "bookmarks.messages: it holds accounts"),
        ("--catalog", None, "No such file"),
        ("--catalog", "", "given.json: is empty. Recreate it: tap-twilio --discover > catalog.json."),
        ("--catalog", "streams:", "not valid JSON (line 1)"),
        ("--catalog", "[" * 300_000, "not valid JSON"),
        ("--catalog", '{"streams": {}}', "streams must be of type array"),
        ("--catalog", '{"streams": [{"tap_stream_id": "faxes", "schema": {"selected": true}}]}', "stream 'faxes'"),
    ],
    ids=range(23),
)
def test_a_file_that_cannot_be_read_is_named(tap: Tap, file: str, content: str | None, says: str) -> None:
    """Missing, no JSON, or not what it should be: one line, which never quotes the file; Twilio is not asked."""
    path = tap.folder / "given.json"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    run = tap.run(file, str(path))

    refused(run, says)
    assert not tap.requests


def test_files_may_begin_with_a_byte_order_mark(tap: Tap) -> None:
    """Windows' editors write one: config, catalog and state are read all the same."""
    run = tap.sync()
    command = tap.command()
    for path in map(Path, command[len(COMMAND) + 1 :: 2]):
        path.write_bytes(BOM_UTF8 + path.read_bytes())
    again = tap.start(command=command).wait()

    assert len(run.sids("messages")) == 3
    assert again.exit_code == 0 and again.sids("messages") == [], again.log  # so it knew what the state says


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--config"], ["x"], ["--conf", "x"]])
def test_wrong_arguments_are_exit_code_2(arguments: list[str]) -> None:
    """As of any command: what is wrong, and how it is used."""
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("usage: tap-twilio")


def test_without_a_config_it_says_which_argument_is_missing() -> None:
    """Exit code 1, and the name of the argument and of the sample."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 1 and "--config config.json (sample_config.json" in done.stderr


def test_wrong_credentials_end_the_run_at_the_first_answer(tap: Tap) -> None:
    """A 401 at the start is not asked again, and the line names the settings to check."""
    refused(tap.run(auth_token=SECRET), "account_sid and auth_token", "HTTP 401, code 20003")
    assert len(tap.requests) == 1


def test_wrong_credentials_for_accounts_that_are_named(tap: Tap) -> None:
    """The same without the list of accounts."""
    refused(tap.run(auth_token=SECRET, subaccounts=False), "account_sid and auth_token")
    refused(tap.run(auth_token=SECRET, subaccounts=[OTHER]), OTHER, "account_sid and auth_token")


@pytest.mark.parametrize("kind", ["main", "standard"])
def test_a_key_that_may_not_read_subaccounts_is_told_both_ways_out(tap: Tap, kind: Any) -> None:
    """A Standard key lists no accounts, and a Main key lists accounts that it may not read."""
    sid, secret = tap.twilio.add_key(kind=kind)
    run = tap.run(auth_token=None, api_key_sid=sid, api_key_secret=secret)

    refused(run, "API key", "subaccounts to false", "auth_token")
    assert secret not in run.log


def test_a_wrong_secret_is_not_taken_for_a_key_without_rights(tap: Tap) -> None:
    """Twilio refuses both in the same words; a second question tells them apart."""
    run = tap.run(auth_token=None, api_key_sid="SK" + "0" * 32, api_key_secret=SECRET)

    refused(run, "check api_key_sid and api_key_secret")


def test_test_credentials_are_named_as_such(tap_of: Callable[..., Tap]) -> None:
    """Twilio answers them with a code of its own."""
    refused(tap_of(Twilio(seed=0, test_credentials=True)).run(), "test credentials")


def test_a_config_that_others_can_read_is_warned_of(tap: Tap) -> None:
    """The run goes on: only its owner can say who the others are."""
    command = tap.command()
    Path(command[command.index("--config") + 1]).chmod(0o644)
    run = tap.start(command=command).wait()

    assert run.exit_code == 0
    assert [line for line in run.said if "others can read it: chmod 600" in line]


def test_an_unknown_setting_is_a_warning(tap: Tap) -> None:
    """Config files are shared with other taps; the value is not shown."""
    run = tap.run(password=SECRET)

    assert run.exit_code == 0 and SECRET not in run.log
    assert run.said[0].startswith("unknown setting 'password'")


def test_a_misspelt_credential_is_named_before_the_one_that_is_missing(tap: Tap) -> None:
    """The warning suggests the setting that was meant."""
    run = tap.run(auth_token=None, auth_tokn=SECRET)

    assert run.exit_code == 1 and SECRET not in run.log
    assert run.said[0] == "unknown setting 'auth_tokn' in the config is ignored: did you mean auth_token?"
    assert run.said[1].startswith("No credentials")


@pytest.mark.parametrize(("word", "meant"), [("sync", "run-sync"), ("check", "--check")])
def test_a_word_that_is_no_command_is_answered_with_the_command(word: str, meant: str) -> None:
    """Other tools have commands of these names."""
    done = subprocess.run([*COMMAND, word], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert f"there is no command {word}: use {meant}" in done.stderr


def test_a_region_without_a_known_edge_is_refused_before_anything_is_asked(tap: Tap) -> None:
    """Guessing a host would send credentials there."""
    refused(tap.run(base_url=None, region="us2"), "Setting edge is missing")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}, "REQUESTS_CA_BUNDLE names no file"),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "ftp://proxy.example.com"}, "proxy in the environment (HTTPS_PROXY, ALL_PROXY) cannot be"),
        ({"ALL_PROXY": "http://someone:a-password@host:badport"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://host:99999"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "host:badport"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://:3128"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://a b:3128"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "://"}, "proxy in the environment"),
        ({"HTTPS_PROXY": f"http://{'x' * 70}:3128"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://[::1"}, "proxy in the environment"),
        ({"HTTPS_PROXY": "http://\u00e9.\u00e9..:1"}, "proxy in the environment"),
    ],
    ids=str,
)
def test_an_environment_that_cannot_work_is_refused_at_once(tap: Tap, environment: dict[str, str], says: str) -> None:
    """What no waiting mends is not asked again for retry_minutes."""
    run = tap.run(env=environment, base_url="https://127.0.0.1:9")

    refused(run, says)
    assert not [value for value in environment.values() if "PROXY" in says and value in run.log]
    assert "a-password" not in run.log


def test_a_proxy_that_is_not_used_may_be_anything(tap: Tap) -> None:
    """NO_PROXY names the host: what stands in HTTPS_PROXY is never looked at."""
    environment = {"HTTPS_PROXY": "ftp://proxy.example.com", "NO_PROXY": "127.0.0.1"}
    run = tap.run(env=environment, base_url="https://127.0.0.1:9", retry_minutes=0)

    assert run.exit_code == 1 and "cannot connect to 127.0.0.1:9 (connection refused)" in run.log


@pytest.mark.parametrize("level", ["NONSENSE", "", "15"])
def test_any_log_level_is_taken(tap: Tap, level: str) -> None:
    """One that does not exist is a warning, not the end."""
    run = tap.run(env={"LOGLEVEL": level})

    assert run.exit_code == 0
    assert ("LOGLEVEL is not DEBUG" in run.log) == (level == "NONSENSE")


def test_an_error_of_the_taps_own_is_one_line(tap: Tap) -> None:
    """Where it happened, and nothing else: a traceback could hold a secret."""
    code = (
        "import sys, tap_twilio.run.sync, tap_twilio.cli\n"
        f"def broken(self): raise RuntimeError('{SECRET}')\n"
        "tap_twilio.run.sync.Sync.run = broken\n"
        "tap_twilio.cli.main()"
    )

    refused(
        executed([sys.executable, "-c", code, *tap.command()[len(COMMAND) :]]),
        "Internal error (RuntimeError at <string>:2)",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--discover"], []], ids=["discovery", "sync"])
def test_a_full_disk_is_one_line(tap: Tap, arguments: list[str]) -> None:
    """Stdout takes no more: said once, and exit code 1."""
    with Path("/dev/full").open("wb") as full:
        run = tap.start(*arguments, stdout=full).wait()

    refused(run, "stdout: No space left on device", "run again from the last STATE")


@pytest.mark.parametrize("arguments", [["--discover"], []], ids=["discovery", "sync"])
def test_a_target_that_died_ends_the_tap_quietly(tap: Tap, arguments: list[str]) -> None:
    """The target has said why; the tap adds nothing, and does not claim success."""
    read, write = os.pipe()
    os.close(read)
    run = tap.start(*arguments, stdout=write).wait()
    os.close(write)

    assert (run.exit_code, run.said) == (1, [])


def test_a_closed_stdout_is_refused(tap: Tap) -> None:
    """Else the next connection to Twilio would get its number, and the rows."""
    refused(executed(["sh", "-c", 'exec "$@" >&-', "sh", *tap.command()]), "stdout is closed")


def test_a_closed_stderr_changes_nothing(tap: Tap) -> None:
    """No line of the log is worth ending for, and none reaches the target."""
    run = executed(["sh", "-c", 'exec "$@" 2>&-', "sh", *tap.command()])

    assert run.exit_code == 0 and len(run.sids("messages")) == 3


def test_products_that_an_account_lacks_cost_a_request_each(tap_of: Callable[..., Tap]) -> None:
    """All streams, of an account and two subaccounts: each sync asks each list at the top once, and ends with 0."""
    twilio = Twilio(seed=1, start="2025-06-01", accounts=3).at("2026-01-20T00:00:00Z")
    twilio.absent_products = {stream.product.host: 404 for stream in STREAMS if stream.product.host != "api"}
    tops = [stream for stream in STREAMS if stream.product.host != "api" and not stream.parent]
    tap = tap_of(twilio)
    tap.settings["base_url"] += "/{product}"
    tap.select(*(stream.name for stream in STREAMS))
    scores = 5  # lists of Voice Insights, which call_feedback asks beside
    for _ in range(2):
        run = tap.run()
        assert run.exit_code == 0, run.log[-2000:]
        tap.state = run.states[-1]
        asked = [request.path for request in tap.requests if not request.path.startswith("/2010-04-01")]
        assert len(tops) < len(asked) <= 3 * (len(tops) + scores)
        assert len([line for line in run.said if "(HTTP 404, code 20404)" in line]) == len(
            {one.product.host for one in tops}
        )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("mesages", "--refresh mesages: there is no such stream"),
        ("", "--refresh : there is no such stream"),
        ("calls", "--refresh calls: calls is not selected"),
        (OTHER, f"--refresh {OTHER}: is not an account that this sync reads"),
        (f"{AC}:2026-03-01", "an account takes no days"),
        ("messages:", "'' is not a day"),
        ("messages:2026-02-30..2026-03-01", "'2026-02-30' is not a day"),
        ("messages:2026-03-01..", "has no last day"),
        ("messages:..2026-03-01", "has no first day"),
        ("messages:..", "has no first day"),
        ("messages:2026-03-02..2026-03-01", "the last day is before the first"),
        ("messages:2026-03-01T00:00:00Z..2026-03-02", "is not a day"),
        ("account_balance:2026-03-01", "the rows of account_balance have no date"),
    ],
)
def test_refresh_names_what_it_does_not_take(tap: Tap, rows: str, says: str) -> None:
    tap.select("messages", "account_balance")
    refused(tap.run("--refresh", rows), says)


def test_refresh_needs_a_sync(tap: Tap) -> None:
    refused(tap.run("--refresh", "messages", "--check"), "--refresh needs a sync, and --check is none")
