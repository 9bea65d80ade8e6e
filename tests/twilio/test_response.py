"""Answers: what becomes of Twilio's rows on their way to the target, however Twilio writes them."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.messages import Answer
from testing.taps import SIX, Run, Tap

MakeTap = Callable[..., Tap]
Rewrite = Callable[[Callable[[bytes], bytes]], None]


@pytest.fixture
def rewrite(monkeypatch: pytest.MonkeyPatch) -> Rewrite:
    """Lets a function change the bytes of every answer."""
    original = sandbox.server.answer

    def install(change: Callable[[bytes], bytes]) -> None:
        def answer(twilio: Any, question: Any, fault: str = "") -> Answer:
            reply = original(twilio, question, fault)
            reply.body = change(reply.body)
            return reply

        monkeypatch.setattr(sandbox.server, "answer", answer)

    return install


def messages(*bodies: str) -> Twilio:
    twilio = Twilio(seed=0)
    for body in bodies:
        twilio.messages(1, body=body)
    return twilio


# Form -----------------------------------------------------------------------------------------------------------------


def test_answers_that_begin_with_a_byte_order_mark_are_read(tap_of: MakeTap, rewrite: Rewrite) -> None:
    """Some proxies put one there: every row arrives, and no answer is asked for again."""
    rewrite(lambda body: BOM_UTF8 + body)
    tap = tap_of(messages("Hi", "a\0b", "Bye")).select("messages")
    run = tap.sync()

    assert tap.wrong(("messages",)) == {} and "retrying" not in run.log


def test_a_refusal_that_begins_with_a_byte_order_mark_is_understood(tap_of: MakeTap, rewrite: Rewrite) -> None:
    """Twilio's code is read, and named."""
    rewrite(lambda body: BOM_UTF8 + body)

    assert "code 20003" in tap_of(Twilio(seed=0)).run(auth_token="0" * 32).log


# One shape a table ----------------------------------------------------------------------------------------------------


def shapes(run: Run, stream: str) -> set[tuple[str, ...]]:
    """The names of a record's properties, in order, for all records of a stream."""
    return {tuple(record) for record in run.records(stream)}


@pytest.mark.parametrize("without", [(), ("body", "from", "issues", "received_at")], ids=["all", "some"])
def test_all_records_of_a_table_have_the_columns_of_its_schema_in_order(
    tap_of: MakeTap, without: tuple[str, ...]
) -> None:
    """Targets that load by position put no value into another column, whichever source a rating comes from."""
    twilio = Twilio(seed=4)
    twilio.at("2026-03-01T13:00:00Z")
    for make in (twilio.messages, twilio.conferences, twilio.transcriptions, twilio.addresses):
        make(3)
    annotated, rated = twilio.calls(2)
    twilio.annotate(annotated, call_score=2, comment="crackling")
    twilio.feedback(rated, 4, ["echo"])
    run = tap_of(twilio).select(*SIX, without=without).sync()

    assert {row["source"] for row in run.records("call_feedback")} == {"feedback", "insights"}
    for stream in SIX:
        (schema,) = run.messages("SCHEMA", stream)
        assert shapes(run, stream) == {tuple(schema["schema"]["properties"])}


def test_what_twilio_leaves_out_of_a_row_is_null(tap_of: MakeTap, rewrite: Rewrite) -> None:
    """A column is never left out for a single row; a property that Twilio adds does not move the others."""

    def change(body: bytes) -> bytes:
        answer = json.loads(body)
        for number, row in enumerate(answer.get("messages", [])):
            if number % 2:
                answer["messages"][number] = {"mood": 1, "date_updated": row["date_updated"], "sid": row["sid"]}
        return json.dumps(answer).encode()

    rewrite(change)
    run = tap_of(messages("a", "b", "c", "d")).select("messages").sync()
    (schema,) = run.messages("SCHEMA", "messages")
    short = [row for row in run.records("messages") if row["body"] is None]

    assert shapes(run, "messages") == {tuple(schema["schema"]["properties"])}
    assert len(short) == 2
    for row in short:
        assert {name for name, value in row.items() if value is not None} == {"sid", "date_updated", "received_at"}
    assert "messages: properties not in the schema, dropped: mood (2 rows)" in run.said


# What no database stores ----------------------------------------------------------------------------------------------


REPLACED = "replaced invalid characters (NUL, lone surrogates) by U+FFFD in"


def replaced(run: Run) -> list[str]:
    return [line for line in run.said if "U+FFFD" in line]


def test_what_no_database_stores_is_counted_by_table_and_property(tap_of: MakeTap) -> None:
    """NUL characters and lone surrogates arrive as U+FFFD; the log says in how many values, and of which column."""
    twilio = messages("a\0\0b", "fine", "\ud83dhalf", "\ufffd")
    twilio.messages(1, body="\0", subresource_uris={"media": "/x\0"})
    twilio.addresses(1, street="Main\0 St")
    tap = tap_of(twilio).select("messages", "addresses")
    run = tap.sync()

    assert tap.wrong(("messages", "addresses")) == {}
    assert sorted(row["body"] for row in run.records("messages")) == sorted(
        ["a\ufffd\ufffdb", "fine", "\ufffdhalf", "\ufffd", "\ufffd"]
    )
    assert replaced(run) == [
        f"addresses: {REPLACED} street (1 values)",
        f"messages: {REPLACED} body (3 values), subresource_uris (1 values)",
    ]


def test_ratings_are_counted_too(tap_of: MakeTap) -> None:
    """Of both sources, though their rows are put together from parts."""
    twilio = Twilio(seed=4)
    twilio.at("2026-03-01T13:00:00Z")
    rated, annotated = twilio.calls(2)
    twilio.feedback(rated, 2, ["echo\0"])
    twilio.annotate(annotated, call_score=1, comment="\0")
    run = tap_of(twilio).select("call_feedback").sync()

    assert len(run.sids("call_feedback")) == 2
    assert replaced(run) == [f"call_feedback: {REPLACED} comment (1 values), issues (1 values)"]


def test_nothing_is_said_of_values_that_are_not_written(tap_of: MakeTap) -> None:
    """Of a column that is not selected, and of an old row that is read again and not sent again."""
    twilio = messages("a\0b")
    tap = tap_of(twilio).select("messages", without=("body",))
    first = tap.sync()
    assert len(first.sids()) == 1 and replaced(first) == []

    tap = tap_of(twilio).select("messages")
    assert len(replaced(tap.sync())) == 1
    for _ in range(2):  # a row is fresh for six hours, and sent again
        twilio.advance(hours=24, busy=0)
        again = tap.sync()
    assert again.sids() == [] and replaced(again) == []


def test_a_value_that_is_no_number_does_not_become_one(tap_of: MakeTap) -> None:
    """A NUL where a number or a date belongs is a value that does not fit, as ever."""
    twilio = messages("Hi")
    (sid,) = twilio.messages(1)
    twilio.rows[sid].data["num_segments"] = "1\0"
    run = tap_of(twilio, on_invalid="null").select("messages").sync()

    assert sorted(str(row["num_segments"]) for row in run.records("messages")) == ["1", "None"]
    assert replaced(run) == []


def test_a_sid_with_such_characters_is_no_row(tap_of: MakeTap, rewrite: Rewrite) -> None:
    """It would become the key of another row: the answer is asked for again, for as long as retry_minutes allows."""
    rewrite(lambda body: body.replace(b'"sid": "SM', b'"sid": "\\u0000SM').replace(b'"sid":"SM', b'"sid":"\\u0000SM'))
    run = tap_of(messages("Hi")).select("messages").sync(exits=3, retry_minutes=0)

    assert run.sids() == [] and "has no rows in 'messages'" in run.log
