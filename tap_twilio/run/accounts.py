"""The accounts to read: those that the settings choose, Twilio lists, and the credentials may read.

An account's row holds its auth_token in plain text (OpenAPI twilio_api_v2010, account). The token goes to `Credentials`
only. Of the rest, only SID, status, date, name and owner are kept.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from tap_twilio.errors import BadAnswer, Refused, TapError
from tap_twilio.extract.page_reader import PageReader
from tap_twilio.extract.read_list import read_pages
from tap_twilio.settings import Settings
from tap_twilio.streams import ACCOUNTS, Stream
from tap_twilio.timestamps import Timestamp, timestamp_or_none
from tap_twilio.twilio.credentials import Credentials
from tap_twilio.twilio.endpoint import ListEndpoint
from tap_twilio.twilio.request import Fetch, Page, Row

from .scheduler import Scheduler

LOGGER = logging.getLogger("tap_twilio")
SID = "AC[0-9a-fA-F]{32}"
DENIED = (401, 403)
TWO_WAYS = (
    "either set subaccounts to false (or to the SIDs that this key may read), or use the main account's auth_token."
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


@dataclass(frozen=True)
class Accounts:
    """The accounts to read. `listed`: they come from Twilio's list of all accounts."""

    chosen: tuple[Account, ...]
    listed: bool


def find_accounts(settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream) -> Accounts:
    """
    Ask Twilio for the accounts to read, and return them, the main one first.

    Requests a page of `probe` if nothing else shows whether the credentials may read. Raises TapError if Twilio refuses
    the credentials, PartitionError if it does not answer.
    """
    if settings.subaccounts is True:
        accounts = _all(settings, scheduler, credentials, probe)
        if any(account.sid == settings.account_sid for account in accounts):
            return Accounts(tuple(accounts), listed=True)
        LOGGER.warning(
            "Accounts.json does not list %s, the owner of these credentials: it is read all the same, and no account "
            "counts as gone",
            settings.account_sid,
        )
        return Accounts((Account(settings.account_sid), *accounts), listed=False)
    chosen = [settings.account_sid] if settings.subaccounts is False else list(settings.subaccounts or ())
    accounts = [_fetch(sid, settings, scheduler, credentials) for sid in chosen]
    if all(account.status is None for account in accounts):
        _probe(accounts[0].sid, settings, scheduler, probe)
    return Accounts(tuple(accounts), listed=False)


def list_accounts(
    settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream
) -> list[tuple[Account, bool]]:
    """
    Return every account that these credentials may list, and whether a sync reads it; the main one first.

    If they may list none, return those that a sync reads. Raises what `find_accounts` does.
    """
    listed: dict[str, Account] = {}
    if settings.subaccounts is not True:
        try:
            listed = _listed(settings, scheduler, credentials)
        except Refused as refused:
            if refused.status not in DENIED:
                raise
    wanted = [settings.account_sid] if settings.subaccounts is False else settings.subaccounts
    if wanted is True or not listed.keys() >= set(wanted):
        chosen = find_accounts(settings, scheduler, credentials, probe).chosen
        listed |= {account.sid: account for account in chosen}
        wanted = [account.sid for account in chosen]
    accounts = sorted(listed.values(), key=lambda account: account.sid != settings.account_sid)
    return [(account, account.sid in wanted) for account in accounts]


def _listed(settings: Settings, scheduler: Scheduler, credentials: Credentials) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    endpoint = ListEndpoint(ACCOUNTS, settings.account_sid, ACCOUNTS.max_page_size)

    def take(page: Page) -> None:
        for row in page.rows:
            if not re.fullmatch(SID, row["sid"]):
                raise BadAnswer(f"{endpoint.path}: a row's sid is no account SID")
            accounts[row["sid"]] = _account(row, settings, credentials)

    scheduler.finish(read_pages(PageReader(endpoint), take))
    return accounts


def _all(settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream) -> list[Account]:
    try:
        listed = _listed(settings, scheduler, credentials)
    except Refused as refused:
        if refused.status not in DENIED:
            raise
        if settings.user != settings.account_sid and refused.code == 20003:
            # Twilio refuses a Standard key here with the same words as a wrong secret.
            _probe(settings.account_sid, settings, scheduler, probe)
            raise TapError(f"Twilio does not let this API key list accounts: {TWO_WAYS}") from None
        raise _wrong_credentials(settings, refused) from None
    accounts = sorted(listed.values(), key=lambda account: account.sid != settings.account_sid)
    others = [account for account in accounts if account.sid != settings.account_sid and account.status == "active"]
    if settings.user != settings.account_sid and others:
        try:
            scheduler.fetch(_first(probe, others[0].sid))
        except Refused as refused:
            if refused.status in DENIED:
                raise TapError(
                    f"Twilio does not let this API key read subaccounts ({others[0].sid}): {TWO_WAYS}"
                ) from None
            raise
    return accounts


def account_request(sid: str) -> Fetch:
    """Return the request for one account."""
    return ListEndpoint(ACCOUNTS, sid, 1).single_row({"sid": sid})


def _fetch(sid: str, settings: Settings, scheduler: Scheduler, credentials: Credentials) -> Account:
    try:
        row = scheduler.fetch(account_request(sid)).rows[0]
    except Refused as refused:
        if sid == settings.account_sid == settings.user and refused.status in DENIED:
            raise _wrong_credentials(settings, refused) from None
        return Account(sid)
    return _account(row, settings, credentials)


def _account(row: Row, settings: Settings, credentials: Credentials) -> Account:
    token = row.get("auth_token")
    if settings.subaccount_tokens and token and isinstance(token, str):
        credentials.learn(row["sid"], token)
    return Account(
        row["sid"],
        row.get("status"),
        timestamp_or_none(row.get("date_created")),
        row.get("friendly_name"),
        row.get("owner_account_sid"),
    )


def _probe(sid: str, settings: Settings, scheduler: Scheduler, stream: Stream) -> None:
    try:
        scheduler.fetch(_first(stream, sid))
    except Refused as refused:
        if refused.status in DENIED:
            raise _wrong_credentials(settings, refused, sid) from None
        raise


def _first(stream: Stream, sid: str) -> Fetch:
    return ListEndpoint(stream, sid, 1, stream.queries[-1]).first_page()


def _wrong_credentials(settings: Settings, refused: Refused, sid: str | None = None) -> TapError:
    names = "account_sid and auth_token" if settings.user == settings.account_sid else "api_key_sid and api_key_secret"
    if refused.code == 20008:
        return TapError("Twilio refused test credentials: use the live account_sid and auth_token.")
    account = f" for account {sid}" if sid else ""
    answer = f"HTTP {refused.status}, code {refused.code}"
    return TapError(f"Twilio refused the credentials{account} ({answer}): check {names}, and region.")
