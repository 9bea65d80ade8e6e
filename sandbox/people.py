"""
Who writes and calls whom: the numbers of each account, the people that it talks to, and who of them said STOP.

Its draws are its own, so that the rest of the simulation does not depend on them.
"""

from dataclasses import dataclass, field
from random import Random

from .timestamps import DAY, HOUR

# Numbers of nobody, and how many of ten people have one of the country: 555, and ranges that regulators keep for
# fiction. `#` stands for any digit.
RANGES = {
    "US": (("+1415555####", "+1202555####", "+1646555####", "+1312555####"), 5),
    "CA": (("+161355501##", "+160455501##"), 1),
    "GB": (("+447700900###",), 2),
    "DE": (("+4917139200##",), 1),
    "FR": (("+3363998####",), 1),
}
# Where calls of these countries enter Twilio.
REGIONS = {"US": "us1", "CA": "us1", "GB": "ie1", "DE": "de1", "FR": "ie1"}
PEOPLE = 240  # that an account knows

# Purpose of each number, and how long after the account's first message or call it was in use. The first two belong to
# the messaging services of the same names.
NUMBERS = (
    ("Reminders", None),
    ("Offers", None),
    ("Front desk", None),
    ("Trade fair", 40 * DAY),
    ("Pilot", 20 * HOUR),
    ("Spare", 0),
)
SERVICES = ("Reminders", "Offers")
UNVERIFIED = "Offers"  # its A2P campaign is not verified, so carriers of the US refuse some of its messages
OPTED_OUT = 21610
UNREGISTERED = (30034, "US A2P 10DLC - Message from an Unregistered Number")


@dataclass
class Party:
    """One account: its numbers, the people that it knows, and the pairs of person and sender that are stopped."""

    numbers: tuple[str, ...]
    services: tuple[str, ...]
    people: tuple[str, ...]
    begun: int
    stopped: set[tuple[str, str]] = field(default_factory=set)

    def service_of(self, number: str) -> str | None:
        """Return the messaging service that a number of the account belongs to."""
        at = self.numbers.index(number)
        return self.services[at] if at < len(self.services) else None

    def purpose_of(self, number: str) -> str:
        """Return the purpose of a number of the account."""
        return NUMBERS[self.numbers.index(number)][0]

    def sender(self, number: str) -> str:
        """Return what STOP applies to: the number's messaging service, or else the number."""
        return self.service_of(number) or number


class People:
    """The parties of one simulated Twilio."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(f"people {seed}")
        self.parties: dict[str, Party] = {}

    def party(self, account: str, now: int) -> Party:
        """Return an account's numbers and people."""
        if account not in self.parties:
            rng = Random(f"people {self.seed} {account}")
            services = tuple(f"MG{rng.getrandbits(128):032x}" for _ in SERVICES)
            numbers = tuple(f"+1737555{10 * len(self.parties) + i:04}" for i in range(len(NUMBERS)))
            countries = [country for country, (_, share) in RANGES.items() for _ in range(share)]
            known = (_number(rng, rng.choice(countries)) for _ in range(PEOPLE))
            self.parties[account] = Party(numbers, services, tuple(dict.fromkeys(known)), now)
        return self.parties[account]

    def pair(self, account: str, now: int, with_service: bool = False) -> tuple[str, str]:
        """Return a person and the number of the account that talks to this person; mostly the same number."""
        party, rng = self.party(account, now), self.rng
        person = rng.choice(party.people)
        usable = [
            number
            for number, (_, last) in zip(party.numbers, NUMBERS)
            if (last is None or now < party.begun + last) and (party.service_of(number) or not with_service)
        ]
        usual = usable[sum(map(ord, person)) % len(usable)]
        return person, usual if rng.random() < 0.8 else rng.choice(usable)

    def write(self, account: str, now: int, text: str) -> tuple[str, str, str]:
        """Return who writes to which number, and what: the text, or START from about half of those who said STOP."""
        party, (person, number) = self.party(account, now), self.pair(account, now)
        key = (person, party.sender(number))
        if key in party.stopped and self.rng.random() < 0.5:
            party.stopped.discard(key)
            return person, number, "START"
        if text == "STOP":
            party.stopped.add(key)
        return person, number, text

    def recipient(self, account: str, now: int, with_service: bool) -> tuple[str, str, bool]:
        """
        Return a recipient and a sender, and whether Twilio blocks the message: the recipient said STOP to this sender.

        Only a message of a messaging service is kept as a failed one; otherwise Twilio refuses to create it.
        """
        party = self.party(account, now)
        while True:
            person, number = self.pair(account, now, with_service)
            is_stopped = (person, party.sender(number)) in party.stopped
            if not is_stopped or party.service_of(number):
                return person, number, is_stopped


def _number(rng: Random, country: str) -> str:
    return "".join(rng.choice("0123456789") if sign == "#" else sign for sign in rng.choice(RANGES[country][0]))


def country_of(number: str) -> str:
    """
    Return the country of a simulated number.

    >>> country_of("+447700900123"), country_of("+16135550123"), country_of("+14155550123")
    ('GB', 'CA', 'US')
    """
    found = (c for c, (ranges, _) in RANGES.items() if any(number.startswith(r.rstrip("#")[:5]) for r in ranges))
    return next(found, "US")
