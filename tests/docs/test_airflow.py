"""The example DAG in a real Airflow, over the sandbox: `make test-airflow` makes its environment."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from testing.taps import COMMAND, Tap

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin"
STORING = Path(__file__).parents[2] / "testing" / "storing_target.py"
RUN = """
import datetime, sys
sys.path.insert(0, sys.argv[1])
from sync_twilio import sync_twilio as dag
for task in dag.tasks:
    task.retry_delay = datetime.timedelta(0)
run = dag.test()
print("ended:", run.state)
"""
# Until the tap has the flag, its list of accounts comes from a file.
TAP = """#!/bin/sh
case "$*" in *--accounts-json*) {tap} --help | grep -q accounts-json || exec cat {accounts};; esac
exec {tap} "$@"
"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (AIRFLOW / "airflow").exists(), reason="make test-airflow makes .venv-airflow"),
]


@pytest.mark.timeout(900)
def test_the_dag_syncs_each_group_tries_a_partial_one_again_and_says_what_it_did(
    tap_of: Callable[..., Tap], tmp_path: Path
) -> None:
    """Two accounts, two groups; one fails in part, and is tried again. Each asset event tells rows and bookmarks."""
    twilio = Twilio(start="2025-01-01", accounts=2).at("2026-01-01")
    sids = list(twilio.streams["accounts"])
    twilio.messages(40, since="2025-03-01", until="2025-12-30")
    for sid in sids:
        twilio.messages(20, since="2025-03-01", until="2025-12-30", account=sid)
    tap = tap_of(twilio, page_size=100, retry_minutes=0)
    config, accounts = tmp_path / "config.json", tmp_path / "accounts.json"
    config.write_text(json.dumps({**tap.settings}))
    config.chmod(0o600)
    accounts.write_text(json.dumps([{"sid": sid, "status": "active", "chosen": True} for sid in sids]))
    command = tmp_path / "tap-twilio"
    command.write_text(TAP.format(tap=shlex.join(COMMAND), accounts=accounts))
    command.chmod(0o700)
    twilio.fail_next("500", 1, f"/Accounts/{sids[-1]}/Messages.json")
    env = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "examples/airflow"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TWILIO_TAP": str(command),
        "TWILIO_TARGET": f"{sys.executable} {STORING} {tmp_path / 'rows.db'}",
        "TWILIO_CONFIG": str(config),
        "TWILIO_STATE": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "PATH": f"{AIRFLOW}:/usr/local/bin:/usr/bin:/bin",
    }

    def run(*words: Any) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    run(AIRFLOW / "airflow", "db", "migrate")
    said = run(AIRFLOW / "python", "-c", RUN, ROOT / "examples/airflow")

    assert "ended: success" in said, said[-6000:]
    with closing(sqlite3.connect(tmp_path / "airflow/airflow.db")) as database:
        extras = [json.loads(extra) for (extra,) in database.execute("select extra from asset_event")]
        tries = dict(database.execute("select map_index, try_number from task_instance where task_id = 'sync'"))
    assert sorted(account for extra in extras for account in extra["accounts"]) == sorted(sids)
    assert all(extra["rows"] >= 20 and extra["bookmarks"]["messages"] for extra in extras)
    assert sorted(tries.values()) == [1, 2]
    with closing(sqlite3.connect(tmp_path / "rows.db")) as database:
        (rows,) = database.execute("select count(*) from rows where stream = 'messages'").fetchone()
    assert rows == len(twilio.present("messages")) > 0
