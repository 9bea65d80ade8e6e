"""
Estimates Twilio's clock from the `Date` headers of its responses.

response.py shows each `Date` to the clock. Bookmarks are times of this clock, never of this machine's.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from tap_twilio.timestamps import Timestamp, machine_now, to_datetime

LOGGER = logging.getLogger("tap_twilio")
TOLERANCE = timedelta(hours=1)  # the largest difference of two Dates that agree, less the time between them


class Clock:
    """
    Twilio's clock. It compares how far each `Date` is ahead of this machine's clock: its lead.

    The clock is settled once two responses agree, or one response agrees with this machine. From then on the earlier
    `Date` wins, since a bookmark that is too early costs a second read, and one that is too late loses changes. So the
    clock ignores a `Date` too far ahead, and a `Date` too far behind puts the clock back. Then `put_back` is true:
    timestamps taken before may be too late.
    """

    def __init__(self, machine_counts: bool = False) -> None:
        self.now: Timestamp = ""
        self.settled = self.put_back = False
        self._lead: timedelta | None = None  # the smallest lead of any believed Date
        self._leads = [timedelta(0)] if machine_counts else []  # those seen before the clock was settled
        self._warned = False

    def observe(self, date: Timestamp, received_at: Timestamp = "") -> None:
        """Take the `Date` of a response, received at that time by this machine's clock."""
        lead = to_datetime(date) - to_datetime(received_at or machine_now())
        if not self.settled:
            self._settle(date, lead)
        elif self._lead is None or lead < self._lead - TOLERANCE:
            self._warn(lead)
            self.now, self._lead, self.put_back = date, lead, True
        elif lead > self._lead + TOLERANCE:
            self._warn(lead)
        else:
            self.now, self._lead = max(self.now, date), min(self._lead, lead)

    def _settle(self, date: Timestamp, lead: timedelta) -> None:
        agreeing = [other for other in self._leads if abs(other - lead) <= TOLERANCE]
        self._leads.append(lead)
        self.settled = bool(agreeing)
        if self.settled or self._lead is None or lead < self._lead:
            self.now, self._lead = date, min(lead, *agreeing) if agreeing else lead
        if self.settled and len(self._leads) > 2:
            self._warn(next(other for other in self._leads if abs(other - lead) > TOLERANCE))

    def _warn(self, lead: timedelta) -> None:
        if not self._warned and self._lead is not None:
            self._warned = True
            apart = timedelta(seconds=round(abs(lead - self._lead).total_seconds()))
            LOGGER.warning("two of Twilio's answers have a Date %s apart: the tap ignores the implausible one", apart)
