"""How Twilio is asked: hosts, credentials, one attempt, envelopes, how many requests at once."""
