"""
A little of everything, for the demo: what its rows are is made up here, and their shape comes from the facts.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .twilio import Twilio


def fill(twilio: "Twilio") -> None:
    """Rows of the lists that are not made by hand."""
