"""The answers to the questions of docs/questions.md, counted in plain Python in a simulated account."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from math import ceil
from typing import Any

from sandbox import Twilio
from sandbox.people import country_of
from sandbox.timestamps import DAY, iso8601, timestamp
from testing.taps import Json

FAILED = ("failed", "undelivered")
STOPS = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE")
STARTS = ("START", "YES", "UNSTOP")
# Voice Insights keeps 30 days, and the tap asks for one less, since that limit moves while it reads.
SUMMARIZED = 29 * DAY


def row_of(row: Json, should: list[Json]) -> tuple[Any, ...]:
    """Return the columns of a model's row that the truth has, numbers with six digits after the point."""
    return tuple(rounded(row[name]) for name in should[0])


def rounded(value: Any) -> Any:
    """Return a fraction with six digits after the point, a date as text, and anything else as it is."""
    if isinstance(value, Decimal):
        return round(value, 6)
    return str(value) if isinstance(value, date) else value


def price_of(row: Json) -> Decimal:
    return -Decimal(row["price"] or 0)


def day_of(when: str) -> str:
    return str(iso8601(timestamp(when)))[:10]


def outbound(twilio: Twilio) -> list[Json]:
    return [row for row in twilio.present("messages") if row["direction"] != "inbound"]


def delivery_failures(twilio: Twilio) -> list[Json]:
    sent, failures, spent = Counter[Any](), Counter[Any](), defaultdict[Any, Decimal](Decimal)
    for row in outbound(twilio):
        if row["date_sent"]:
            place = row["account_sid"], country_of(row["to"])
            sent[place] += 1
            if row["status"] in FAILED:
                failure = (*place, row["error_code"])
                failures[failure] += 1
                spent[failure] += price_of(row)
    return [
        {
            "account_sid": account,
            "country": country,
            "error_code": code,
            "failures": n,
            "messages_to_country": sent[account, country],
            "failure_rate": rounded(Decimal(n) / sent[account, country]),
            "spent_on_failures": rounded(spent[account, country, code]),
        }
        for (account, country, code), n in failures.items()
    ]


def spend_by_product(twilio: Twilio) -> list[Json]:
    rows = defaultdict[Any, Decimal](Decimal)
    unpriced = Counter[Any]()
    dates = {
        "messages": "date_sent",
        "calls": "end_time",
        "recordings": "date_created",
        "transcriptions": "date_created",
    }
    for product, dated in dates.items():
        for row in twilio.present(product):
            if row[dated]:
                place = row["account_sid"], day_of(row[dated]), product
                rows[place] += price_of(row)
                unpriced[place] += row["price"] is None
    products = {"sms": "messages", "mms": "messages", "totalprice": "total"} | {name: name for name in dates}
    usage = defaultdict[Any, Decimal](Decimal)
    for row in twilio.present("usage_records"):
        if row["category"] in products:
            usage[row["account_sid"], row["start_date"], products[row["category"]]] += Decimal(row["price"])
    return [
        {
            "account_sid": account,
            "date_day": day,
            "product": product,
            "usage_spend": rounded(spend),
            "row_spend": None if product == "total" else rounded(rows[account, day, product]),
            "difference": None if product == "total" else rounded(spend - rows[account, day, product]),
            "rows_without_price": unpriced[account, day, product],
        }
        for (account, day, product), spend in usage.items()
    ]


def a2p_campaigns(twilio: Twilio) -> list[Json]:
    campaigns = {row["messaging_service_sid"]: row["campaign_status"] for row in twilio.present("us_app_to_person")}
    answers = []
    for service in twilio.present("messaging_services"):
        sent = [
            row
            for row in outbound(twilio)
            if row["messaging_service_sid"] == service["sid"] and row["date_sent"] and country_of(row["to"]) == "US"
        ]
        refused = [row for row in sent if row["error_code"] == 30034]
        answers.append(
            {
                "messaging_service_sid": service["sid"],
                "service_name": service["friendly_name"],
                "campaign_status": campaigns.get(service["sid"], "NONE"),
                "us_messages": len(sent),
                "failures": sum(row["status"] in FAILED for row in sent),
                "a2p_failures": len(refused),
                "spent_on_a2p_failures": rounded(sum(map(price_of, refused), Decimal(0))),
            }
        )
    return answers


def number_usage(twilio: Twilio) -> list[Json]:
    used: dict[str, int] = {}
    for row in twilio.present("messages") + twilio.present("calls"):
        for number in (row["from"], row["to"]):
            used[number] = max(used.get(number, 0), timestamp(row["date_created"]))
    newest = max(used.values()) // DAY
    answers = []
    for row in twilio.present("incoming_phone_numbers"):
        since = used.get(row["phone_number"], timestamp(row["date_created"]))
        days = newest - since // DAY
        answers.append({"phone_number_sid": row["sid"], "days_unused": days, "is_unused": days >= 90})
    return answers


def messages_after_stop(twilio: Twilio) -> list[Json]:
    words = defaultdict[Any, list[tuple[int, str, str]]](list)
    for row in twilio.present("messages"):
        if row["direction"] == "inbound" and (word := row["body"].strip().upper()) in (*STOPS, *STARTS):
            sender = row["messaging_service_sid"] or row["to"]
            words[row["account_sid"], row["from"]].append((timestamp(row["date_sent"]), sender, word))
    answers = []
    for row in outbound(twilio):
        if not row["date_sent"]:
            continue
        last = {
            sender: word
            for said, sender, word in sorted(words[row["account_sid"], row["to"]])
            if said < timestamp(row["date_sent"])
        }
        stopped = {sender for sender, word in last.items() if word in STOPS}
        if stopped or row["error_code"] == 21610:
            is_same = (row["messaging_service_sid"] or row["from"]) in stopped
            outcome = "sent by the same sender" if is_same else "sent by another sender"
            outcome = "failed" if row["status"] in FAILED else outcome
            outcome = "blocked" if row["error_code"] == 21610 else outcome
            answers.append({"account_sid": row["account_sid"], "message_sid": row["sid"], "outcome": outcome})
    return answers


def call_quality(twilio: Twilio) -> list[Json]:
    annotated = {row["call_sid"]: row["call_score"] for row in twilio.present("annotations") if row["call_score"]}
    scores = annotated | {row["sid"]: row["quality_score"] for row in twilio.present("call_feedback")}
    summaries = {
        row["call_sid"]: row["carrier_edge"]["properties"]["media_region"]
        for row in twilio.present("call_summaries")
        if row["carrier_edge"] and timestamp(row["start_time"]) >= twilio.clock - SUMMARIZED
    }
    found = Counter((twilio.rows[sid].account, summaries.get(sid, "unknown"), score) for sid, score in scores.items())
    return [
        {"account_sid": account, "region": region, "quality_score": score, "calls": n}
        for (account, region, score), n in found.items()
    ]


def time_to_delivery(twilio: Twilio) -> list[Json]:
    seconds = defaultdict[Any, list[int]](list)
    for row in outbound(twilio):
        if row["status"] == "delivered" and row["date_updated"]:
            lasted = timestamp(row["date_updated"]) - timestamp(row["date_sent"])
            seconds[row["account_sid"], country_of(row["to"])].append(lasted)
    return [
        {
            "account_sid": account,
            "country": country,
            "messages": len(all_seconds),
            "median_seconds": sorted(all_seconds)[ceil(0.5 * len(all_seconds)) - 1],
            "p95_seconds": sorted(all_seconds)[ceil(0.95 * len(all_seconds)) - 1],
            "within_a_minute": rounded(Decimal(sum(s <= 60 for s in all_seconds)) / len(all_seconds)),
        }
        for (account, country), all_seconds in seconds.items()
    ]


def conference_minutes(twilio: Twilio) -> list[Json]:
    rooms = {
        row["conference_sid"]: row["duration_seconds"]
        for row in twilio.present("conference_summaries")
        if timestamp(row["create_time"]) >= twilio.clock - SUMMARIZED
    }
    people = defaultdict[str, list[int]](list)
    for row in twilio.present("conference_participant_summaries"):
        if row["conference_sid"] in rooms:
            people[row["conference_sid"]].append(row["duration_seconds"])
    days = defaultdict[Any, list[str]](list)
    for row in twilio.present("conferences"):
        days[row["account_sid"], day_of(row["date_created"])].append(row["sid"])
    return [
        {
            "account_sid": account,
            "date_day": day,
            "conferences": len(sids),
            "conferences_without_summary": sum(sid not in rooms for sid in sids),
            "room_minutes": rounded(Decimal(sum(rooms.get(sid, 0) for sid in sids)) / 60),
            "participants": sum(len(people[sid]) for sid in sids),
            "participant_minutes": rounded(Decimal(sum(sum(people[sid]) for sid in sids)) / 60),
        }
        for (account, day), sids in days.items()
    ]


ANSWERS: dict[str, Callable[[Twilio], list[Json]]] = {
    answer.__name__: answer
    for answer in (
        delivery_failures,
        spend_by_product,
        a2p_campaigns,
        number_usage,
        messages_after_stop,
        call_quality,
        time_to_delivery,
        conference_minutes,
    )
}
