"""Twilio's clock, as its answers show it."""

from __future__ import annotations

from tap_twilio.moments import Moment


class Clock:
    """Twilio's clock, as its latest answer showed it."""

    def __init__(self) -> None:
        self.now: Moment = ""

    def saw(self, date: Moment) -> None:
        self.now = max(self.now, date)
