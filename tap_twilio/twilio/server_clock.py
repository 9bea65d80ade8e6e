"""Twilio's clock, as its answers show it."""

from __future__ import annotations

import logging
from datetime import timedelta

from tap_twilio.timestamps import Timestamp, machine_now, parse_timestamp

LOGGER = logging.getLogger("tap_twilio")
AGREE = timedelta(hours=1)  # how far apart two answers' Dates may be, beside the time that passed between them


class Clock:
    """
    Twilio's clock, as its answers show it: each `Date` is held against the others, by the time that passed here.

    It is settled once two answers agree, or one with this machine. From then on the earlier wins: a bookmark that is
    too early costs reading again, one that is too late loses changes. So a Date too far ahead is not believed, and one
    behind puts the clock back. `put_back` says that it happened: moments taken before may be too late.
    """

    def __init__(self, machine_counts: bool = False) -> None:
        self.now: Timestamp = ""
        self.settled = self.put_back = False
        self._least: timedelta | None = None  # of the answers believed, how far they are ahead of this machine
        self._seen = [timedelta(0)] if machine_counts else []  # before it was settled
        self._said = False

    def saw(self, date: Timestamp, received_at: Timestamp = "") -> None:
        ahead = parse_timestamp(date) - parse_timestamp(received_at or machine_now())
        if not self.settled:
            self._settle(date, ahead)
        elif self._least is None or ahead < self._least - AGREE:
            self._say(ahead)
            self.now, self._least, self.put_back = date, ahead, True
        elif ahead > self._least + AGREE:
            self._say(ahead)
        else:
            self.now, self._least = max(self.now, date), min(self._least, ahead)

    def _settle(self, date: Timestamp, ahead: timedelta) -> None:
        twins = [other for other in self._seen if abs(other - ahead) <= AGREE]
        self._seen.append(ahead)
        self.settled = bool(twins)
        if self.settled or self._least is None or ahead < self._least:
            self.now, self._least = date, min(ahead, *twins) if twins else ahead
        if self.settled and len(self._seen) > 2:
            self._say(next(other for other in self._seen if abs(other - ahead) > AGREE))

    def _say(self, ahead: timedelta) -> None:
        if not self._said and self._least is not None:
            self._said = True
            apart = timedelta(seconds=round(abs(ahead - self._least).total_seconds()))
            LOGGER.warning("two of Twilio's answers bear a Date %s apart: the one out of line is not believed", apart)
