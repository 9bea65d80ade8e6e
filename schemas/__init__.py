"""One JSON Schema a stream, `<name>.json`; installed as the package `tap_twilio.schemas`."""
