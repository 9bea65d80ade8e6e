"""
Write into the state what one sync left undone. describe.py shows it.

run/sync.py calls both functions before the last STATE: first `note_read` for every table, then `note_not_read`, which
overwrites what `note_read` wrote of the partitions that were not read whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from tap_twilio.timestamps import Timestamp

from .model import Partition
from .store import State


def note_read(partition: Partition, syncs_left: int | None, by_date_from: Timestamp | None) -> None:
    """
    Note that a partition was read whole.

    `syncs_left`: the syncs until the whole list is reread. `by_date_from`: rows of this date and before have no
    fingerprint.
    """
    partition.not_read, partition.syncs_left, partition.by_date_from = None, syncs_left, by_date_from


def note_not_read(state: State, reasons: Mapping[tuple[str, str], str]) -> None:
    """Note why partitions, given by stream and account, were not read whole."""
    for (name, account), reason in reasons.items():
        partition = state.stream(name).partitions.get(account) if name in state.names_read else None
        if partition:
            partition.not_read, partition.syncs_left = reason, None
