"""`python -m tap_twilio` is `tap-twilio`."""

from .cli import main

main()
