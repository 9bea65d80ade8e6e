"""
What every stream must hold, over the sandbox, which serves each list as Twilio's OpenAPI documents have it.

A stream is covered the moment that it is declared. `call_feedback` has no list and is tested by itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from sandbox import Twilio
from sandbox.filters import inner
from tap_twilio.singer.catalog import discover
from tap_twilio.streams import BY_NAME, STREAMS, Stream
from tap_twilio.streams.model import RecentParents, Rescan
from tap_twilio.timestamps import DAY
from testing.sampled import long
from testing.taps import Json, Run, Tap, expected_value, properties

MakeTap = Callable[..., Tap]
AT_ONCE = 12  # streams of one run
Key = tuple[str, ...]
NOW = "2026-01-20T00:00:00Z"
LISTED = [stream for stream in STREAMS if not (stream.parent and isinstance(stream.parent.visit, RecentParents))]
SINGLE = [stream for stream in LISTED if stream.rows is None]
MANY = [stream for stream in LISTED if stream.rows is not None and stream.name != "accounts"]
EACH = pytest.mark.parametrize("stream", LISTED, ids=lambda stream: stream.name)
PRODUCTS: dict[str, list[Stream]] = {}
for stream in MANY:
    number = sum(one.product.host == stream.product.host for of in PRODUCTS.values() for one in of) // AT_ONCE
    PRODUCTS.setdefault(f"{stream.product.host}{f'-{number + 1}' if number else ''}", []).append(stream)
ALONE = [*(streams[0] for streams in PRODUCTS.values()), BY_NAME["call_summaries"]]
ONE_OF_A_PRODUCT = pytest.mark.parametrize(  # and single rows; `make test-long` takes the others
    "stream",
    [stream if stream in ALONE or stream not in MANY else long(stream)[0] for stream in LISTED],
    ids=lambda stream: stream.name,
)
OF_A_PRODUCT = pytest.mark.parametrize("streams", PRODUCTS.values(), ids=PRODUCTS)
SOME_PRODUCTS = pytest.mark.parametrize(  # every fifth one; `make test-long` takes the others
    "streams",
    [
        pytest.param(of, id=name, marks=[pytest.mark.long] * bool(at % 5))
        for at, (name, of) in enumerate(PRODUCTS.items())
    ],
)


@pytest.fixture
def twilio() -> Twilio:
    return Twilio(seed=11, start="2025-06-01", accounts=2).at(NOW)


def accounts_of(twilio: Twilio) -> list[str]:
    return [row["sid"] for row in twilio.present("accounts")]


def oldest_of(stream: Stream) -> str:
    """The day from which rows are made: the list, and those above it, reach back so far."""
    reach = stream.filter and stream.filter.max_age
    own = "2026-01-15" if reach and reach < 20 * DAY else "2025-12-31"
    return max(own, oldest_of(BY_NAME[stream.parent.stream])) if stream.parent else own


def parent_of(twilio: Twilio, stream: Stream, account: str, created: str = "") -> Any:
    """A row above the stream's, and those above it, such as the declaration asks."""
    created = created or oldest_of(stream)
    if stream.parent is None:
        return None
    asked: Json = {}
    if where := stream.parent.where:
        asked[where.column] = where.one_of[-1] if where.one_of else str((where.above or 0) + 1)
        if where.has_member:
            asked[where.column] = {where.has_member: "/"}
    above = BY_NAME[stream.parent.stream]
    higher = parent_of(twilio, above, account, created)
    (handle,) = twilio.add(above.name, account, higher, created=created, **asked)
    return handle


def fill(twilio: Twilio, stream: Stream, many: int = 23, now: bool = False) -> None:
    """Rows in each account, below two parents where the stream has one; made over the last days, or now."""
    if stream.name == "accounts":
        return
    for account in accounts_of(twilio) if stream.scope == "account" else accounts_of(twilio)[:1]:
        for share in (many // 2, many - many // 2) if stream.parent else (1 if stream.rows is None else many,):
            span = {} if now or stream.rows is None else {"since": oldest_of(stream), "until": "2026-01-19"}
            made = str(twilio.now) if now else ""
            twilio.add(stream.name, account, parent_of(twilio, stream, account, made), n=share, **span)


def truth(twilio: Twilio, stream: Stream) -> dict[Key, Json]:
    """Each row that Twilio lists, as the record that it should become, but for what moves with the clock."""
    kinds = properties(stream.name)
    found = {}
    positions = [name for name, source in stream.derived.items() if source == "#"]
    before: Counter[Key] = Counter()  # rows of a list, which are in the order in which they were made
    for account in accounts_of(twilio) if stream.scope != "global" else accounts_of(twilio)[:1]:
        for values, row in twilio.present_at(stream.name, account):
            place = tuple(values.values())
            filled = {**{name: values[name] for name in kinds if name in values}, **row}
            filled |= dict.fromkeys(positions, before[place])
            before[place] += 1
            filled |= {name: inner(row, source) for name, source in stream.derived.items() if "." in source}
            if None in (filled.get(name) for name in stream.key):
                continue  # an example that Twilio published: a sum of no period, which no query by date lists
            record = {
                name: expected_value(filled.get(name), about)
                for name, about in kinds.items()
                if name not in stream.not_compared | {"received_at"}
            }
            found[tuple(record[name] for name in stream.key)] = record
    return found


def table(run: Run, stream: Stream) -> dict[Key, Json]:
    """What the run wrote, by key; a property of JSON text as what it says."""
    texts = {name for name, about in properties(stream.name).items() if about.get("format") == "json"}
    found = {}
    for record in run.records(stream.name):
        read = {
            name: json.loads(value, parse_float=Decimal) if name in texts and value is not None else value
            for name, value in record.items()
            if name not in stream.not_compared | {"received_at"}
        }
        found[tuple(read[name] for name in stream.key)] = read
    return found


def tap_for(tap_of: MakeTap, twilio: Twilio, *streams: Stream, opted_in: bool = True, **settings: Any) -> Tap:
    tap = tap_of(twilio, page_size=10, **settings)
    tap.settings["base_url"] += "/{product}"
    return tap.select(*(stream.name for stream in streams), opted_in=opted_in)


def whole(tap: Tap) -> Run:
    """A run that ended well; the next one goes on from its last STATE."""
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    tap.state = run.states[-1]
    return run


def differences(held: dict[Key, Json], should: dict[Key, Json]) -> list[Any]:
    missing = [("missing", key) for key in should.keys() - held.keys()]
    other = [("should not be there", key) for key in held.keys() - should.keys()]
    wrong = [
        (key, name, held[key][name], value)
        for key in should.keys() & held.keys()
        for name, value in should[key].items()
        if held[key][name] != value
    ]
    return (missing + other + wrong)[:5]


@cache
def discovered() -> dict[str, Any]:
    """Return the entries of the catalog that discovery prints, by stream."""
    return {entry["tap_stream_id"]: entry for entry in discover()["streams"]}


@EACH
def test_it_is_discovered_with_its_key_and_the_date_that_tells_changes(stream: Stream) -> None:
    """The catalog's entry says what the declaration says; the key is never null, and neither is hidden."""
    entry = discovered()[stream.name]
    about = next(one["metadata"] for one in entry["metadata"] if one["breadcrumb"] == [])
    held = entry["schema"]["properties"]
    assert about["table-key-properties"] == list(stream.key)
    assert about.get("replication-key") == stream.replication_key
    assert about["selected-by-default"] is stream.selected_by_default
    assert all(held[name]["type"] in ("string", "integer") for name in stream.key)
    assert not stream.hidden & held.keys()


@ONE_OF_A_PRODUCT
def test_every_row_of_every_account_arrives_alone_without_its_parent(
    tap_of: MakeTap, twilio: Twilio, stream: Stream
) -> None:
    """
    Page after page, each property as Twilio has it; the key is unique; no other table is written.

    `test_nulls_and_odd_text_arrive` reads rows of every stream of a product together.
    """
    fill(twilio, stream)
    tap = tap_for(tap_of, twilio, stream)
    run = tap.run()
    assert run.exit_code == 0, run.log[-2000:]
    should = truth(twilio, stream)
    assert len(should) >= (2 if stream in (*SINGLE, BY_NAME["accounts"]) else 23)
    assert differences(table(run, stream), should) == []
    assert len(run.records(stream.name)) == len(should)
    assert {message["stream"] for message in run.messages("RECORD")} == {stream.name}
    assert all(list(record) == list(properties(stream.name)) for record in run.records(stream.name))


@pytest.mark.parametrize("stream", [one for one in LISTED if one.deselected_by_default], ids=lambda one: one.name)
def test_a_secret_leaves_where_the_catalog_selects_it_and_nowhere_else(
    tap_of: MakeTap, twilio: Twilio, stream: Stream
) -> None:
    """With its own metadata alone: that the stream is selected is not enough."""
    fill(twilio, stream, many=3)
    tap = tap_for(tap_of, twilio, stream, opted_in=False)
    assert not [
        name for record in whole(tap).records(stream.name) for name in record if name in stream.deselected_by_default
    ]
    assert tap.catalog is not None
    (entry,) = [one for one in tap.catalog["streams"] if one["tap_stream_id"] == stream.name]
    for item in entry["metadata"]:
        if item["breadcrumb"][-1:] in [[name] for name in stream.deselected_by_default]:
            item["metadata"]["selected"] = True
    tap.state = None
    records = whole(tap).records(stream.name)
    assert records and all(list(record) == list(properties(stream.name)) for record in records)


@SOME_PRODUCTS
def test_a_second_sync_brings_what_changed_and_no_other_row(
    tap_of: MakeTap, twilio: Twilio, streams: list[Stream]
) -> None:
    """Where rows have a date that tells; of a list without, what a window reads again may be written again."""
    for stream in streams:
        fill(twilio, stream, many=12)
    tap = tap_for(tap_of, twilio, *streams)
    run = whole(tap)
    twilio.at("2026-01-20T09:00:00Z")
    quiet = whole(tap)
    for stream in streams:
        if isinstance(stream.read_strategy, Rescan):
            assert quiet.records(stream.name) == [], stream.name
            fill(twilio, stream, many=2, now=True)
    twilio.at("2026-01-21T09:00:00Z")  # a catalogue is read once a day
    new = whole(tap)
    for stream in streams:
        held = table(new, stream) | table(quiet, stream) | table(run, stream)
        assert differences(held | table(new, stream), truth(twilio, stream)) == [], stream.name
        if isinstance(stream.read_strategy, Rescan):
            assert table(new, stream).keys() == truth(twilio, stream).keys() - table(run, stream).keys(), stream.name


@SOME_PRODUCTS
def test_killed_anywhere_the_next_run_goes_on_to_the_same_tables(
    tap_of: MakeTap, twilio: Twilio, streams: list[Stream]
) -> None:
    """From the first and a middle STATE of a run: what was written up to it, and what comes then, is all."""
    for stream in streams:
        fill(twilio, stream, many=12)
    tap = tap_for(tap_of, twilio, *streams, state_seconds=0, concurrency=1)
    run = whole(tap)
    at = [number for number, line in enumerate(run.lines) if line.startswith(b'{"type":"STATE"')]
    for cut in {at[0], at[len(at) // 2]}:
        before = Run(0, run.lines[: cut + 1], "")
        tap.state = before.states[-1]
        after = whole(tap)
        for stream in streams:
            held = table(before, stream) | table(after, stream)
            assert differences(held, truth(twilio, stream)) == [], stream.name


@OF_A_PRODUCT
def test_nulls_and_odd_text_arrive(tap_of: MakeTap, twilio: Twilio, streams: list[Stream]) -> None:
    """A row of which all is null but its key and dates, and one whose texts hold what databases refuse."""
    streams = [stream for stream in streams if stream.name != "call_summaries"]
    for stream in streams:
        add_odd_rows(twilio, stream)
    run = whole(tap_for(tap_of, twilio, *streams))
    for stream in streams:
        assert len(run.records(stream.name)) >= 3, stream.name
        assert differences(table(run, stream), truth(twilio, stream)) == [], stream.name


def add_odd_rows(twilio: Twilio, stream: Stream) -> None:
    """One row as any other, one of nulls, and one of odd text."""
    account, kinds = accounts_of(twilio)[0], properties(stream.name)
    parent, when = parent_of(twilio, stream, account), {"created": max("2026-01-10", oldest_of(stream))}
    twilio.add(stream.name, account, parent, **when)
    (_, sample), *_ = twilio.present_at(stream.name, account)
    kept = {*stream.key, "sid", "index", "account_sid", "date_created", "date_updated", "status", "state"}
    kept |= {stream.filter.column, "end_date"} if stream.filter else set()
    kept |= {source.partition(".")[0] for source in stream.derived.values()}
    free = [name for name in sample if name in kinds and name not in kept and not name.endswith("_sid")]
    texts = [name for name in free if "string" in kinds[name]["type"] and len(kinds[name]) == 2]
    for values in (dict.fromkeys(free), dict.fromkeys(texts, "NUL \0 and half \ud83d")):
        twilio.add(stream.name, account, parent, **when, **{f"{name}_": value for name, value in values.items()})


@OF_A_PRODUCT
def test_what_twilio_published_comes_out_as_it_went_in(tap_of: MakeTap, streams: list[Stream]) -> None:
    """The rows in the documents' examples, which Twilio wrote."""
    twilio = Twilio(seed=11, start="2010-01-01").at(NOW)
    account = accounts_of(twilio)[0]
    found = [s for s in streams if twilio.add_published(s.name, account, parent_of(twilio, s, account))]
    if not found:
        pytest.skip("no example of these lists is published")
    run = whole(tap_for(tap_of, twilio, *found))
    for stream in found:
        assert differences(table(run, stream), truth(twilio, stream)) == [], stream.name


@pytest.mark.parametrize("accounts", [1, *long(4)])
def test_all_streams_at_once_fill_every_table_and_the_next_sync_is_quiet(tap_of: MakeTap, accounts: int) -> None:
    """Product hosts are asked with each account's own credentials, and no token leaves."""
    twilio = Twilio(seed=11, start="2025-06-01", accounts=accounts).at(NOW)
    for stream in LISTED:
        fill(twilio, stream, many=3)
    tap = tap_for(tap_of, twilio, *LISTED)
    run = whole(tap)
    wrong = {stream.name: differences(table(run, stream), truth(twilio, stream)) for stream in LISTED}
    assert {name: found for name, found in wrong.items() if found} == {}
    twilio.at("2026-01-20T03:00:00Z")
    again = whole(tap)
    assert [s.name for s in LISTED if isinstance(s.read_strategy, Rescan) and again.records(s.name)] == []
    secrets = [row["auth_token"] for row in twilio.present("accounts")]
    printed = run.log + b"".join(run.lines).decode("utf-8", "replace")
    assert not [secret for secret in secrets if secret in printed]
