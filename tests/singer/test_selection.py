"""Selection on the command line, and what the tap says of itself; through the command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio.settings import SCHEMA
from tap_twilio.singer.catalog import selected_streams
from tap_twilio.streams import STREAMS
from testing.project import PYTHONS
from testing.taps import COMMAND, ROOT, Run, Tap, properties

MakeTap = Callable[..., Tap]


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tap(tap_of: MakeTap) -> Tap:
    twilio = Twilio(seed=3, start="2026-01-01").at("2026-01-05T00:00:00Z")
    twilio.messages(3)
    twilio.calls(2)
    twilio.add("studio_flows", n=2)
    tap = tap_of(twilio)
    tap.settings["base_url"] += "/{product}"
    tap.catalog = None
    return tap


def columns(run: Run) -> dict[str, list[str]]:
    """The properties of each table's SCHEMA message."""
    assert run.exit_code == 0, run.log
    return {message["stream"]: list(message["schema"]["properties"]) for message in run.messages("SCHEMA")}


@pytest.mark.parametrize(
    ("words", "streams"),
    [
        ("messages", ["messages"]),
        ("messages,calls", ["calls", "messages"]),
        ("studio_flow*, messages", ["messages", "studio_flow_revisions", "studio_flows"]),
        ("studio_*,!*_revisions,!studio_executi*", ["studio_flows"]),
        ("!studio_flow_*,studio_flow*", ["studio_flows"]),
        ("!c*,!transcriptions", ["addresses", "messages"]),
    ],
)
def test_streams_are_selected_by_name_and_pattern(tap: Tap, words: str, streams: list[str]) -> None:
    """Those and no others, with all properties but secrets."""
    found = columns(tap.run("--select", words))
    assert sorted(found) == streams
    assert all(names == list(properties(stream)) for stream, names in found.items())


def test_properties_are_taken_away_or_named(tap: Tap) -> None:
    """Named ones come with the key and the replication key alone."""
    found = columns(tap.run("--select", "messages.!body,messages.!*_uris,calls.status,calls.to*"))
    assert set(properties("messages")) - set(found["messages"]) == {"body", "subresource_uris"}
    assert set(found["calls"]) == {"sid", "date_updated", "status", "to", "to_formatted"}


@pytest.mark.parametrize("words", ["messages.!body", "messages,!messages.body", "!*.bod?,calls,messages"])
def test_what_is_taken_away_stays_away_wherever_it_stands(tap: Tap, words: str) -> None:
    """Of a stream that is selected, the mark may stand before either name: Meltano has it before the stream's."""
    found = columns(tap.run("--select", words))
    assert set(properties("messages")) - set(found.pop("messages")) == {"body"}
    assert all(names == list(properties(stream)) for stream, names in found.items())


def test_what_is_only_taken_away_leaves_the_default(tap: Tap) -> None:
    """All else that a sync without a selection reads."""
    found = columns(tap.run("--select", "!messages.body,!c*"))
    assert sorted(found) == ["addresses", "messages", "transcriptions"] and "body" not in found["messages"]


def test_a_secret_is_selected_by_its_name(tap: Tap) -> None:
    """And not with its stream, nor by a pattern."""
    for words in ("serverless_variables", "serverless_variables.*", "serverless_*.*"):
        assert "value" not in columns(tap.run("--select", words))["serverless_variables"]
    named = columns(tap.run("--select", "serverless_variables.value,serverless_variables.key"))
    assert {"value", "key"} <= set(named["serverless_variables"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("mesages", "--select: there is no stream 'mesages': did you mean messages"),
        ("messages.bdy", "--select: messages has no property 'bdy'"),
        ("messages,!messages.bdy", "--select: messages has no property 'bdy'"),
        (" , ", "--select names no stream"),
    ],
)
def test_a_selection_of_what_is_not_there_is_one_line(tap: Tap, words: str, says: str) -> None:
    """It says what may have been meant, and nothing is read."""
    run = tap.run("--select", words)
    assert (run.exit_code, run.lines) == (1, [])
    assert says in run.log and run.log.count("\n") == 1


def test_a_catalog_and_a_selection_are_refused_together(tap: Tap) -> None:
    """Neither decides over the other."""
    tap.select("messages")
    run = tap.run("--select", "calls")
    assert run.exit_code == 1 and "leave one of them out" in run.log


def test_discovery_prints_the_catalog_of_a_selection() -> None:
    """So that somebody may go on editing it; what cannot be selected is refused in one line."""
    catalog = json.loads(told("--discover", "--select", "calls,messages.!body").stdout)
    found = {one.stream.name: one.properties for one in selected_streams(catalog)}
    assert found.keys() == {"calls", "messages"}
    assert "body" not in found["messages"] and "status" in found["messages"]
    refused = told("--discover", "--select", "fax")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "CRITICAL --select: there is no stream 'fax'" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_catalog_that_selects_nothing_ends_with_1_and_one_line(tap: Tap, arguments: list[str]) -> None:
    """A schedule that loads nothing does not look well; the line says how to select, and nothing is requested."""
    tap.catalog = {"streams": []}
    run = tap.run(*arguments)

    assert (run.exit_code, run.lines, tap.requests) == (1, [], [])
    (line,) = run.said
    assert line.startswith('No stream is selected: set "selected": true') and "--select calls,messages" in line


def test_the_streams_are_listed_with_what_a_row_is() -> None:
    """A line each, in the order of discovery; no config is needed."""
    lines = told("--streams").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [stream.name for stream in STREAMS]
    assert all(line.endswith(".") for line in lines)
    marked = [line.split()[0] for line in lines if line.split()[1] == "default"]
    assert marked == [stream.name for stream in STREAMS if stream.selected_by_default]


def test_about_has_the_keys_of_the_sdk_and_every_setting() -> None:
    """It is JSON; the Pythons are those of the package."""
    about: dict[str, Any] = json.loads(told("--about").stdout)
    assert {"name", "description", "version", "supported_python_versions", "capabilities", "settings"} <= about.keys()
    assert about["supported_python_versions"] == PYTHONS
    assert about["settings"] == SCHEMA
