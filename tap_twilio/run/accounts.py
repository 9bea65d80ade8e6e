"""
Finds the accounts that a run reads: those that the settings choose, Twilio lists, and the credentials may read.

run/sync.py calls `find_accounts` before it plans its reads; `--accounts-json` calls `list_accounts`.

An account's row holds its auth_token in plain text (OpenAPI twilio_api_v2010, account). Only `Credentials` keeps the
token. An `Account` keeps SID, status, date, name and owner.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tap_twilio.errors import BadAnswer, Refused, TapError
from tap_twilio.extract.page_reader import PageReader
from tap_twilio.extract.read_list import read_pages
from tap_twilio.log import first_few
from tap_twilio.settings import Settings
from tap_twilio.streams import ACCOUNTS, PROBE
from tap_twilio.timestamps import Timestamp, timestamp_or_none
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

from .scheduler import Scheduler

LOGGER = logging.getLogger("tap_twilio")
ACCOUNT_SID = "AC[0-9a-fA-F]{32}"
DENIED = (401, 403)  # the HTTP statuses with which Twilio refuses credentials
AUTHENTICATION_ERROR, TEST_CREDENTIALS_ERROR = 20003, 20008  # Twilio's codes
WAYS_OUT = (
    "either set subaccounts to false (or to the SIDs that this key may read), or use the main account's auth_token, "
    "or give each account's own key in credentials."
)


@dataclass(frozen=True)
class Account:
    """An account. A field is None if Twilio did not tell it. `owner` is the parent account; a main one owns itself."""

    sid: str
    status: str | None = None
    created: Timestamp | None = None
    name: str | None = None
    owner: str | None = None

    @property
    def closed(self) -> bool:
        return self.status == "closed"


def account_request(sid: str) -> Fetch:
    """Return the request for one account."""
    return ListEndpoint(ACCOUNTS, sid, 1).single_row({"sid": sid})


@dataclass(frozen=True)
class AccountFinder:
    """
    Asks Twilio for accounts.

    Its methods raise TapError if Twilio refuses the credentials, and PartitionError if it does not answer.
    """

    settings: Settings
    scheduler: Scheduler
    credentials: Credentials

    def find_accounts(self) -> list[Account]:
        """Return the accounts that a run reads."""
        left_out, found = self.settings.left_out, self._find_accounts()
        if unknown := left_out - {account.sid for account in found}:
            LOGGER.warning("subaccounts leaves out accounts that are not there: %s", first_few(sorted(unknown)))
        accounts = [account for account in found if account.sid not in left_out]
        if not accounts:
            raise TapError("Setting subaccounts leaves out every account: remove one of its SIDs.")
        return accounts

    def _find_accounts(self) -> list[Account]:
        """Return the accounts that a run reads, and those that `subaccounts` leaves out."""
        settings, main = self.settings, self.settings.account_sid
        if settings.subaccounts is not True:
            accounts = [self._request_account(sid) for sid in settings.subaccounts or (main,)]
            # An account has no status if Twilio refused to show it. If all were refused, the credentials may be wrong.
            # An account with a key of its own (`credentials`) is not checked here: the reads of its streams show it.
            if all(account.status is None and account.sid not in settings.credentials for account in accounts):
                self._check_credentials(accounts[0].sid)
            return accounts
        if settings.credentials and settings.user != main:  # no auth token, which could list the accounts
            return [self._request_account(sid) for sid in dict.fromkeys((main, *settings.credentials))]
        accounts = self._main_and_subaccounts()
        listed = {account.sid for account in accounts}
        accounts += [self._request_account(sid) for sid in settings.credentials if sid not in listed]
        if main in listed:
            return accounts
        LOGGER.warning("Accounts.json does not list %s, the owner of these credentials: the tap reads it anyway", main)
        return [Account(main), *accounts]

    def list_accounts(self) -> list[tuple[Account, bool]]:
        """
        Return every account that these credentials may list, and whether a sync reads it; the main one first.

        If the credentials may list no accounts, return those that a sync reads.
        """
        known: dict[str, Account] = {}
        if self.settings.subaccounts is not True:
            try:
                known = self._request_all()
            except Refused as refused:
                if refused.status not in DENIED:
                    raise
        sids_to_read = {self.settings.account_sid} if self.settings.subaccounts is False else self.settings.subaccounts
        if sids_to_read is True or not known.keys() >= set(sids_to_read):
            to_read = {account.sid: account for account in self._find_accounts()}
            known |= to_read
            sids_to_read = to_read.keys() - self.settings.left_out
        return [(account, account.sid in sids_to_read) for account in self._main_first(known.values())]

    def _main_and_subaccounts(self) -> list[Account]:
        settings = self.settings
        is_api_key = settings.user != settings.account_sid
        try:
            accounts = self._main_first(self._request_all().values())
        except Refused as refused:
            if refused.status not in DENIED:
                raise
            if is_api_key and refused.code == AUTHENTICATION_ERROR:
                # Twilio refuses a Standard key here with the same words as a wrong secret.
                self._check_credentials(settings.account_sid)
                raise TapError(f"Twilio does not let this API key list accounts: {WAYS_OUT}") from None
            raise self._wrong_credentials(refused) from None
        active = [account.sid for account in accounts if account.status == "active"]
        subaccounts = [sid for sid in active if sid != settings.account_sid]
        if is_api_key and subaccounts:
            try:
                self.scheduler.fetch(self._probe_request(subaccounts[0]))
            except Refused as refused:
                if refused.status in DENIED:
                    raise TapError(
                        f"Twilio does not let this API key read subaccounts ({subaccounts[0]}): {WAYS_OUT}"
                    ) from None
                raise
        return accounts

    def _main_first(self, accounts: Iterable[Account]) -> list[Account]:
        return sorted(accounts, key=lambda account: account.sid != self.settings.account_sid)

    def _request_all(self) -> dict[str, Account]:
        accounts: dict[str, Account] = {}
        endpoint = ListEndpoint(ACCOUNTS, self.settings.account_sid, ACCOUNTS.max_page_size)

        def take(page: Page) -> None:
            for row in page.rows:
                if not re.fullmatch(ACCOUNT_SID, row["sid"]):
                    raise BadAnswer(f"{endpoint.path}: a row's sid is no account SID")
                accounts[row["sid"]] = self._account(row)

        self.scheduler.finish(read_pages(PageReader(endpoint), take))
        return accounts

    def _request_account(self, sid: str) -> Account:
        """Return an account; one without status if Twilio refused to show it, as it does to a Standard key."""
        settings = self.settings
        try:
            return self._account(self.scheduler.fetch(account_request(sid)).rows[0])
        except Refused as refused:
            if sid == settings.account_sid == settings.user and refused.status in DENIED:
                raise self._wrong_credentials(refused) from None
            return Account(sid)

    def _account(self, row: Row) -> Account:
        token = row.get("auth_token")
        if self.settings.subaccount_tokens and token and isinstance(token, str):
            self.credentials.add_token(row["sid"], token)
        return Account(
            row["sid"],
            row.get("status"),
            timestamp_or_none(row.get("date_created")),
            row.get("friendly_name"),
            row.get("owner_account_sid"),
        )

    def _check_credentials(self, sid: str) -> None:
        """Request a page of an account's messages. Raises TapError if Twilio refuses the credentials."""
        try:
            self.scheduler.fetch(self._probe_request(sid))
        except Refused as refused:
            if refused.status in DENIED:
                raise self._wrong_credentials(refused, sid) from None
            raise

    def _probe_request(self, sid: str) -> Fetch:
        return ListEndpoint(PROBE, sid, 1, PROBE.variants[-1]).first_page()

    def _wrong_credentials(self, refused: Refused, sid: str | None = None) -> TapError:
        if refused.code == TEST_CREDENTIALS_ERROR:
            return TapError("Twilio refused test credentials: use the live account_sid and auth_token.")
        is_api_key = self.settings.user != self.settings.account_sid
        names = "api_key_sid and api_key_secret" if is_api_key else "account_sid and auth_token"
        account = f" for account {sid}" if sid else ""
        answer = f"HTTP {refused.status}, code {refused.code}"
        return TapError(f"Twilio refused the credentials{account} ({answer}): check {names}, and region.")
