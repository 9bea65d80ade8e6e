"""Estimate Twilio's clock from the `Date` headers of its responses."""

from __future__ import annotations

import logging
from datetime import timedelta

from tap_twilio.timestamps import Timestamp, machine_now, to_datetime

LOGGER = logging.getLogger("tap_twilio")
TOLERANCE = timedelta(hours=1)  # the largest difference of two Dates that agree, less the time between them


class Clock:
    """
    Twilio's clock. Each `Date` is compared with the others, less the time that passed on this machine.

    The clock is settled once two responses agree, or one response with this machine. From then on the earlier `Date`
    wins, since an early bookmark costs a second read, and a late one loses changes: the clock ignores a `Date` too far
    ahead, and a `Date` too far behind puts it back. After that, `put_back` is true: earlier timestamps may be too late.
    """

    def __init__(self, machine_counts: bool = False) -> None:
        self.now: Timestamp = ""
        self.settled = self.put_back = False
        self._least: timedelta | None = None  # the smallest lead over this machine of any believed Date
        self._seen = [timedelta(0)] if machine_counts else []  # leads before the clock was settled
        self._warned = False

    def observe(self, date: Timestamp, received_at: Timestamp = "") -> None:
        """Take the `Date` of a response, received at that time by this machine's clock."""
        ahead = to_datetime(date) - to_datetime(received_at or machine_now())
        if not self.settled:
            self._settle(date, ahead)
        elif self._least is None or ahead < self._least - TOLERANCE:
            self._warn(ahead)
            self.now, self._least, self.put_back = date, ahead, True
        elif ahead > self._least + TOLERANCE:
            self._warn(ahead)
        else:
            self.now, self._least = max(self.now, date), min(self._least, ahead)

    def _settle(self, date: Timestamp, ahead: timedelta) -> None:
        agreeing = [other for other in self._seen if abs(other - ahead) <= TOLERANCE]
        self._seen.append(ahead)
        self.settled = bool(agreeing)
        if self.settled or self._least is None or ahead < self._least:
            self.now, self._least = date, min(ahead, *agreeing) if agreeing else ahead
        if self.settled and len(self._seen) > 2:
            self._warn(next(other for other in self._seen if abs(other - ahead) > TOLERANCE))

    def _warn(self, ahead: timedelta) -> None:
        if not self._warned and self._least is not None:
            self._warned = True
            apart = timedelta(seconds=round(abs(ahead - self._least).total_seconds()))
            LOGGER.warning("two of Twilio's answers have a Date %s apart: the tap ignores the implausible one", apart)
