"""Answers: what becomes of Twilio's rows on their way to the target, however Twilio writes them."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

import pytest

import sandbox.server
from sandbox import Twilio
from sandbox.talk import Answer
from tests.taps import Tap

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
