"""Whose credentials a request carries: the settings', or those that a subaccount has of its own.

Product hosts read only the account whose credentials come with the request (docs, iam/api/subaccounts). The main
account's auth token lists its subaccounts with theirs, which stay in memory and are told to whoever hides secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .request import Fetch


@dataclass
class Credentials:
    """User and password for each request. `hide` is told every secret."""

    account: str
    user: str
    password: str = field(repr=False)
    hide: Callable[[str, str], None] = lambda user, password: None
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.hide(self.user, self.password)

    def learn(self, account: str, token: str) -> None:
        """A subaccount's own token."""
        if account != self.account:
            self.hide(account, token)
            self._tokens[account] = token

    def reads(self, account: str, own: bool) -> bool:
        """Whether there are credentials to ask this account with."""
        return not own or account == self.account or account in self._tokens

    def of(self, fetch: Fetch) -> tuple[str, str]:
        """User and password for a request."""
        if fetch.own and fetch.account != self.account:
            return fetch.account, self._tokens[fetch.account]
        return self.user, self.password
