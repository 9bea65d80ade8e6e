"""tap-twilio: a Singer tap that keeps a warehouse equal to a Twilio account."""

__version__ = "0.1.0"
