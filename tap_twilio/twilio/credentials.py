"""
Chooses the credentials of a request: those of the settings, or a subaccount's own. client.py asks before each request.

Product hosts read only the account whose credentials come with the request (docs, iam/api/subaccounts). With the main
account's auth token, Twilio's list of accounts shows each subaccount's token. run/accounts.py passes it on; it stays in
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .request import Fetch


@dataclass
class Credentials:
    """The user and password of each account. `hide` gets every secret, to keep it out of the log."""

    account: str
    user: str
    password: str = field(repr=False)
    hide: Callable[[str, str], None] = lambda user, password: None
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.hide(self.user, self.password)

    def learn(self, account: str, token: str) -> None:
        """Keep a subaccount's own token."""
        if account != self.account:
            self.hide(account, token)
            self._tokens[account] = token

    def reads(self, account: str, needs_own: bool) -> bool:
        """Return whether an account can be read. `needs_own`: only with its own credentials."""
        return not needs_own or account == self.account or account in self._tokens

    def for_request(self, fetch: Fetch) -> tuple[str, str]:
        """Return user and password for a request."""
        if fetch.own_credentials and fetch.account != self.account:
            return fetch.account, self._tokens[fetch.account]
        return self.user, self.password
