"""All errors of the tap, as one tree. Each docstring names who must act, each message what happened and what to do.

Error
├── TapError            ends the run with one line on stderr, and with its `exit_code`
│   └── OutputFailed, AlreadyRunning
├── TargetGone          ends the run without a message
├── TargetFailed        is an exit code of run-sync; nothing raises it
├── PartitionError      fails one partition; the others continue, and the run ends with exit code 3
│   ├── Refused, BadAnswer, InvalidRecord, NotAvailable, Incomplete, LimitReached
│   └── Unreachable
│       └── ServerFailed
├── Retry, PageShifted  never leave the tap: it repeats a request, or rereads a list
└── DeclarationError    never leaves a developer's machine

Exceptions of libraries (requests, json, OSError) are converted where they are caught.
"""

from __future__ import annotations


class Error(Exception):
    """Any error of the tap. Nothing raises this one itself."""


class TapError(Error):
    """The user must fix a setting, a file, credentials or a right before the tap can read anything."""

    exit_code = 1


class OutputFailed(TapError):
    """The user must make room: stdout takes no more, as on a full disk or a closed file."""


class AlreadyRunning(TapError):
    """Nobody must act: another sync runs, and this one is skipped."""

    exit_code = 5


class TargetFailed(Error):
    """The user of the target must act: the target failed, and logged why."""

    exit_code = 4


class TargetGone(Error):
    """The user of the target must act: the target closed the pipe, and logged why."""

    exit_code = 1


class PartitionError(Error):
    """The next sync continues, unless a subclass says otherwise: the state keeps what was read."""

    next_step = "The next sync continues there."  # what to do, for the log


class Refused(PartitionError):
    """
    The owner of the credentials must act: Twilio refused a request, so a retry does not help.

    `status` is the HTTP status, `code` Twilio's error code (None where the body had none).
    """

    next_step = (
        "Give these credentials the right to read it, deselect the stream, or exclude the account (subaccounts)."
    )

    def __init__(self, status: int, code: int | None, message: str, where: str) -> None:
        self.status, self.code, self.message, self.where = status, code, message, where
        super().__init__(f"Twilio refused {where}: HTTP {status}, code {code}: {message}")
        if self.says_inactive:
            self.next_step = (
                "Twilio says that the account is not active: have it activated, or exclude it (subaccounts)."
            )

    @property
    def says_absent(self) -> bool:
        """Return whether Twilio says that there is no such resource; a gateway's 404 has no code of Twilio's."""
        return (self.status, self.code) == (404, 20404)

    @property
    def says_inactive(self) -> bool:
        """Return whether Twilio says that the account is closed or suspended."""
        return self.code == 20005


class Unreachable(PartitionError):
    """The next sync continues: a request made no progress for `retry_minutes`."""


class ServerFailed(Unreachable):
    """The next sync continues: Twilio answered each attempt at a request with HTTP 500, 502 or 504."""


class BadAnswer(PartitionError):
    """The next sync continues: Twilio's answer is no valid page, and using it would lose rows."""


class InvalidRecord(PartitionError):
    """The developers must fix the schema: a value does not fit it."""

    next_step = "This repeats until the schema fits, or on_invalid is null: please report it."


class NotAvailable(PartitionError):
    """The user must change the settings: they name a product that the account does not have."""

    next_step = "Other streams are not affected."


class Incomplete(PartitionError):
    """The next sync continues: the pages of a list shifted in every read of this sync."""

    @staticmethod
    def of(stream: str, account: str, last: Error | None) -> Incomplete:
        """Return the error of a list. `last` is why the last attempt failed."""
        why = f" ({last})" if last and last.args else ""
        return Incomplete(f"{stream} {account}: the list shifted in every attempt{why}; the next sync continues.")


class LimitReached(PartitionError):
    """The next sync continues: a refresh made all requests that the settings allow one sync."""


class Retry(Error):
    """
    The retry pool must try again: an attempt failed, and another may succeed.

    `wait_s` is how long Twilio asks to wait, if it says so. `server_failed`: Twilio may be unable to answer this
    request. A 503 is no such failure: Twilio is busy.
    """

    def __init__(
        self,
        reason: str,
        wait_s: float | None = None,
        throttled: bool = False,
        bad_answer: bool = False,
        server_failed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.wait_s, self.throttled, self.bad_answer = wait_s, throttled, bad_answer
        self.server_failed = server_failed


class PageShifted(Error):
    """
    The reader of a list must begin again, or leave the list to the next sync.

    The row of a checkpoint or page token moved or is gone, so the pages after it are not the rows left to read.
    """


class DeclarationError(Error):
    """A developer must fix the declaration of a stream."""
