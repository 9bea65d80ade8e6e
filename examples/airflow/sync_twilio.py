"""
Twilio into a warehouse with Airflow 3.2 or later: a mapped task for each group of accounts.

An account stays in its group for ever, since its SID says which one that is, and each group has a state of its own. So
groups are retried one by one, and a new account needs nothing. Each group's asset event tells rows and bookmarks.

Select no stream as FULL_TABLE here: one group's sync would drop the rows of all others. Variables of the environment:

    TWILIO_TAP      tap-twilio, in an environment of its own         /opt/twilio/tap/bin/tap-twilio
    TWILIO_TARGET   the target's command                             /opt/twilio/target/bin/target-postgres --config …
    TWILIO_CONFIG   the tap's settings; ENV: TAP_TWILIO_…            /etc/twilio/config.json
    TWILIO_STATE    where states are kept, a folder for each group   s3://bucket/twilio
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import Asset, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

GROUPS = 16  # never change it: the states are the groups'
AT_ONCE = 4  # groups; they share the limits that Twilio sets for the main account
TWILIO = Asset(name="twilio", uri="x-warehouse://twilio")


def setting(name: str, otherwise: str = "") -> str:
    """A variable of the environment, when a task runs: a DAG is read far more often than it is run."""
    return os.environ.get(name) or otherwise


@dag(
    schedule="17 */3 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,  # one sync reads all that is missing
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
)
def twilio() -> None:
    """Find the accounts, and sync each group of them."""

    @task
    def groups() -> list[dict[str, Any]]:
        """The active accounts that the settings choose, by group."""
        command = [setting("TWILIO_TAP", "tap-twilio"), "--config", setting("TWILIO_CONFIG", "ENV"), "--accounts-json"]
        accounts = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        found: dict[int, list[str]] = defaultdict(list)
        for account in accounts:
            if account["chosen"]:
                found[int(account["sid"][2:], 16) % GROUPS].append(account["sid"])
        return [{"group": f"{group:02}", "accounts": sids} for group, sids in sorted(found.items())]

    @task(outlets=[TWILIO], max_active_tis_per_dagrun=AT_ONCE, map_index_template="{{ group_name }}")
    def sync(group: dict[str, Any], *, outlet_events: Any) -> None:
        """Exit codes 3 and 4 are retried, 5 is skipped, and the others need a person first."""
        get_current_context()["group_name"] = group["group"]
        with tempfile.TemporaryDirectory() as folder:
            accounts, summary = Path(folder) / "accounts.json", Path(folder) / "summary.json"
            with open(accounts, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                json.dump({"subaccounts": group["accounts"]}, file)
            command = [
                *(setting("TWILIO_TAP", "tap-twilio"), "run-sync"),
                *("--target", setting("TWILIO_TARGET")),
                *("--state", f"{setting('TWILIO_STATE')}/{group['group']}"),
                *("--summary-json", summary, "--"),
                *("--config", setting("TWILIO_CONFIG", "ENV"), "--config", accounts),
            ]
            code = subprocess.run(command, check=False).returncode
            told = json.loads(summary.read_text()) if summary.exists() else {}
        if code == 5:
            raise AirflowSkipException("the last sync of this group still runs")
        if code in (1, 2):
            raise AirflowFailException(f"tap-twilio ended with {code}: its last line says what to mend")
        if code:
            raise RuntimeError(f"tap-twilio ended with {code}: the next try goes on from the state")
        outlet_events[TWILIO].extra = {
            "group": group["group"],
            "accounts": group["accounts"],
            "rows": told["rows"],
            "bookmarks": told["bookmarks"],
        }

    sync.expand(group=groups())


sync_twilio = twilio()
