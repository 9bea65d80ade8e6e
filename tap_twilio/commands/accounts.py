"""`--accounts-json`: prints the accounts, so that a scheduler can run a task for each group of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from tap_twilio.errors import PartitionError, TapError
from tap_twilio.singer.output import Output

from .sync import create_sync


def run(arguments: argparse.Namespace, hide: Callable[[str, str], None]) -> int:
    """Print every account as JSON, and whether a sync reads it. Raises TapError, TargetGone, OutputFailed."""
    sync = create_sync(arguments, hide)
    try:
        accounts = sync.account_finder.list_accounts()
    except PartitionError as error:
        raise TapError(f"{error}; no account is known.") from None
    finally:
        sync.pool.close()
    rows = [
        {
            "sid": account.sid,
            "friendly_name": account.name,
            "status": account.status,
            "owner_account_sid": account.owner,
            "chosen": chosen,
        }
        for account, chosen in accounts
    ]
    Output().document(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return 0
