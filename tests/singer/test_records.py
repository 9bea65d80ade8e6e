"""Records: from Twilio's bytes to Singer's lines, with nothing lost or guessed on the way."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
import singer
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker

from tap_twilio.errors import InvalidRecord
from tap_twilio.singer.catalog import Selected, load_schema
from tap_twilio.singer.compile import Compiled, Drift, Record, compile_record
from tap_twilio.singer.records import Recorder
from tap_twilio.streams import BY_NAME, STREAMS
from tap_twilio.timestamps import parse_date_time as iso
from tap_twilio.timestamps import timestamp_or_none
from tap_twilio.twilio.request import Row
from tap_twilio.twilio.response import parse

RECEIVED = "2026-03-03T12:00:00.250000Z"
EXTRACTED = "2026-03-03T12:00:00Z"
MESSAGE: Row = {
    "body": "Good morning",
    "num_segments": "1",
    "direction": "outbound-api",
    "from": "+14155550100",
    "to": "+14155550101",
    "date_updated": "Sun, 01 Mar 2026 09:00:05 +0000",
    "price": "-0.00750",
    "error_message": None,
    "uri": "/2010-04-01/Accounts/AC1/Messages/SM1.json",
    "account_sid": "AC1",
    "num_media": "0",
    "status": "delivered",
    "messaging_service_sid": "",
    "sid": "SM1",
    "date_sent": "Sun, 01 Mar 2026 09:00:01 +0000",
    "date_created": "Sun, 01 Mar 2026 09:00:00 +0000",
    "error_code": None,
    "price_unit": "USD",
    "api_version": "2010-04-01",
    "subresource_uris": {"media": "/2010-04-01/Accounts/AC1/Messages/SM1/Media.json"},
}

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)


def compiled(stream: str = "messages", **options: Any) -> Compiled:
    schema = load_schema(stream)
    options.setdefault("key", next(one.key for one in STREAMS if one.name == stream))
    return compile_record(stream, schema, options.pop("selected", set(schema["properties"])), **options)


def recorder(
    stream: str = "messages", selected: Collection[str] = (), on_invalid: str = "fail", drift: Drift | None = None
) -> Recorder:
    schema = load_schema(stream)
    chosen = Selected(BY_NAME[stream], schema, frozenset(selected or schema["properties"]), full_table=False)
    made = Recorder(chosen, on_invalid)
    made.drift = drift or made.drift
    return made


def lines_of(rows: list[Row], made: Recorder, version: int | None = None) -> bytes:
    return made.lines(list(made.records(rows)), (RECEIVED, EXTRACTED), version)


def written(row: Row, stream: str = "messages", **options: Any) -> Record:
    """The record as a target reads it: numbers as Decimal, exact."""
    record: Record = json.loads(lines_of([row], recorder(stream, **options)), parse_float=Decimal)["record"]
    return record


def only(stream: str = "messages", **values: Any) -> Record:
    """A record in which all is null but these, and the time of receipt."""
    return {**dict.fromkeys(load_schema(stream)["properties"]), **values, "received_at": RECEIVED}


def utc(timestamp: datetime) -> str:
    return timestamp.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# A row becomes a record


def test_a_message_becomes_a_record() -> None:
    """Names and text stay as they are, dates are UTC, numbers are numbers, and received_at is there."""
    assert written(MESSAGE) == {
        **MESSAGE,
        "num_segments": 1,
        "num_media": 0,
        "price": Decimal("-0.00750"),
        "date_created": "2026-03-01T09:00:00.000000Z",
        "date_sent": "2026-03-01T09:00:01.000000Z",
        "date_updated": "2026-03-01T09:00:05.000000Z",
        "received_at": RECEIVED,
    }


def test_the_row_itself_stays_as_it_was() -> None:
    """The plan reads a row's dates after its record was made."""
    before = json.dumps(MESSAGE)
    row = {**MESSAGE, "surprise": 1}
    compiled(selected={"sid"})(row)

    assert json.dumps(MESSAGE) == before
    assert row == {**MESSAGE, "surprise": 1}


def test_only_what_is_selected_is_written() -> None:
    """An unselected property is dropped without being counted as unknown; the key is always there."""
    drift = Drift("messages")

    assert written(MESSAGE, selected={"body"}, drift=drift) == {"sid": "SM1", "body": "Good morning"}
    assert drift.summary() == []


def a_key(stream: str) -> dict[str, Any]:
    """A value for each property of a stream's key: text, a whole number, a day or a timestamp."""
    values = {"string": "XX1", "integer": 1, "date": "2026-01-31", "date-time": "2026-01-31T00:00:00.000000Z"}
    kinds, key = load_schema(stream)["properties"], next(one.key for one in STREAMS if one.name == stream)
    return {name: values[kinds[name].get("format", kinds[name]["type"])] for name in key}


@pytest.mark.parametrize("stream", [stream.name for stream in STREAMS])
def test_a_record_has_the_columns_of_its_schema_in_order(stream: str) -> None:
    """However Twilio orders a row, and whatever it leaves out of it, which is null; `received_at` too has its place."""
    names = list(load_schema(stream)["properties"])

    key = a_key(stream)
    assert list(written(key, stream).items()) == list(only(stream, **key).items())
    assert list(written(dict.fromkeys(reversed(names), None) | key, stream)) == names
    some = [name for name in names if name in key or name > "f"]
    assert list(written(key, stream, selected=set(some))) == some


@pytest.mark.parametrize("name", ["num_media", "price", "date_sent", "error_code", "subresource_uris"])
@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_string_is_null_where_text_is_not_meant(name: str, nothing: str | None) -> None:
    """Twilio writes no number, no date and no object as an empty string at times."""
    assert written({"sid": "SM1", name: nothing})[name] is None


def test_a_new_value_of_a_status_passes() -> None:
    """Lists of known values only describe: a status that Twilio adds tomorrow reaches the warehouse."""
    assert written({**MESSAGE, "status": "recalled"})["status"] == "recalled"


def test_unknown_properties_are_dropped_and_counted() -> None:
    """A property that Twilio added shows once in the log, with its rows, and in no record."""
    drift = Drift("messages")
    rows = [{**MESSAGE, "mood": "good"}, MESSAGE, {**MESSAGE, "mood": None, "new\nline": 1}]
    lines = lines_of(rows, recorder(drift=drift))

    assert b"mood" not in lines
    assert drift.unknown == {"mood": 2, "new\nline": 1}
    assert drift.summary() == [r"messages: properties not in the schema, dropped: mood (2 rows), 'new\nline' (1 rows)"]


def test_endless_new_names_do_not_fill_the_memory() -> None:
    """An answer with a new name in every row costs a bounded amount of memory."""
    drift = Drift("messages")
    record = compiled(drift=drift)
    for n in range(1_000):
        record({"sid": "SM1", f"name{n}": n})

    assert len(drift.unknown) == 100


def test_a_property_called_received_at_is_not_believed() -> None:
    """`received_at` is the tap's own, whatever a row says."""
    drift = Drift("messages")

    assert written({"sid": "SM1", "received_at": "never"}, drift=drift)["received_at"] == RECEIVED
    assert "received_at" not in written({"sid": "SM1", "received_at": "never"}, selected={"sid"})
    assert drift.unknown == {"received_at": 1}


# A value that does not fit

MISFITS = [
    ("messages", "body", 7, "text"),
    ("messages", "body", {"text": "private"}, "text"),
    ("messages", "num_media", "two", "a whole number"),
    ("messages", "num_media", "1.5", "a whole number"),
    ("messages", "num_media", "1_0", "a whole number"),
    ("messages", "num_media", "٣", "a whole number"),
    ("messages", "num_media", True, "a whole number"),
    ("messages", "num_media", 1.0, "a whole number"),
    ("messages", "num_media", [1], "a whole number"),
    ("messages", "error_code", 2**63, "a whole number of 64 bits"),
    ("messages", "error_code", str(2**63), "a whole number of 64 bits"),
    ("messages", "price", "free", "a number"),
    ("messages", "price", "NaN", "a number"),
    ("messages", "price", "-Infinity", "a number"),
    ("messages", "price", "1e999", "a number"),
    ("messages", "price", "1,50", "a number"),
    ("messages", "price", ".", "a number"),
    ("messages", "price", False, "a number"),
    ("messages", "price", {}, "a number"),
    ("messages", "date_sent", "yesterday", "a date"),
    ("messages", "date_sent", "Sun, 32 Mar 2026 09:00:00 +0000", "a date"),
    ("messages", "date_sent", "Sun, 01 Mar 2026 24:00:00 +0000", "a date"),
    ("messages", "date_sent", 1_772_355_600, "a date"),
    ("messages", "date_sent", True, "a date"),
    ("messages", "date_sent", ["2026"], "a date"),
    ("messages", "date_sent", {"year": 2026}, "a date"),
    ("messages", "subresource_uris", "[]", "an object"),
    ("messages", "subresource_uris", [], "an object"),
    ("addresses", "validated", "yes", "true or false"),
    ("addresses", "validated", 1, "true or false"),
    ("call_feedback", "issues", "echo", "an array"),
    ("call_feedback", "issues", ["echo", 1], "an array of text"),
    ("call_feedback", "issues", [None], "an array of text"),
    ("trusthub_end_user_types", "fields", [{"name": "first_name"}, "last_name"], "an array of objects"),
]


@pytest.mark.parametrize(("stream", "name", "value", "expected"), MISFITS)
def test_a_value_that_does_not_fit_is_an_error(stream: str, name: str, value: Any, expected: str) -> None:
    """The error names stream, row, property and type; never the value, which may be somebody's."""
    with pytest.raises(InvalidRecord) as error:
        compiled(stream)({"sid": "SM1", name: value})

    message = str(error.value)
    assert message.startswith(f"{stream} SM1: {name} should be {expected}")
    assert "\n" not in message
    if isinstance(value, str) and len(value) > 2:
        assert value not in message


@pytest.mark.parametrize(("stream", "name", "value", "expected"), MISFITS)
def test_or_null_if_the_user_says_so(stream: str, name: str, value: Any, expected: str) -> None:
    """With on_invalid null it is written as null, and counted; the rest of the row is as ever."""
    drift = Drift(stream)
    record = written({"sid": "SM1", name: value}, stream, on_invalid="null", drift=drift)

    assert record == only(stream, sid="SM1")
    assert drift.summary() == [f"{stream}: values that do not fit, written as null: {name} (1 values)"]


@pytest.mark.parametrize("on_invalid", ["fail", "null"])
@pytest.mark.parametrize("row", [{}, {"sid": None}, {"sid": ""}, {"sid": 7}, {"sid": ["SM1"]}], ids=str)
def test_a_row_without_a_key_is_always_an_error(row: Row, on_invalid: str) -> None:
    """A row that could not be found again in the warehouse is never written."""
    with pytest.raises(InvalidRecord, match="^messages without a readable sid: sid should be text, but is"):
        compiled(on_invalid=on_invalid)(row)


def test_nothing_of_a_page_is_written_if_one_row_fails() -> None:
    """A caller gets all lines or none, so that no bookmark covers half a page."""
    with pytest.raises(InvalidRecord, match="SM2"):
        lines_of([MESSAGE, {"sid": "SM2", "price": "x"}], recorder())


@pytest.mark.parametrize("wrong", [{"price": "x"}, {"subresource_uris": 500}])
def test_what_a_row_that_fails_had_replaced_is_not_counted_for_the_next(wrong: Row) -> None:
    """Of whatever account that is: nothing was replaced in it."""
    made = recorder()
    (bad,) = parse(b'[{"sid": "SM1", "body": "a\\u0000b"}]')
    if "subresource_uris" in wrong:
        deep: Row = functools.reduce(lambda inner, _: {"in": inner}, range(500), {})
        wrong = {"subresource_uris": deep}
    with pytest.raises(InvalidRecord):
        lines_of([bad | wrong], made)
    lines_of([MESSAGE], made)

    assert made.drift.summary() == []


def test_nesting_that_cannot_be_written_is_an_invalid_record() -> None:
    """An object nested a thousand levels deep names its row, and is no traceback."""
    nested: dict[str, Any] = {}
    for _ in range(500):
        nested = {"in": nested}
    with pytest.raises(InvalidRecord, match="^messages SM1: cannot be written as JSON: "):
        lines_of([{**MESSAGE, "subresource_uris": nested}], recorder())


# Dates


@given(MOMENTS)
def test_any_rfc_2822_date_comes_back(timestamp: datetime) -> None:
    """Whatever its zone, a date of the classic API is the same time in UTC, alone and in a row."""
    timestamp = timestamp.replace(microsecond=0)

    assert iso(format_datetime(timestamp)) == utc(timestamp)
    assert written({"sid": "SM1", "date_sent": format_datetime(timestamp)})["date_sent"] == utc(timestamp)


@given(MOMENTS, st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]), st.sampled_from("T "))
def test_any_iso_date_comes_back(timestamp: datetime, timespec: str, separator: str) -> None:
    """So is a date of the newer APIs, with a fraction of a second or without."""
    text = timestamp.isoformat(timespec=timespec, sep=separator)
    timestamp = datetime.fromisoformat(text)

    assert iso(text) == utc(timestamp)
    assert iso(text.replace("+00:00", "Z")) == utc(timestamp)
    assert written({"sid": "SM1", "date_sent": text})["date_sent"] == utc(timestamp)


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("Tue, 31 Aug 2010 20:36:28 +0000", "2010-08-31T20:36:28.000000Z"),
        ("Tue, 31 Aug 2010 20:36:28 GMT", "2010-08-31T20:36:28.000000Z"),
        ("1 Sep 2010 00:00:00 +0230", "2010-08-31T21:30:00.000000Z"),
        ("Thu, 29 Feb 2024 23:59:59 -0001", "2024-03-01T00:00:59.000000Z"),
        ("2026-03-01T09:00:00.123456789Z", "2026-03-01T09:00:00.123456Z"),
        ("2026-03-01T09:00:00.5Z", "2026-03-01T09:00:00.500000Z"),
        ("2026-03-01T09:00:00+0100", "2026-03-01T08:00:00.000000Z"),
    ],
)
def test_dates_as_they_are_seen(text: str, timestamp: str) -> None:
    """The forms that Twilio and its neighbours write, first met and met again."""
    record = compiled()

    assert iso(text) == timestamp
    assert [record({"sid": "SM1", "date_sent": text})["date_sent"] for _ in range(2)] == [timestamp, timestamp]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T09:00:00",
        "2026-02-29T09:00:00Z",
        "Tue, 31 Aug 2010 20:36:28",
        "Tue, 31 aug 2010 20:36:28 +0000",
        "Tue, 31 Aug 2010 20:36:60 +0000",
        "Tue, 31 Aug 2010 20:36:28 +2400",
        " Tue, 31 Aug 2010 20:36:28 +0000",
        "Tue, 31 Aug 2010 20:36:28 +0000\n",
        "٢٠٢٦-03-01T09:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """No zone, no such day, no date at all: nothing is assumed."""
    with pytest.raises(ValueError, match=r"."):
        iso(text)


SUFFIXES = ["Z", "z", "+00:00", "+0000", "-00:00", "+01:00", "-0930", "", ".5Z", ".123456789Z", ",5Z", ".5+00:00", "\n"]
TIMES = st.times().map(lambda at: at.isoformat("seconds")) | st.sampled_from(
    ["24:00:00", "23:60:00", "23:59:60", "9:0:0"]
)
PLAIN = st.dates().map(str) | st.sampled_from(["2026-02-29", "2026-13-01", "0000-01-01", "26-01-01", "2026-1-01"])


@given(PLAIN, st.sampled_from("TTTt "), TIMES, st.sampled_from(SUFFIXES), st.none() | st.integers(0, 25))
def test_the_quick_ways_read_a_date_as_the_slow_one_does(
    day: str, separator: str, time: str, suffix: str, hole: int | None
) -> None:
    """Any ISO form, and any that one character makes of it: the same bytes, or no date."""
    text = day + separator + time + suffix
    if hole is not None:
        text = f"{text[:hole]}x{text[hole + 1 :]}"
    try:
        slow: str | None = iso(text)
    except ValueError:
        slow = None
    for _ in range(2):
        assert timestamp_or_none(text) == slow
        if slow:
            assert compiled()({"sid": "SM1", "date_sent": text})["date_sent"] == slow
        else:
            with pytest.raises(InvalidRecord):
                compiled()({"sid": "SM1", "date_sent": text})


def test_text_order_is_the_order_of_time() -> None:
    """Dates of both kinds compare as text, which is how the plan compares them."""
    assert sorted([iso("2026-03-01T09:00:00.5+01:00"), iso("Sun, 01 Mar 2026 08:00:00 +0000")])[0].endswith(
        "00.000000Z"
    )


# Numbers

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e30"), max_value=Decimal("1e30"))


@given(DECIMALS, st.sampled_from(["{}", "{:f}", "{:+f}", "{:E}", "{:+E}", "00{:f}"]))
def test_any_price_keeps_its_value(price: Decimal, form: str) -> None:
    """However many digits Twilio writes as text, the target reads the same decimal number."""
    text = form.format(abs(price) if form.startswith("00") else price)

    assert Decimal(written({"sid": "SM1", "price": text})["price"]) == Decimal(text)


@given(DECIMALS)
def test_any_price_as_a_json_number_keeps_its_value(price: Decimal) -> None:
    """Also where the number has no quotes, as in transcriptions, and more digits than a float holds."""
    page = parse(f'{{"transcriptions": [{{"sid": "TR1", "price": {price:f}, "duration":"1"}}]}}'.encode())

    assert Decimal(written(page["transcriptions"][0], "transcriptions")["price"]) == price


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("-0.00750", "-0.00750"),
        ("+1.5", "1.5"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("1.", "1"),
        ("007", "7"),
        ("0", "0"),
        ("1E+2", "1E+2"),
        ("0.000123456789012345678", "0.000123456789012345678"),
    ],
)
def test_prices_are_written_as_json_allows(text: str, digits: str) -> None:
    """Digits are kept, also the zeros at the end; signs and points that JSON refuses are mended."""
    line = lines_of([{"sid": "SM1", "price": text}], recorder())

    assert b'"price":%s,' % digits.encode() in line


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_any_integer_of_64_bits_passes(number: int) -> None:
    """As text, and as a number."""
    page = parse(json.dumps([{"sid": "SM1", "num_media": str(number), "error_code": number}]).encode())
    record = written(page[0])

    assert (record["num_media"], record["error_code"]) == (number, number)


def test_an_integer_beyond_64_bits_is_not_rounded() -> None:
    """orjson alone would read it as a float: in a number it stays exact, in an integer it is refused."""
    huge = 2**64 + 1
    (row,) = parse(b'[{"sid": "TR1", "price": %d, "duration": %d}]' % (huge, huge))

    assert written({"sid": "TR1", "price": row["price"]}, "transcriptions")["price"] == huge
    with pytest.raises(InvalidRecord, match="duration should be a whole number of 64 bits, but is another number"):
        compiled("transcriptions")(row)


# A page

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_any_json_comes_back(document: Any, ascii_only: bool, indent: int | None) -> None:
    """Every JSON document is read as it was written, however it was written; nothing is replaced."""
    assert parse(json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()) == document


@given(st.text(st.sampled_from("\x00\ud800\udfffa\u202e\U0001f600\\u0")), st.booleans())
def test_what_postgres_refuses_is_replaced(text: str, raw: bool) -> None:
    """NUL and lone surrogates become U+FFFD wherever they are; all else stays."""
    document = json.dumps({"a": [text]})
    text = json.loads(document)["a"][0]  # high and low surrogate side by side are one character
    if raw:
        document = document.replace("\\u0000", "\x00")
    bad = [character for character in text if character == "\x00" or "\ud800" <= character <= "\udfff"]
    clean = "".join("\ufffd" if character in bad else character for character in text)

    assert parse(document.encode()) == {"a": [clean]}


def test_names_are_cleaned_too() -> None:
    """In keys, at any depth."""
    assert parse(b'{"a\\u0000": [{"\\ud800": 1}]}') == {"a\ufffd": [{"\ufffd": 1}]}


def test_raw_control_characters_are_read() -> None:
    """A message with a raw tab or a bell in it is a message; JSON's grammar would refuse it."""
    assert parse(b'{"body": "a\tb\x07"}') == {"body": "a\tb\x07"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"messages": [',
        b'{"a": 1} trailing',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity, \x01]",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000 + b"]" * 100_000,
        b'["\\u0000", ' + b"[" * 1000 + b"]" * 1000 + b"]",
        b"[1e99999999999999999999]",
    ],
    ids=range(13),
)
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    """A cut, foreign or hostile body is a ValueError: never half a page, never another kind of error."""
    with pytest.raises(ValueError, match=r"."):
        parse(body)


@given(st.binary())
def test_any_bytes_are_json_or_an_error(body: bytes) -> None:
    """No bytes make anything but a value or a ValueError."""
    try:
        value = parse(body)
    except ValueError:
        return
    text = json.dumps(value, default=str)
    assert parse(text.encode()) == json.loads(text)


# Lines


def test_lines_are_singer_messages() -> None:
    """Each record is one line that singer-python reads, with its version and the time of the answer."""
    rows = [{**MESSAGE, "sid": sid, "body": "two\nlines\u2028"} for sid in ("SM1", "SM2")]
    lines = lines_of(rows, recorder(), 7)
    messages = [singer.parse_message(line) for line in lines.decode().split("\n")[:-1]]

    assert lines.endswith(b"\n") and len(messages) == 2
    assert [(message.stream, message.version, message.record["sid"]) for message in messages] == [
        ("messages", 7, "SM1"),
        ("messages", 7, "SM2"),
    ]
    assert messages[0].time_extracted == datetime(2026, 3, 3, 12, tzinfo=timezone.utc)
    assert messages[0].record["price"] == Decimal("-0.00750")


def test_without_a_version_none_is_written() -> None:
    """A version tells targets to expect ACTIVATE_VERSION, so incremental streams have none."""
    assert b'"version"' not in lines_of([{"sid": "SM1"}], recorder())


def test_no_rows_are_no_bytes() -> None:
    """An empty page writes nothing, not an empty line."""
    assert lines_of([], recorder()) == b""


VALUES = (
    st.none() | st.just("") | st.text(max_size=5) | st.integers() | st.booleans() | st.floats(-1e9, 1e9)
    | st.decimals(-100, 100, places=5).map(str) | st.integers(0, 10**6).map(str)
    | MOMENTS.map(format_datetime) | MOMENTS.map(str) | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
)  # fmt: skip


@given(st.data(), st.sampled_from(STREAMS))
def test_what_is_written_fits_the_schema(data: st.DataObject, stream: Any) -> None:
    """Whatever a row holds, its record is valid by the schema that the target was told, or null was asked for."""
    schema = load_schema(stream.name)
    row = data.draw(st.dictionaries(st.sampled_from([*schema["properties"], "new"]), VALUES, max_size=6))
    body = json.dumps({**row, **a_key(stream.name)}).encode()
    record = written(parse(body), stream.name, on_invalid="null")

    Draft4Validator(schema, format_checker=FormatChecker()).validate(
        {name: float(value) if isinstance(value, Decimal) else value for name, value in record.items()}
    )
