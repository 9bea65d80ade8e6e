"""All errors of the tap, as one tree. Each docstring says whose move it is, each message what happened and what to do.

Error
├── TapError            ends the run with one line on stderr, and with its `exit_code`
│   └── OutputFailed, Locked
├── TargetGone          ends the run without a word
├── TargetFailed        is an exit code of run-sync; nothing raises it
├── PartitionError      fails one partition; the others go on, and the run ends with exit code 3
│   ├── Refused, BadAnswer, InvalidRecord, NotAvailable, Unfinished
│   └── Unreachable
│       └── ServerFailed
├── Retry, Moved        never leave the tap: a request, or a walk, is begun again
└── Contradiction       never leaves a developer's machine

Foreign exceptions (requests, json, OSError) become one of these where they are met, and never leave that place.
"""

from __future__ import annotations


class Error(Exception):
    """Any error of the tap. Nothing raises this one itself."""


class TapError(Error):
    """The user's move: a setting, a file, credentials or a right is to be mended before anything can be read."""

    exit_code = 1


class OutputFailed(TapError):
    """The user's move: stdout takes no more, as on a full disk or a closed file."""


class AlreadyRunning(TapError):
    """Nobody's move: another sync runs, and this one is left out."""

    exit_code = 5


class TargetFailed(Error):
    """The target's user's move: it ended badly, and has said why."""

    exit_code = 4


class TargetGone(Error):
    """The target's user's move: it closed its end of the pipe, and has said why."""

    exit_code = 1


class PartitionError(Error):
    """The next sync's move, where a subclass says nothing else: the state keeps what was read."""

    next_step = "The next sync goes on there."  # what to do about it, for the log


class Refused(PartitionError):
    """
    The move of whoever owns the credentials: Twilio answered, and said no, so asking again does not help.

    `status` is the HTTP status, `code` Twilio's error code (None where the body had none).
    """

    next_step = (
        "Give these credentials the right to read it, leave it out of the selection, or leave the account out "
        "(subaccounts)."
    )

    def __init__(self, status: int, code: int | None, message: str, where: str) -> None:
        self.status, self.code, self.message, self.where = status, code, message, where
        super().__init__(f"Twilio refused {where}: HTTP {status}, code {code}: {message}")
        if self.says_inactive:
            self.next_step = (
                "Twilio says that the account is not active: have it activated, or leave it out (subaccounts)."
            )

    @property
    def says_absent(self) -> bool:
        """Whether Twilio itself says that there is no such thing: a gateway's page has no code of Twilio's."""
        return (self.status, self.code) == (404, 20404)

    @property
    def says_inactive(self) -> bool:
        """Whether Twilio says that the account is closed or suspended."""
        return self.code == 20005


class Unreachable(PartitionError):
    """The next sync's move: a request made no progress for as long as `retry_minutes` allows."""


class ServerFailed(Unreachable):
    """The next sync's move: Twilio answered each attempt at a request with an error of its own (HTTP 500, 502, 504)."""


class BadAnswer(PartitionError):
    """The next sync's move: Twilio answered with something that is no page; taking it would lose rows."""


class InvalidRecord(PartitionError):
    """Our move, and the user's until then: a value does not fit its schema."""

    next_step = "It stays so until the schema fits, or on_invalid is null: please report it."


class NotAvailable(PartitionError):
    """The user's move: the settings ask by name for a product that the account does not have."""

    next_step = "Other streams are not concerned."


class Incomplete(PartitionError):
    """The next sync's move: the list moved under every walk of this one."""

    @staticmethod
    def of(stream: str, account: str, last: Error | None) -> Incomplete:
        """Name the list, and why it was last begun again: where Twilio refused a page, in Twilio's words."""
        why = f" ({last})" if last and last.args else ""
        return Incomplete(f"{stream} {account}: the list moved under every walk{why}; the next sync goes on.")


class Retry(Error):
    """
    The pool's move: an attempt failed in a way that may pass.

    `wait_s` is how long Twilio asks to wait, where it says so. `server_failed`: it may be this request that Twilio
    cannot answer. Not so with 503, which says that Twilio is busy.
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
    The move of whoever walks a list: to begin again, or to leave it to the next sync.

    The row that a place or a page token names moved or is gone, so what follows it is not what is left to read.
    """


class DeclarationError(Error):
    """The developer's move: a declaration that cannot be obeyed."""
