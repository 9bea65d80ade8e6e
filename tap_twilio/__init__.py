"""tap-twilio: a Singer tap that keeps a warehouse equal to a Twilio account."""

__version__ = "0.2.0.dev0"
