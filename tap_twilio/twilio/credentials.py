"""
Chooses the credentials of a request: those of the settings, or the account's own. client.py asks before each request.

Product hosts read only the account whose credentials come with the request (docs, iam/api/subaccounts). With the main
account's auth token, Twilio's list of accounts shows each subaccount's token. run/accounts.py passes it on; it stays in
memory. An account with a key in the setting `credentials` is read with this key, on all hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .request import Fetch


@dataclass
class Credentials:
    """The user and password of each account. `hide` gets every secret, to keep it out of the log."""

    account: str
    user: str
    password: str = field(repr=False)
    hide: Callable[[str, str], None] = lambda user, password: None
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)  # of the setting `credentials`
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for user, password in [(self.user, self.password), *self.keys.values()]:
            self.hide(user, password)

    def add_token(self, account: str, token: str) -> None:
        """Keep a subaccount's own token, unless the settings have its key."""
        if account != self.account and account not in self.keys:
            self.hide(account, token)
            self._tokens[account] = token

    def can_read(self, account: str, needs_own: bool) -> bool:
        """Return whether an account can be read. `needs_own`: only with its own credentials."""
        return not needs_own or account == self.account or account in self.keys or account in self._tokens

    def for_request(self, fetch: Fetch) -> tuple[str, str]:
        """Return user and password for a request."""
        if fetch.account in self.keys:
            return self.keys[fetch.account]
        if fetch.own_credentials and fetch.account != self.account:
            return fetch.account, self._tokens[fetch.account]
        return self.user, self.password
