"""
Save the last STATE at any address that fsspec knows, such as s3://bucket/twilio.

Object stores replace a file atomically. Their lock is best effort: a file with an expiry time, which the sync renews.
Two machines that start at the same time may both get the lock if the store cannot create a file exclusively. After a
sync is killed, its lock lasts until the expiry time. Between syncs of one machine, a local lock is reliable.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec

from tap_twilio.errors import AlreadyRunning, TapError
from tap_twilio.files import open_private, parse_json

from .folder import LOCK, STATE, TORN, holds_state, lock_file

LOGGER = logging.getLogger("tap_twilio")
LEASE_S, RENEWAL_S = 900, 60
SILENCED = (  # they log errors that they also raise
    "adlfs",
    "aiobotocore",
    "azure",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "s3fs",
)


class ObjectStore:
    """An address that holds the STATE and the lock; see `Folder`. Raises TapError if fsspec cannot open it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not self.url.partition("://")[2]:
            raise TapError(f"--state {url}: names no bucket, as s3://bucket/twilio does.")
        for name in SILENCED:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._lease = {"holder": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}
        self._renewed = 0.0
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise TapError(f"--state {url}: {error} (or pip install 'exact-tap-twilio[state]').") from None
        except Exception as error:
            raise self._error("cannot be opened", error) from None
        self._folder = tempfile.TemporaryDirectory(prefix="tap-twilio-")

    @contextmanager
    def hold_lock(self) -> Iterator[int]:
        """Hold the lock on this machine and in the store; see `Folder.hold_lock`. Raises AlreadyRunning, TapError."""
        name = f"tap-twilio-{os.getuid()}-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.lock"
        with ExitStack() as stack:
            stack.enter_context(self._folder)
            descriptor = stack.enter_context(lock_file(Path(tempfile.gettempdir()) / name, f"--state {self.url}"))
            self._acquire()
            try:
                yield descriptor
            finally:
                self._release()

    def load(self) -> Path | None:
        """Return a local copy of the last STATE; None if there is no STATE. Raises TapError."""
        try:
            text: bytes = self._files.cat_file(f"{self._root}/{STATE}")
            if not holds_state(text, str(self)):
                if text.strip():
                    self._files.pipe_file(f"{self._root}/{TORN}", text)
                return None
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error("cannot be read", error) from None
        copy = Path(self._folder.name) / STATE
        with open(copy, "wb", opener=open_private) as file:
            file.write(text)
        return copy

    def save(self, state: bytes) -> None:
        """Replace the last STATE. Raises TapError."""
        try:
            self._files.pipe_file(f"{self._root}/{STATE}", state + b"\n")
        except Exception as error:
            raise self._error("cannot be written", error) from None

    def renew_lock(self) -> None:
        """Renew the lock once a minute. A failure is only logged, since the sync itself can go on."""
        if time.monotonic() - self._renewed < RENEWAL_S:
            return
        try:
            self._write_lock()
        except Exception as error:
            LOGGER.warning("%s", self._error(f"{LOCK} cannot be renewed", error))

    def __str__(self) -> str:
        return f"{self.url}/{STATE}"

    def _acquire(self) -> None:
        try:
            try:
                self._write_lock(mode="create")
                return
            except FileExistsError:
                lock = self._read_lock()
            is_ours = lock.get("holder") == self._lease["holder"]  # the write succeeded, but its response was lost
            if lock and not is_ours and lock.get("until", 0) > time.time():
                until = datetime.fromtimestamp(lock["until"], timezone.utc)
                who = f"{lock.get('host')} (process {lock.get('process')})"
                raise AlreadyRunning(
                    f"--state {self.url}: a sync on {who} still runs, or was killed;"
                    f" this one is skipped. Its lock lasts until {until:%H:%M} UTC, unless it is renewed."
                )
            self._write_lock()
        except AlreadyRunning:
            raise
        except FileNotFoundError as error:
            raise self._error(f"{LOCK} cannot be written: there is no such bucket or folder", error) from None
        except Exception as error:
            raise self._error(f"{LOCK} cannot be written", error) from None

    def _release(self) -> None:
        try:
            if self._read_lock().get("holder") == self._lease["holder"]:
                self._files.rm_file(f"{self._root}/{LOCK}")
        except Exception as error:
            LOGGER.warning("%s", self._error(f"{LOCK} cannot be removed", error))

    def _write_lock(self, **mode: str) -> None:
        lease = json.dumps({**self._lease, "until": time.time() + LEASE_S}).encode()
        path = f"{self._root}/{LOCK}"
        # Not every store can create a file exclusively, so check first.
        if mode and self._files.exists(path):
            raise FileExistsError(path)
        self._files.pipe_file(path, lease, **mode)
        self._renewed = time.monotonic()

    def _read_lock(self) -> dict[str, Any]:
        """Return the lock's content; {} if there is no lock, or an unreadable one."""
        try:
            lease = parse_json(self._files.cat_file(f"{self._root}/{LOCK}"))
        except (FileNotFoundError, ValueError):
            return {}
        return lease if isinstance(lease, dict) else {}

    def _error(self, what: str, error: Exception) -> TapError:
        """Convert an error, since each library has its own for a missing permission or an unreachable host."""
        reason = str(error).strip().partition("\n")[0]  # Azure's library appends many lines
        return TapError(f"--state {self.url}: {what} ({type(error).__name__}: {reason}).")
