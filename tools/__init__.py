"""Tools to run by hand, with Twilio's OpenAPI documents; nothing here runs with the tap."""
