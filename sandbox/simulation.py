"""
The simulation: rows come, change and go while the clock advances.

Each new row gets its whole future when it is made (sent in 8 seconds, delivered in 12, read in two days); a heap holds
what is planned, and advancing the clock does what falls due, in order. It depends on the seed, on the clock and on what
was done before, so the same calls lead to the same rows.
"""

import heapq
from random import Random
from typing import TYPE_CHECKING, Any

from .people import OPTED_OUT, UNREGISTERED, UNVERIFIED, People, country_of
from .rows import ERRORS, FAILED_PRICE, ODD_TEXTS, TEXTS, Json, formatted, some_text
from .timestamps import DAY, HOUR, MINUTE, timestamp

if TYPE_CHECKING:
    from .twilio import Twilio

# What happens, and how often an hour, in all accounts together; the demo's totals follow from these.
RATES = {
    "message": 1.39,
    "call": 0.69,
    "conference": 0.093,
    "transcription": 0.046,
    "address": 0.0093,
    "redact": 0.03,
    "delete_message": 0.01,
    "delete_call": 0.005,
    "delete_transcription": 0.001,
    "edit_address": 0.005,
}

ISSUES = ("audio-latency", "digits-not-captured", "dropped-call", "imperfect-audio", "one-way-audio", "static-noise")
QUALITY = ("low_volume", "choppy_robotic", "echo", "dtmf", "latency", "owa", "static_noise")


def is_silent(given: Json) -> bool:
    """
    Return whether a change leaves `date_updated` alone: a price is filled in, or a body is redacted.

    No document says so; three reports do, and none says otherwise (production data of two connectors, the published
    example of a redaction).
    """
    is_redacted = given.get("body") == "" and set(given) <= {"body", "num_media"}
    return bool(given) and (is_redacted or set(given) <= {"price", "price_unit"})


class Simulation:
    """The planned future of one simulated Twilio."""

    def __init__(self, twilio: "Twilio") -> None:
        self.twilio = twilio
        self.odd = 0.04
        self._planned: list[tuple[int, int, str, str, Json]] = []  # (timestamp, number, what, sid, properties)
        self._count = 0
        self._recent: dict[str, list[str]] = {}  # rows made by life, to choose from
        self.people = People(twilio.seed)
        self._last_calls: dict[tuple[str, str], str] = {}  # the newest call of an account and direction

    def plan(self, at: int, what: str, sid: str = "", **properties: Any) -> None:
        """Plan something for a time."""
        self._count += 1
        heapq.heappush(self._planned, (at, self._count, what, sid, properties))

    def advance(self, seconds: int, busy: float = 1.0) -> None:
        """Move the clock on, doing what falls due on the way."""
        twilio = self.twilio
        start, end = twilio.clock, twilio.clock + seconds
        rng = Random(f"life {twilio.seed} {start}")
        for what, rate in RATES.items():
            expected = rate * busy * seconds / HOUR
            for _ in range(int(expected) + (rng.random() < expected % 1)):
                self.plan(start + 1 + int(rng.random() * seconds), what)
        while self._planned and self._planned[0][0] <= end:
            at, _, what, sid, properties = heapq.heappop(self._planned)
            twilio.at(max(at, start))
            self._happen(rng, what, sid, properties)
        twilio.at(end)

    def _happen(self, rng: Random, what: str, sid: str, properties: Json) -> None:
        if what in ("change", "feedback", "annotate"):
            row = self.twilio.rows.get(sid)
            if row is not None and row.deleted is None and row.account not in self.twilio.gone:
                getattr(self.twilio, what)(sid, **properties)
        elif what in ("message", "call", "conference", "transcription", "address"):
            getattr(self, f"_{what}")(rng, self._some_account(rng), self.twilio.clock)
        elif what == "redact":
            self._to_one(rng, "messages", body="", **({"num_media": "0"} if rng.random() < 0.2 else {}))
        elif what == "edit_address":
            self._to_one(rng, "addresses", street_secondary=rng.choice(("Floor 1", "", "c/o Ana")), validated=True)
        else:
            self._delete_one(rng, what.removeprefix("delete_") + "s")

    def _some_account(self, rng: Random) -> str:
        """Return an account for something new: the main account in half of all cases."""
        accounts = self.twilio.streams["accounts"].items()
        active = [sid for sid, row in accounts if row.data["status"] == "active" and row.deleted is None]
        return self.twilio.main if rng.random() < 0.5 or not active else rng.choice(active)

    def _one(self, rng: Random, stream: str) -> str:
        """Return some listed row of any age, or none."""
        sids = self._recent.setdefault(stream, [])
        if len(sids) < len(self.twilio.streams[stream]):
            sids[:] = self.twilio.streams[stream]
        for _ in range(20):
            sid = rng.choice(sids) if sids else ""
            row = self.twilio.rows.get(sid)
            if row is not None and row.deleted is None and row.created < self.twilio.clock:
                return sid
        return ""

    def _to_one(self, rng: Random, stream: str, **properties: Any) -> None:
        if sid := self._one(rng, stream):
            self.twilio.change(sid, **properties)

    def _delete_one(self, rng: Random, stream: str) -> None:
        if sid := self._one(rng, stream):
            self.twilio.delete(sid)

    def _message(self, rng: Random, account: str, now: int) -> None:
        text, draw = some_text(rng, self.odd), rng.random()
        new: Json = {"body": text, "num_media": "1" if rng.random() < 0.03 else "0"}
        if draw < 0.30:
            person, number, new["body"] = self.people.write(account, now, text)
            service = self.people.party(account, now).service_of(number)
            self.twilio.messages(1, account, "received", from_=person, to=number, messaging_service_sid=service, **new)
            return
        is_scheduled = draw < 0.40  # only a messaging service sends later
        person, number, is_blocked = self.people.recipient(account, now, with_service=is_scheduled)
        service = self.people.party(account, now).service_of(number)
        new |= {"from": number, "to": person, "messaging_service_sid": service}
        if is_scheduled:
            (sid,) = self.twilio.messages(1, account, "scheduled", **new)
            when = now + rng.randrange(15 * MINUTE, 35 * DAY)
            if rng.random() < 0.25:
                self.plan(rng.randrange(now, when), "change", sid, status="canceled")
                return
            self.plan(when, "change", sid, status="queued")
        else:
            (sid,) = self.twilio.messages(1, account, rng.choice(("queued", "accepted")), **new)
            when = now
        error = rng.choice(list(ERRORS))
        failure = {"error_code": error, "error_message": ERRORS[error]}
        if is_blocked:
            self.plan(when + 1, "change", sid, status="failed", error_code=OPTED_OUT)
            return
        if rng.random() < 0.03:
            price = FAILED_PRICE if when % 10 else None
            self.plan(when + rng.randrange(1, 60), "change", sid, status="failed", error_code=error, price=price)
            return
        sent = when + rng.choice((rng.randrange(1, 20), rng.randrange(20, 600)))
        self.plan(sent, "change", sid, status="sent")
        self.plan(sent + rng.randrange(1, 6 * HOUR), "change", sid, price="-0.00750")
        draw = rng.random()
        if draw < 0.30 and self._is_unregistered(account, number, person):
            failure = {"error_code": UNREGISTERED[0], "error_message": UNREGISTERED[1]}
            self.plan(sent + rng.randrange(5, 60), "change", sid, status="undelivered", **failure)
        elif draw < 0.06:
            self.plan(sent + rng.randrange(30, 2 * DAY), "change", sid, status="undelivered", **failure)
        elif draw < 0.95:
            delivered = sent + rng.choice((rng.randrange(1, 15), rng.randrange(15, 8 * HOUR)))
            if new["num_media"] != "0" and draw > 0.20:
                # It stays `sent`, and its date_updated moves 6,581 to 7,708 s later (7 of 7 recorded, live accounts).
                self.plan(sent + 6581 + sent % 1128, "change", sid, status="sent")
                return
            self.plan(delivered, "change", sid, status="delivered")
            if draw < 0.20:
                self.plan(delivered + rng.randrange(MINUTE, 5 * DAY), "change", sid, status="read")

    def _is_unregistered(self, account: str, number: str, person: str) -> bool:
        """Return whether carriers of the US may refuse a message: its service has no verified campaign."""
        party = self.people.party(account, self.twilio.clock)
        return party.purpose_of(number) == UNVERIFIED and country_of(person) == "US"

    def _connect(self, sid: str, account: str, now: int) -> None:
        """Give a new call its two numbers, and an outbound leg of a dial the inbound call that it belongs to."""
        row = self.twilio.rows[sid]
        person, number = self.people.pair(account, now)
        direction = row.data["direction"]
        from_, to = (person, number) if direction == "inbound" else (number, person)
        numbers = {"from": from_, "from_formatted": formatted(from_), "to": to, "to_formatted": formatted(to)}
        parent = self._last_calls.get((account, "inbound")) if direction == "outbound-dial" else None
        row.update(numbers | {"parent_call_sid": parent})
        self._last_calls[account, direction] = self._last_calls[account, ""] = sid

    def _call(self, rng: Random, account: str, now: int) -> None:
        (sid,) = self.twilio.calls(1, account, "queued", caller_name=rng.choice((None, "", "OWL DENTAL", ODD_TEXTS[0])))
        self._connect(sid, account, now)
        draw, ringing = rng.random(), now + rng.randrange(1, 240)
        if draw < 0.04:
            self.plan(ringing, "change", sid, status="canceled")
            return
        self.plan(ringing, "change", sid, status="ringing", queue_time=str((ringing - now) * 1000))
        answered = ringing + rng.randrange(2, 30)
        if draw < 0.18:
            status = rng.choice(("busy", "no-answer", "failed"))
            price = {"price": "0.00000"} if status == "failed" else {}
            self.plan(answered, "change", sid, status=status, **price)
            return
        ended = answered + rng.choice((rng.randrange(5, 300), rng.randrange(300, 3 * HOUR)))
        self.plan(answered, "change", sid, status="in-progress")
        self.plan(ended, "change", sid, status="completed")
        if rng.random() < 0.93:
            minutes = -(-(ended - answered) // 60)
            self.plan(ended + rng.randrange(30, 8 * HOUR), "change", sid, price=f"-{minutes * 0.013:.5f}")
        if rng.random() < 0.06:
            self._opinion(rng, sid, ended)

    def _opinion(self, rng: Random, sid: str, ended: int) -> None:
        """Add feedback or an annotation or both, and sometimes change it."""
        given, how = ended + rng.randrange(MINUTE, 3 * DAY), rng.random()
        times = [given] if rng.random() < 0.8 else [given, given + rng.randrange(HOUR, 10 * DAY)]
        for at in times:
            score = rng.choice((5, 5, 4, 3, 2, 1))
            if how < 0.85:
                issues = [] if score > 3 else sorted(rng.sample(ISSUES, rng.randrange(3)))
                self.plan(at, "feedback", sid, quality_score=score, issues=issues)
            if how > 0.55:
                quality = ["no_quality_issue"] if score > 3 else sorted(rng.sample(QUALITY, rng.randrange(1, 3)))
                comment = rng.choice(("", rng.choice(TEXTS), some_text(rng, 1.0)))
                self.plan(at + 5, "annotate", sid, call_score=score, quality_issues=quality, comment=comment)

    def _conference(self, rng: Random, account: str, now: int) -> None:
        name = some_text(rng, 1.0) if rng.random() < self.odd else f"Room {rng.randrange(1, 30)}"
        (sid,) = self.twilio.conferences(1, account, "init", friendly_name=name)
        begins = now + rng.randrange(5, 600)
        ends = begins + rng.randrange(MINUTE, 4 * HOUR)
        self.plan(begins, "change", sid, status="in-progress")
        self.plan(
            ends,
            "change",
            sid,
            status="completed",
            call_sid_ending_conference=self._last_calls.get((account, ""), f"CA{rng.getrandbits(128):032x}"),
            reason_conference_ended=rng.choice(
                ("last-participant-left", "conference-ended-via-api", "participant-with-end-conference-on-exit-left")
            ),
        )

    def _transcription(self, rng: Random, account: str, now: int) -> None:
        (sid,) = self.twilio.transcriptions(1, account, "in-progress")
        done = now + rng.randrange(20, 20 * MINUTE)
        if rng.random() < 0.05:
            self.plan(done, "change", sid, status="failed", transcription_text="(blank)")
            return
        self.plan(done, "change", sid, status="completed", transcription_text=some_text(rng, self.odd))
        self.plan(done + rng.randrange(5 * HOUR), "change", sid, price=rng.choice(("-0.05000", "-0.10000", "-0.00750")))

    def _address(self, rng: Random, account: str, now: int) -> None:
        name = some_text(rng, 1.0) if rng.random() < 0.2 else rng.choice(("Main office", "Warehouse", ""))
        self.twilio.addresses(1, account, friendly_name=name)

    def three_months(self) -> None:
        """Create the demo's history up to 2026-04-01 at nine, with something of everything under way."""
        twilio = self.twilio
        twilio.change(twilio.main, friendly_name="Owl Dental")
        names = ("Blue Door Books", "Nord & Söhne", "Old campaign", "Trial run")
        shop, clinic, suspended, closed = [twilio.add_account(friendly_name=name) for name in names]
        end = timestamp("2026-04-01T09:00:00Z")
        self.advance(40 * DAY)
        twilio.close(closed)
        self.advance(20 * DAY)
        twilio.change(suspended, status="suspended")
        self.advance(end - 10 - twilio.clock)
        for text in ODD_TEXTS:  # whatever the seed: each odd text at least once
            self.plan(twilio.clock + 1, "change", self._one(Random(ascii(text)), "messages"), body=text)
        self.advance(2)
        for status in ("scheduled", "canceled", "failed", "queued"):
            twilio.messages(2, shop, status)
        twilio.calls(2, clinic, "queued")
        twilio.calls(2, twilio.main, "in-progress")
        twilio.conferences(1, shop, "init", friendly_name="NUL \u0000 and half \udc00 an emoji")
        twilio.conferences(1, twilio.main, "in-progress")
        twilio.at(end)
