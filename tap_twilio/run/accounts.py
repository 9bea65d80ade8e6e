"""Which accounts are read: the settings' choice against what Twilio lists and lets these credentials read.

Accounts come with their auth_token in plain text (OpenAPI twilio_api_v2010, account): it goes to who asks with it, and
nothing else of a row but SID, status, date, name and owner goes any further.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from tap_twilio.errors import BadAnswer, Refused, TapError
from tap_twilio.extract.page_reader import PageReader, read_pages
from tap_twilio.settings import Settings
from tap_twilio.streams import ACCOUNTS, Stream
from tap_twilio.timestamps import Timestamp, timestamp_of
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
    """All but `sid` is None where Twilio did not say. `owner`: the account above it; a main one is its own."""

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
    """Those to read, and whether Twilio's list of all is known (else nothing is known of any other account)."""

    chosen: tuple[Account, ...]
    listed: bool


def find_accounts(settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream) -> Accounts:
    """
    The accounts to read, the main one first.

    Asks for one page of `probe` where only that tells whether these credentials may read. Raises TapError when Twilio
    takes the credentials for none, PartitionError when it does not answer.
    """
    if settings.subaccounts is True:
        accounts = _all(settings, scheduler, credentials, probe)
        if any(account.sid == settings.account_sid for account in accounts):
            return Accounts(tuple(accounts), listed=True)
        LOGGER.warning(
            "Accounts.json does not list %s, whose credentials these are: it is read all the same, and no account is "
            "taken for gone",
            settings.account_sid,
        )
        return Accounts((Account(settings.account_sid), *accounts), listed=False)
    chosen = [settings.account_sid] if settings.subaccounts is False else list(settings.subaccounts or ())
    found = [_one(sid, settings, scheduler, credentials) for sid in chosen]
    if all(account.status is None for account in found):
        _probe(found[0].sid, settings, scheduler, probe)
    return Accounts(tuple(found), listed=False)


def known_accounts(
    settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream
) -> list[tuple[Account, bool]]:
    """
    Every account that these credentials may list, and whether a sync would read it; the main one first.

    Where they may list none, those that a sync would read. Raises what `find_accounts` does.
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
    found = sorted(listed.values(), key=lambda account: account.sid != settings.account_sid)
    return [(account, account.sid in wanted) for account in found]


def _listed(settings: Settings, scheduler: Scheduler, credentials: Credentials) -> dict[str, Account]:
    found: dict[str, Account] = {}
    endpoint = ListEndpoint(ACCOUNTS, settings.account_sid, ACCOUNTS.most_rows)

    def take(page: Page) -> None:
        for row in page.rows:
            if not re.fullmatch(SID, row["sid"]):
                raise BadAnswer(f"{endpoint.path}: a row's sid is no account SID")
            found[row["sid"]] = _account(row, settings, credentials)

    scheduler.finish(read_pages(PageReader(endpoint), take))
    return found


def _all(settings: Settings, scheduler: Scheduler, credentials: Credentials, probe: Stream) -> list[Account]:
    try:
        found = _listed(settings, scheduler, credentials)
    except Refused as refused:
        if refused.status not in DENIED:
            raise
        if settings.user != settings.account_sid and refused.code == 20003:
            # A Standard key lists no accounts, and says so in the words in which a wrong secret is refused.
            _probe(settings.account_sid, settings, scheduler, probe)
            raise TapError(f"Twilio lets this API key list no accounts, so {TWO_WAYS}") from None
        raise _wrong_credentials(settings, refused) from None
    accounts = sorted(found.values(), key=lambda account: account.sid != settings.account_sid)
    others = [account for account in accounts if account.sid != settings.account_sid and account.status == "active"]
    if settings.user != settings.account_sid and others:
        try:
            scheduler.fetch(_first(probe, others[0].sid))
        except Refused as refused:
            if refused.status in DENIED:
                raise TapError(
                    f"Twilio lets this API key read no subaccounts ({others[0].sid}), so {TWO_WAYS}"
                ) from None
            raise
    return accounts


def fetch_account(sid: str) -> Fetch:
    """The request for one account."""
    return ListEndpoint(ACCOUNTS, sid, 1).row({"sid": sid})


def _one(sid: str, settings: Settings, scheduler: Scheduler, credentials: Credentials) -> Account:
    try:
        row = scheduler.fetch(fetch_account(sid)).rows[0]
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
        timestamp_of(row.get("date_created")),
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
    return ListEndpoint(stream, sid, 1, stream.values[-1]).top()


def _wrong_credentials(settings: Settings, refused: Refused, sid: str | None = None) -> TapError:
    names = "account_sid and auth_token" if settings.user == settings.account_sid else "api_key_sid and api_key_secret"
    if refused.code == 20008:
        return TapError("Twilio refused test credentials, which read nothing: use the live account_sid and auth_token.")
    account = f" for account {sid}" if sid else ""
    answer = f"HTTP {refused.status}, code {refused.code}"
    return TapError(f"Twilio refused the credentials{account} ({answer}): check {names}, and region.")
