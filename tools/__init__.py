"""What a person runs by hand, with Twilio's OpenAPI documents at hand; nothing here runs with the tap."""
