"""
Fuzzing: whatever Twilio answers and whatever the user's files hold, the tap ends with one line, or goes on rightly.

Most of it runs in this process, through the same functions that a run calls; a sample goes through whole processes.
What may never be seen: an exception that is not the tap's own, a secret, a message of two lines, a row less.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sandbox.server
from sandbox import Twilio
from sandbox.messages import Answer as Reply
from tap_twilio.errors import InvalidRecord, Retry, TapError
from tap_twilio.extract.budget import Budget
from tap_twilio.extract.strategy import sync
from tap_twilio.run.accounts import Account
from tap_twilio.run.plan import RunPlan
from tap_twilio.settings import SCHEMA, Settings, settings_from
from tap_twilio.singer.catalog import Selected, discover, load_schema, selected_streams
from tap_twilio.singer.records import Recorder
from tap_twilio.state.store import FORMAT, State
from tap_twilio.streams import BY_NAME, STREAMS
from tap_twilio.twilio.client import _parse_date, _parse_error, _parse_retry_after
from tap_twilio.twilio.request import Fetch
from tap_twilio.twilio.response import Answer, parse, read_page
from tap_twilio.twilio.server_clock import Clock
from testing.taps import COMMAND, LISTED, ROOT, Tap

AC = "AC" + "0" * 32
SECRET = "5ecre7" + "0" * 26
NOW = "2026-03-01T09:00:00.000000Z"
ORIGIN = "https://api.twilio.com"
ASK = Fetch(AC, "/page", "messages")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", NOW, SECRET, AC, "~", "/", "1e999"])
)


def json_of(*names: str) -> st.SearchStrategy[Any]:
    """Any JSON whose objects often have these members, so that it comes close to what is expected."""
    keys = st.sampled_from(names) | st.text(max_size=8)
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=20,
    )


def one_line(error: Exception) -> None:
    text = str(error)
    assert text and len(text) < 1000
    assert SECRET not in text


# Answers --------------------------------------------------------------------------------------------------------------

BODIES = json_of("messages", "sid", "next_page_uri", "meta", "next_page_url", "code", "message", "status")


@given(BODIES, st.booleans())
@example({"messages": [{"sid": "SM1"}], "next_page_uri": "http://[::1"}, False)
def test_any_json_is_a_page_or_asked_for_again(body: Any, single: bool) -> None:
    """A page is taken only with all of its rows and a next page on the same host."""
    ask = Fetch(AC, "/page", None) if single else ASK
    try:
        clock = Clock()
        clock.now = NOW
        page = read_page(ask, Answer(json.dumps(body).encode(), None, NOW), ORIGIN, clock)
    except Retry as error:
        one_line(error)
        return
    assert page.next_uri is None or (page.next_uri.startswith("/") and not page.next_uri.startswith("//"))
    assert len(page.rows) == (1 if single else len(body["messages"]))
    assert page.twilio_time == NOW


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b'{"messages": [], "next_page_uri": null} {}')
def test_any_bytes_are_a_page_or_asked_for_again(body: bytes) -> None:
    """Whatever the wire brings, and whatever it calls it."""
    for encoding in (None, "gzip"):
        with pytest.raises(Retry):
            read_page(ASK, Answer(body, None, NOW, encoding), ORIGIN, Clock())
    _, said = _parse_error(Answer(body, None, NOW))
    assert said.isprintable() and len(said) <= 200


@given(json_of("code", "message", "status"))
def test_any_json_is_an_explanation_or_none(body: Any) -> None:
    """Of a refusal, a code and one printable line are all that is kept."""
    code, said = _parse_error(Answer(json.dumps(body).encode(), None, NOW))
    assert code is None or 0 <= code < 1_000_000
    assert said.isprintable() and len(said) <= 200


@given(
    st.text(max_size=40)
    | st.floats().map(str)
    | st.datetimes(timezones=st.timezones()).map(lambda at: f"{at:%a, %d %b %Y %H:%M:%S %z}")
)
@example("Fri, 31 Dec 9999 23:59:59 -0100")
@example("Mon, 01 Jan 0001 00:00:00 +1200")
def test_any_header_is_a_date_or_none(value: str) -> None:
    """A Date and a Retry-After that mean nothing are as good as absent."""
    date, wait = _parse_date(value), _parse_retry_after(value)
    assert date is None or len(date) == len(NOW)
    assert wait is None or wait >= 0


RECORDS = {
    stream.name: Recorder(Selected(stream, {}, frozenset(load_schema(stream.name)["properties"]), False), "fail")
    for stream in STREAMS
}


@given(st.data(), st.sampled_from(sorted(RECORDS)))
def test_any_row_is_written_whole_or_refused(data: st.DataObject, stream: str) -> None:
    """A row becomes one line that holds its key and nothing that its schema does not have, or fails its partition."""
    names = list(load_schema(stream)["properties"])
    row = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), json_of("a"), max_size=6))
    token = SECRET[::-1]  # no constant, since Hypothesis draws those of this module
    key = BY_NAME[stream].key[0]
    row |= dict.fromkeys(BY_NAME[stream].key, "2026-01-31")
    row[key] = data.draw(st.just("SM1") | SCALARS.filter(lambda sid: sid != SECRET))
    row = (
        parse(json.dumps({**row, "auth_token": token}, allow_nan=False, default=str).encode())
        if _finite(row)
        else {key: None}
    )
    try:
        line = RECORDS[stream].lines(RECORDS[stream].records([row]), (NOW, NOW))
    except InvalidRecord as error:
        one_line(error)
        return
    record = orjson.loads(line)["record"]
    assert line.count(b"\n") == 1 and token.encode() not in line
    assert record[key] == row[key] and record.keys() <= {*names}


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


# Files ----------------------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])) | st.text(max_size=8), json_of("a"), max_size=6),
    st.dictionaries(
        st.sampled_from([about["env"] for about in SCHEMA["properties"].values() if "env" in about]),
        st.text(max_size=40),
        max_size=3,
    ),
    st.booleans(),
)
def test_any_config_is_settings_or_one_line(raw: dict[str, Any], environ: dict[str, str], whole: bool) -> None:
    """Settings are in their bounds; a refusal begins with what to mend, and no value of the file's is in it."""
    raw = {**({"account_sid": AC, "auth_token": SECRET} if whole else {}), **raw}
    try:
        found, warnings = settings_from(raw, environ)
    except TapError as error:
        one_line(error)
        return
    assert isinstance(found, Settings) and SECRET not in repr(found) + "".join(warnings)
    assert 1 <= found.page_size <= 1000 and 1 <= found.request_timeout <= 3600
    assert found.base_url is None or found.base_url.startswith(("https://", "http://"))


@given(json_of("account_sid", "auth_token", "subaccounts"))
def test_any_json_is_a_config_or_one_line(raw: Any) -> None:
    """Also what is no object."""
    with pytest.raises(TapError) as error:
        settings_from(raw, {})
    one_line(error.value)


CATALOGS = json_of(
    "streams", "tap_stream_id", "schema", "metadata", "breadcrumb", "selected", "inclusion", "properties", "messages"
)


@given(CATALOGS | st.fixed_dictionaries({"streams": st.lists(CATALOGS, max_size=3)}))
def test_any_json_is_a_catalog_or_one_line(catalog: Any) -> None:
    """What is selected is a stream that the tap has, with its key."""
    try:
        chosen = selected_streams(catalog)
    except TapError as error:
        one_line(error)
        return
    assert all(one.stream in STREAMS and "sid" in one.properties for one in chosen)


@given(st.data())
def test_any_change_of_a_catalog_is_taken_or_one_line(data: st.DataObject) -> None:
    """What discovery printed, with anything in the place of one of its values."""
    catalog = json.loads(json.dumps(discover()))
    _spoil(catalog, data, json_of("selected", "inclusion"))
    try:
        selected_streams(catalog)
    except TapError as error:
        one_line(error)


def _spoil(value: Any, data: st.DataObject, by: st.SearchStrategy[Any]) -> None:
    """Put something else in one place of a JSON value."""
    while True:
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[key], (dict, list)) or not value[key] or data.draw(st.booleans()):
            value[key] = data.draw(by)
            return
        value = value[key]


def a_state() -> Any:
    """A state with everything in it that one can hold."""
    place = {
        "page": "/2010-04-01/Accounts/x/Messages.json?PageToken=PA1",
        "rows": [["SM1", None], ["SM2", NOW]],
        "agreed": [],
        "cut": "SM1",
    }
    earlier = "2026-02-01T00:00:00.000000Z"
    one = {
        "date_updated": earlier,
        "lookback_done_at": earlier,
        "start_date": "",
        "resend_created_before": "~",
        "resend_listed_before": earlier,
        "finished_at": earlier,
        "rescanned_at": earlier,
        "pages": 4,
        "selection": "0",
        "rescan": {"began": earlier, "streams": ["messages"], "list_index": 0, "pages": 2, "checkpoint": place},
        "full": {"version": 3, "began": earlier, "streams": ["messages"], "list_index": 0, "checkpoint": place},
    }
    slices = [{"since": earlier, "until": NOW, "checkpoint": place}]
    other = {
        "backfill": {
            "began": earlier,
            "streams": ["messages"],
            "list_index": 0,
            "time_slices": slices,
            "resend_listed_before": earlier,
        }
    }
    partitions = [[[AC], one], [["AC" + "1" * 32], other]]
    state = State(
        {"format": FORMAT, "bookmarks": {"messages": {"partitions": partitions, "selections": {"0": ["sid"]}}}}
    )
    state.stream("messages")
    return state.dump({})


STATES = json_of(
    "bookmarks", "messages", "partitions", "accounts", "date_updated", "rescan", "began", "list_index", "checkpoint", AC
)


@given(st.data(), st.booleans())
def test_any_state_is_taken_or_one_line(data: st.DataObject, spoiled: bool) -> None:
    """What a run does with a state before it asks Twilio anything, and the first request that it then makes."""
    value = a_state()
    value = value if spoiled else data.draw(STATES)
    if spoiled:
        _spoil(value, data, STATES)
    try:
        state = State(value)
        mine = state.partition("messages", AC)
    except TapError as error:
        one_line(error)
        return
    stream = next(one for one in STREAMS if one.name == "messages")
    run_plan = RunPlan(
        Settings(AC, AC, SECRET), state, frozenset({"messages"}), NOW, lambda: NOW, {"messages": orjson.dumps}
    )
    reading = run_plan.partition_read(stream, Account(AC), Budget(5))
    reading.reconcile()
    json.dumps(state.dump({"messages": [AC]}))
    if mine.backfill or mine.date_updated:
        first = next(sync(reading))
        assert isinstance(first, (Fetch, list))


# Whole processes ------------------------------------------------------------------------------------------------------


def ended_well(done: Any) -> None:
    """An exit code of ours; each line of the log has its time and its level; no traceback and no secret."""
    assert done.returncode in (0, 1, 3), done.stderr
    assert all(line.split(" ")[1] in ("INFO", "WARNING", "ERROR", "CRITICAL") for line in done.stderr.splitlines())
    assert SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert "of the tap's own" not in done.stderr, done.stderr
    for line in done.stdout.splitlines():
        assert json.loads(line)["type"] in ("SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION")


@settings(max_examples=settings().max_examples // 4)
@given(config=json_of("auth_token", "account_sid"), catalog=CATALOGS, state=STATES, which=st.integers(0, 3))
def test_any_files_end_a_process_with_one_line(
    tmp_path_factory: pytest.TempPathFactory, config: Any, catalog: Any, state: Any, which: int
) -> None:
    """Through the real command: one file is random and the others are right, or all are random."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    good = {"account_sid": AC, "auth_token": SECRET, "base_url": "http://127.0.0.1:9", "retry_minutes": 0}
    files = {
        "config": config if which in (0, 3) else good,
        "catalog": catalog if which in (1, 3) else discover(),
        "state": state if which in (2, 3) else {},
    }
    command = [*COMMAND]
    for name, content in files.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(json.dumps(content))
        command += [f"--{name}", str(folder / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)

    ended_well(done)
    assert done.returncode == 1 and done.stderr.count("CRITICAL") == 1


def test_random_answers_lose_no_row(tap_of: Callable[..., Tap], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers of five are random JSON: the run ends well only with every row, and the next one mends the rest."""
    twilio = Twilio(seed=9)
    for stream in ("messages", "calls", "transcriptions"):
        twilio.bulk(stream, 200, "2026-01-02T00:00:00Z", "2026-01-20T00:00:00Z")
    twilio.conferences(5)
    twilio.addresses(5)
    twilio.at("2026-02-01T00:00:00Z")
    original, count = sandbox.server.answer, iter(range(10**6))
    odd = _random_bodies()

    def answer(twilio: Any, question: Any, fault: str = "") -> Reply:
        number = next(count)
        return Reply(200, odd[number % len(odd)]) if number % 5 in (1, 3) else original(twilio, question, fault)

    monkeypatch.setattr(sandbox.server, "answer", answer)
    tap = tap_of(twilio, page_size=20)
    run = tap.sync(env={"LOGLEVEL": "DEBUG"})

    assert tap.wrong() == {}
    assert "Traceback" not in run.log and twilio.auth_token not in run.log
    assert all(run.sids(stream) for stream in LISTED)


def _random_bodies() -> list[bytes]:
    """Bodies of the kinds that `BODIES` draws; none is a page."""
    values: list[Any] = [
        *(None, 1, [], {}, "x", {"messages": None}, {"messages": [[]]}, {"messages": []}),
        *({"messages": [], "next_page_uri": "//evil"}, {"meta": {}}, {"code": 1}, {"sid": 1}, [[[]]]),
    ]
    return [json.dumps(value).encode() for value in values] + [b"", b"<html>", b"{", b"\xff", b"[" * 9999]
