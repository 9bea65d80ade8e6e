"""
A little of everything, for the demo: what its rows say is made up here, and their shape comes from the facts.

It draws from a randomness of its own, so that the six lists made by hand stay as they are.
"""

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from .catalog import facts
from .filters import CATEGORIES, MORE_CATEGORIES
from .generic import is_generic
from .people import NUMBERS, SERVICES
from .rows import Json
from .timestamps import DAY, HOUR, MINUTE, iso8601, timestamp

if TYPE_CHECKING:
    from .twilio import Twilio

COUNTRIES = (("US", "United States"), ("GB", "United Kingdom"), ("DE", "Germany"), ("BR", "Brazil"), ("DK", "Denmark"))
TYPES = ("local", "toll_free", "mobile", "national", "shared_cost", "machine_to_machine", "voip")
SAID = (
    "Hi, is the blue one still there?",
    "It is. Shall we put it aside for you?",
    "Yes please, I'll come by on Friday.",
    "Wir haben bis 18 Uhr geöffnet.",
    "👍",
)


def fill(twilio: "Twilio") -> None:
    """Add rows to the generated lists: most for the main account and its first active subaccount. Ends the history."""
    accounts = [row["sid"] for row in twilio.present("accounts") if row["status"] == "active"]
    for account in accounts[:2]:
        _recordings(twilio, account)
    for account in accounts:
        add_usage(twilio, account)  # while it knows the deleted rows, which Twilio bills too
    twilio.begin()
    for row in twilio.present("accounts"):
        if row["status"] != "closed":
            _senders(twilio, row)
    for account in accounts:
        _conference_summaries(twilio, account)
    for account in accounts[:2]:
        _numbers(twilio, account)
        _alerts(twilio, account)
        _conversations(twilio, account)
        _studio(twilio, account)
    for account in accounts:
        _below_handmade(twilio, account)
    for number, (code, country) in enumerate(COUNTRIES):
        for prices in ("pricing_voice_countries", "pricing_voice_countries_v1"):
            twilio.add(prices, country=country, iso_country=code)
        twilio.add("pricing_voice_prices", parent={"iso_country": code}, country=country, iso_country=code)
        for account in accounts:
            about: Json = {"country_code": code, "beta": number == 3, "subresource_uris": dict.fromkeys(TYPES, "/")}
            twilio.add("available_phone_number_countries", account, country=country, **about)
    _traffic(twilio, accounts[0])
    _others(twilio, accounts[0])


def _traffic(twilio: "Twilio", account: str) -> None:
    """Add children of the traffic's rows: a waiting caller, calls, a room in use."""
    (queue,) = twilio.add("queues", account, friendly_name="Support", current_size=1)
    twilio.add("queue_members", account, queue)
    for call in [row for row in twilio.present("calls", account) if row["status"] == "completed"][-2:]:
        for below in ("call_events", "call_insights_events", "call_insights_metrics"):
            twilio.add(below, account, call["sid"], n=2)
    (transcript,) = twilio.add("intelligence_transcripts", account, status="completed")
    twilio.add("intelligence_sentences", account, transcript, n=2)
    twilio.add("intelligence_operator_results", account, transcript)
    (room,) = twilio.add("video_rooms", account, status="in-progress")
    (ended,) = twilio.add("video_rooms", account, status="completed")
    twilio.add("video_room_transcriptions", account, ended)
    (participant,) = twilio.add("video_room_participants", account, room, status="connected")
    for tracks in ("video_published_tracks", "video_subscribed_tracks"):
        twilio.add(tracks, account, participant)


def _others(twilio: "Twilio", account: str) -> None:
    """Add two rows to each list that has none yet."""
    for fact in facts().values():
        if is_generic(fact.name) and not twilio.present(fact.name, account):
            twilio.add(fact.name, account, n=2, created=twilio.clock - DAY)


def _numbers(twilio: "Twilio", account: str) -> None:
    long_ago = twilio.clock - 80 * DAY
    twilio.add("account_balance", account, balance="241.07")
    twilio.add("outgoing_caller_ids", account, n=2, created=long_ago, friendly_name=lambda i: f"Front desk {i + 1}")


def _senders(twilio: "Twilio", account: Json) -> None:
    """Add an account's numbers, messaging services, and the A2P campaigns of these, of which one is verified."""
    sid, begun = account["sid"], account["date_created"]
    party = twilio.simulation.people.party(sid, twilio.clock)
    for number, (purpose, _) in zip(party.numbers, NUMBERS):
        about: Json = {"phone_number": number, "friendly_name": purpose, "status": "in-use"}
        twilio.add("incoming_phone_numbers", sid, created=begun, **about)
    (brand,) = twilio.add("brand_registrations", sid, created=begun, status="APPROVED", failure_reason=None)
    is_main = sid == twilio.main
    for service, name, status in zip(party.services, SERVICES, ("VERIFIED", "FAILED" if is_main else None)):
        about = {"friendly_name": name, "us_app_to_person_registered": status == "VERIFIED"}
        twilio.add("messaging_services", sid, created=begun, sid=service, **about)
        if status:
            campaign: Json = {"campaign_status": status, "brand_registration_sid": brand}
            twilio.add("us_app_to_person", sid, service, created=begun, **campaign)


def _conference_summaries(twilio: "Twilio", account: str) -> None:
    """Add the summaries of conferences that ended in the last 30 days, and of the two to four calls of each."""
    rng = Random(f"conferences {twilio.seed} {account}")
    calls = [row["sid"] for row in twilio.present("calls", account)]
    for room in twilio.present("conferences", account):
        begun, ended = timestamp(room["date_created"]), timestamp(room["date_updated"])
        if room["status"] != "completed" or begun < twilio.clock - 30 * DAY or ended > twilio.clock - HOUR // 2:
            continue
        last, many = room["call_sid_ending_conference"], rng.randrange(2, 5)
        about: Json = {
            "conference_sid": room["sid"],
            "friendly_name": room["friendly_name"],
            "create_time": iso8601(begun),
            "start_time": iso8601(begun),
            "end_time": iso8601(ended),
            "duration_seconds": ended - begun,
            "connect_duration_seconds": ended - begun,
            "mixer_region": room["region"],
            "unique_participants": many,
            "max_concurrent_participants": many,
            "ended_by": last,
        }
        twilio.add("conference_summaries", account, **about)
        for call in [last, *rng.sample(calls, many - 1)]:
            joined = begun + rng.randrange(1 + (ended - begun) // 2)
            left = ended if call == last else rng.randrange(joined, ended + 1)
            about = {
                "call_sid": call,
                "join_time": iso8601(joined),
                "leave_time": iso8601(left),
                "duration_seconds": left - joined,
                "conference_region": room["region"],
            }
            twilio.add("conference_participant_summaries", account, {"conference_sid": room["sid"]}, **about)


# Units of usage, and the count of a total, as recorded (live account, 2026); `units` without a line here.
UNITS: dict[str, Json] = {
    "totalprice": {"count": None, "count_unit": "", "usage_unit": "usd"},
    "sms": {"count_unit": "messages", "usage_unit": ""},
    "mms": {"count_unit": "messages", "usage_unit": "segments"},
    "sms-messages-features": {"count_unit": None, "usage_unit": None},
    "calls-pay-verb-transactions": {"count_unit": "Transactions", "usage_unit": None},
    **{name: {"count_unit": "", "usage_unit": ""} for name in ("flex-usage", "group-rooms", "conversations")},
}


# Of each product: its usage category, its stream, and the property by whose day Twilio bills a row.
BILLED = (
    ("sms", "messages", "date_sent"),
    ("calls", "calls", "end_time"),
    ("recordings", "recordings", "date_created"),
    ("transcriptions", "transcriptions", "date_created"),
)
NUMBER_PRICE = Decimal("1.15")  # of a number, each month


def add_usage(twilio: "Twilio", account: str) -> None:
    """Add categories for each day that the tap reads again: those that are used, and others, whose count is zero."""
    days = {str(iso8601(twilio.clock - back * DAY))[:10]: dict[str, list[Decimal]]() for back in range(21)}
    for category, stream, dated in BILLED:
        for row in twilio.truth(stream, account):
            if row[dated] and row["price"] and (day := str(iso8601(timestamp(row[dated])))[:10]) in days:
                days[day].setdefault(category, []).append(abs(Decimal(row["price"])))
    used = (*(category for category, _, _ in BILLED), "phonenumbers", "totalprice")
    known = (*UNITS, *CATEGORIES, *MORE_CATEGORIES, *(f"add-on-{i}" for i in range(twilio.usage_categories)))
    unused = [name for name in dict.fromkeys(known) if name not in used][: max(0, twilio.usage_categories - len(used))]
    asked = str(iso8601(twilio.clock)).replace("Z", "+00:00")
    for day, prices in days.items():
        prices["phonenumbers"] = [NUMBER_PRICE] * len(NUMBERS) if day.endswith("-01") else []
        prices["totalprice"] = [sum((price for each in prices.values() for price in each), Decimal(0))]
        for category in used:
            spent = prices.get(category, [])
            about: Json = {
                "category": category,
                "count": str(len(spent)),
                **UNITS.get(category, {}),
                "usage": str(len(spent)),
                "price": f"{sum(spent, Decimal(0)):.5f}",
                "as_of": asked,
            }
            (last,) = twilio.add("usage_records", account, start_date=day, end_date=day, **about)
        for category in unused:
            zero: Json = {"category": category, "count": "0", "usage": "0", "price": "0", "count_unit": "units"}
            twilio.generic.copy(last, **zero | {"usage_unit": "units"} | UNITS.get(category, {}))


def _recordings(twilio: "Twilio", account: str) -> None:
    """Add recordings of completed calls: one is being processed and has no price yet, one was deleted."""
    calls = [row for row in twilio.present("calls", account) if row["status"] == "completed"][-8:]
    for i, call in enumerate(calls):
        about = {"call_sid": call["sid"], "duration": call["duration"], "start_time": call["start_time"]}
        if i == 5:
            about["conference_sid"] = twilio.present("conferences", account)[-1]["sid"]
        status, price = ("processing", None) if i == 7 else ("completed", "-0.0025")
        (made,) = twilio.add("recordings", account, created=call["start_time"], status=status, price=price, **about)
        if i == 2:
            twilio.change(made, status="deleted")


def _alerts(twilio: "Twilio", account: str) -> None:
    texts: Json = {
        "alert_text": "Msg=Attempt to retrieve content returned 502",
        "log_level": "error",
        "error_code": "11200",
    }
    twilio.add("alerts", account, n=6, since=twilio.clock - 26 * DAY, **texts)
    twilio.add("alerts", account, log_level="warning", error_code="30003", alert_text="Unreachable destination handset")


def _conversations(twilio: "Twilio", account: str) -> None:
    begun = twilio.clock - 9 * DAY
    (service,) = twilio.add("conversation_services", account, created=begun, friendly_name="Shop")
    for name, lines, state in (("Order 1041", 5, "active"), ("Order 977", 3, "closed")):
        # By another path, Twilio lists those of the default service.
        for prefix, above in (("", service), ("default_", None)):
            about: Json = {"friendly_name": name, "state": state}
            (talk,) = twilio.add(f"{prefix}conversations", account, above, created=begun, **about)
            for i in range(lines):
                content: Json = {"author": "front-desk" if i % 2 else "+14155550188", "body": SAID[i]}
                at = begun + i * 7 * MINUTE
                twilio.add(f"{prefix}conversation_messages", account, talk, created=at, **content)


def _studio(twilio: "Twilio", account: str) -> None:
    """Add one flow, four executions of it, of which the last is still running, and their steps."""
    begun = twilio.clock - 12 * DAY
    (flow,) = twilio.add("studio_flows", account, created=begun, friendly_name="Opening hours", status="published")
    for i in range(4):
        at = begun + i * 2 * DAY if i < 3 else twilio.clock - 5 * MINUTE
        status = "ended" if i < 3 else "active"
        (run,) = twilio.add("studio_executions", account, flow, created=at, status=status)
        for step, name in enumerate(("Trigger", "split_by_hour", "say_open")[: 3 if i < 3 else 2]):
            twilio.add("studio_execution_steps", account, run, created=at + step * 4, name=name)


def _below_handmade(twilio: "Twilio", account: str) -> None:
    """Add media of messages that have some, and participants of running conferences."""
    for message in twilio.present("messages", account):
        if message["num_media"] != "0":
            many = int(message["num_media"])
            twilio.add("message_media", account, message["sid"], n=many, created=message["date_created"])
    for conference in twilio.present("conferences", account):
        if conference["status"] in ("init", "in-progress"):
            calls = [row["sid"] for row in twilio.present("calls", account)[-2:]]
            for label, call in zip(("caller", "agent"), calls):
                about: Json = {"created": twilio.clock - HOUR // 4, "label": label, "call_sid": call}
                twilio.add("conference_participants", account, conference["sid"], **about)
