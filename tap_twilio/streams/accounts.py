"""Account credentials: accounts.twilio.com. Facts: OpenAPI twilio_accounts_v1."""

from .model import Product, Stream

CREDENTIALS = Product("accounts", "/v1")

STREAMS = (
    Stream("account_aws_credentials", CREDENTIALS, "Credentials/AWS", "credentials"),
    Stream("account_public_keys", CREDENTIALS, "Credentials/PublicKeys", "credentials"),
)
