"""The HTTP layer: hosts, credentials, requests and their retries, responses, rate limits."""
