"""
A little of everything, for the demo: what its rows say is made up here, and their shape comes from the facts.

It draws from a randomness of its own, so that the six lists made by hand stay as they are.
"""

from typing import TYPE_CHECKING

from .catalog import facts
from .filters import CATEGORIES, MORE_CATEGORIES
from .generic import is_generic
from .rows import Json
from .timestamps import DAY, HOUR, MINUTE, iso8601

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
    """Add rows to the generated lists: for the main account and its first active subaccount."""
    accounts = [row["sid"] for row in twilio.present("accounts") if row["status"] == "active"]
    for account in accounts[:2]:
        _numbers(twilio, account)
        add_usage(twilio, account)
        _recordings(twilio, account)
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
    twilio.add("incoming_phone_numbers", account, n=3, since=long_ago, status="in-use")
    twilio.add("outgoing_caller_ids", account, n=2, created=long_ago, friendly_name=lambda i: f"Front desk {i + 1}")
    twilio.add("messaging_services", account, created=long_ago, friendly_name="Reminders")


# Units of usage, and the count of a total, as recorded (live account, 2026); `units` without a line here.
UNITS: dict[str, Json] = {
    "totalprice": {"count": None, "count_unit": "", "usage_unit": "usd"},
    "sms": {"count_unit": "messages", "usage_unit": ""},
    "mms": {"count_unit": "messages", "usage_unit": "segments"},
    "sms-messages-features": {"count_unit": None, "usage_unit": None},
    "calls-pay-verb-transactions": {"count_unit": "Transactions", "usage_unit": None},
    **{name: {"count_unit": "", "usage_unit": ""} for name in ("flex-usage", "group-rooms", "conversations")},
}


def add_usage(twilio: "Twilio", account: str) -> None:
    """Add categories for each day that the tap reads again: three that are used, and others, whose count is zero."""
    used = ("calls", "sms", "totalprice")
    known = (*UNITS, *CATEGORIES, *MORE_CATEGORIES, *(f"add-on-{i}" for i in range(twilio.usage_categories)))
    unused = [name for name in dict.fromkeys(known) if name not in used][: max(0, twilio.usage_categories - len(used))]
    for back in range(21):
        day, asked = twilio.clock - back * DAY, str(iso8601(twilio.clock)).replace("Z", "+00:00")
        for category, count in (("calls", 31 - back), ("sms", 60 + 3 * back), ("totalprice", 0)):
            price = f"{0.0075 * count:.5f}" if count else "1.21500"
            about: Json = {
                "category": category,
                "count": str(count),
                **UNITS.get(category, {}),
                "usage": str(count),
                "price": price,
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
            for label in ("caller", "agent"):
                began = twilio.clock - HOUR // 4
                twilio.add("conference_participants", account, conference["sid"], created=began, label=label)
