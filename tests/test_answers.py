"""Answers: what becomes of Twilio's rows on their way to the target, however Twilio writes them."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.talk import Answer
from tests.taps import SIX, Run, Tap

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

    assert tap.wrong(("messages",)) == {} and "asking again" not in run.log


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
