"""All errors of the tap, as a tree. Each message is one line that says what happened and what to do.

`TapError` ends the run; its `exit_code` is the process's. The others fail one partition, and the run goes on.
Foreign exceptions (requests, json, OSError) become one of these where they are met, and never leave that place.
"""

from __future__ import annotations


class TapError(Exception):
    """Ends the run with one line on stderr: the user's to mend."""

    exit_code = 1


class PartitionError(Exception):
    """Fails one partition: the others go on, the state keeps what was done, and the run ends with exit code 3."""

    next_step = "The next sync goes on there."  # what to do about it, for the log


class Refused(PartitionError):
    """Twilio answered, and said no: asking again does not help.

    `status` is the HTTP status, `code` Twilio's error code (None where the body had none).
    """

    next_step = "Should the next sync say so too: may these credentials read it?"

    def __init__(self, status: int, code: int | None, message: str, where: str) -> None:
        self.status, self.code, self.message, self.where = status, code, message, where
        super().__init__(f"Twilio refused {where}: HTTP {status}, code {code}: {message}")


class Unreachable(PartitionError):
    """A request made no progress for as long as retrying is allowed."""


class BadAnswer(PartitionError):
    """Twilio answered with something that is not one of its two envelopes; taking it would lose rows."""


class InvalidRecord(PartitionError):
    """A value does not fit its schema."""

    next_step = "It stays so until the schema fits, or on_invalid is null: please report it."


class NotAvailable(PartitionError):
    """A product that the settings ask for by name, and that the account does not have."""

    next_step = "Other streams are not concerned."


class Unfinished(PartitionError):
    """A list could not be read to its end in this sync; the next sync goes on."""
