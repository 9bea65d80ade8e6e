"""`tap-twilio state`: what it says of a state, and what it makes of one; `--accounts-json`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import Twilio
from tap_twilio.state.store import FORMAT
from testing.taps import COMMAND, HOUR, ROOT, Json, Run, Tap, kept

MakeTap = Callable[..., Tap]
PAST = {"since": "2025-03-01", "until": "2025-12-30"}


def a_year(**options: Any) -> Twilio:
    return Twilio(start="2025-01-01", **options).at("2026-01-01")


def accounts_of(twilio: Twilio) -> list[str]:
    return [row["sid"] for row in twilio.present("accounts")]


def state(tap: Tap, *arguments: object) -> Run:
    """`tap-twilio state` with these arguments."""
    return tap.start(command=[*COMMAND, "state", *map(str, arguments)]).wait()


def printed(run: Run) -> Any:
    assert run.exit_code == 0, run.log
    return json.loads(b"".join(run.lines))


def written(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def shown(tap: Tap, value: Any) -> dict[tuple[str, str], Json]:
    """What `show --format json` says, by stream and account."""
    lines = printed(state(tap, "show", written(tap.folder, "shown.json", value), "--format", "json"))
    return {(line["stream"], line["account"]): line for line in lines}


# show -----------------------------------------------------------------------------------------------------------------


def test_show_prints_the_bookmark_the_open_work_and_the_progress_of_the_rescan(tap_of: MakeTap) -> None:
    """For each stream and account: during the backfill, before and during the rescan, and when all is read."""
    twilio = a_year()
    twilio.messages(400, **PAST)
    twilio.addresses(3, **PAST)
    tap = tap_of(twilio, page_size=5, concurrency=1, state_seconds=0, rescan_pages=4, lookback_days=1)
    first = tap.select("messages", "addresses").sync()
    sliced = next(s for s in first.states if kept(s, "messages")[twilio.main].get("backfill", {}).get("time_slices"))
    line = shown(tap, sliced)["messages", twilio.main]
    assert (line["bookmark"], line["age_seconds"], line["rescan"]) == (None, None, None)
    (opened,) = line["open"]
    assert opened["what"] == "backfill" and re.search(r"of 2026-01-01 is .* \d+ time slices left", opened["says"])

    line = shown(tap, tap.state)["messages", twilio.main]
    assert line["bookmark"] == "2025-12-31T18:00:00.000000Z" and line["age_seconds"] > 0
    assert [one["what"] for one in line["open"]] == ["resend_listed_before"]
    assert shown(tap, tap.state)["addresses", twilio.main]["open"] == []

    twilio.at(twilio.now + 3 * HOUR)
    tap.sync()
    line = shown(tap, tap.state)["messages", twilio.main]
    assert line["rescan"]["pages"] >= 3 and line["rescan"]["began"] == "2026-01-01T03:00:00.000000Z"
    assert line["fingerprint_bytes"] > 0
    table = b"".join(state(tap, "show", written(tap.folder, "table.json", tap.state)).lines).decode()
    assert table.splitlines()[0].split() == [
        "stream",
        "account",
        "bookmark",
        "age",
        "compared",
        "complete",
        "rescan",
        "open",
    ]
    age = r"[1-9]\d* d \d+ h"
    row = rf"(?m)^messages +{twilio.main} +2025-12-31 18:00:00Z +{age} +{age} +no +\d+ pages +the list is .*; rows "
    assert re.search(row, table)


def test_show_says_what_children_and_full_tables_have_open(tap_of: MakeTap) -> None:
    """Parents that were not visited, parents visited in part, an open FULL_TABLE version."""
    twilio = a_year()
    twilio.messages(30, num_media="1", **PAST)
    twilio.calls(30, created="2025-12-28")
    twilio.addresses(30, **PAST)
    tap = tap_of(twilio, page_size=5, concurrency=1, state_seconds=0, feedback_requests=4, feedback_backfill=False)
    tap.select("message_media", "call_feedback", "addresses", full_table=["addresses"])
    run = tap.run(max_child_requests=3)
    assert run.exit_code == 0, run.log
    version = next(s for s in run.states if kept(s, "addresses")[twilio.main].get("full", {}).get("checkpoint"))
    assert "is not complete" in shown(tap, version)["addresses", twilio.main]["open"][0]["says"]

    spent = next(s for s in run.states if kept(s, "message_media")[twilio.main].get("deferred_before"))
    said = {one["what"]: one["says"] for one in shown(tap, spent)["message_media", twilio.main]["open"]}
    assert "rows of messages" in said["deferred_before"] and "max_child_requests was reached" in said["deferred_before"]

    found = shown(tap, run.states[-1])
    assert [one["what"] for one in found["message_media", twilio.main]["open"]] == ["resend_listed_before"]
    assert "children of messages" in found["message_media", twilio.main]["open"][0]["says"]
    assert [one["what"] for one in found["call_feedback", twilio.main]["open"]] == ["feedback_progress"]
    assert found["addresses", twilio.main]["full_table_began"] == "2026-01-01T00:00:00.000000Z"
    assert found["addresses", twilio.main]["open"] == []


def test_show_takes_a_state_in_every_form_that_it_is_kept_in(tap_of: MakeTap, tmp_path: Path) -> None:
    """The value, the message, the last line of several, Meltano's; from a file and from stdin."""
    tap = tap_of(Twilio())
    value = {"bookmarks": {"calls": {"date_sent": "2026-01-01T00:00:00Z"}}}
    older = json.dumps({"bookmarks": {}})
    forms = {
        "value": value,
        "message": {"type": "STATE", "value": value},
        "several": f"{older}\n{json.dumps(value)}\n\n",
        "messages": f"{older}\n{json.dumps({'type': 'STATE', 'value': value})}\n",
        "meltano": {"singer_state": value},
    }
    said = {name: state(tap, "show", written(tmp_path, name, form)).lines[1] for name, form in forms.items()}
    assert len(set(said.values())) == 1
    assert said["value"].startswith(b"calls   all      2026-01-01 00:00:00Z  ")
    done = subprocess.run(
        [*COMMAND, "state", "show", "-"], cwd=ROOT, input=json.dumps(value).encode(), capture_output=True, check=True
    )
    assert done.stdout.splitlines()[1] == said["value"].rstrip()
    assert printed(state(tap, "show", written(tmp_path, "empty", {}), "--format", "json")) == []


@pytest.mark.parametrize(
    ("command", "content", "said"),
    [
        ("show", "", "is not a state"),
        ("show", "no JSON", "is not a state"),
        ("merge", "[]", "is not a state"),
        ("split", {"calls": "2026-01-01"}, "is not a state"),
        ("show", {"bookmarks": []}, "The state is malformed at bookmarks: it is not a JSON object"),
        *(
            (
                command,
                {"format": FORMAT, "bookmarks": {"calls": {"partitions": 7}}},
                "malformed at bookmarks.calls.partitions: it is not",
            )
            for command in ("show", "split", "merge")
        ),
        *(
            (command, {"bookmarks": {"calls": {"accounts": {}}}}, "or leave --state out to read everything again")
            for command in ("show", "split", "merge")
        ),
    ],
)
def test_what_is_no_state_is_one_line_that_names_the_file(
    tap_of: MakeTap, tmp_path: Path, command: str, content: Any, said: str
) -> None:
    """And nothing is printed, and no file written."""
    path = written(tmp_path, "state.json", content)
    run = state(tap_of(Twilio()), command, path, *(["--into", tmp_path / "pieces"] if command == "split" else []))
    assert (run.exit_code, run.lines, run.log.count("\n")) == (1, [], 1)
    assert run.log.partition(" ")[2].startswith(f"CRITICAL {path}: ") and said in run.log
    assert not (tmp_path / "pieces").exists()


# split and merge ------------------------------------------------------------------------------------------------------


def test_each_piece_syncs_its_accounts_and_the_join_has_nothing_left_to_write(tap_of: MakeTap, tmp_path: Path) -> None:
    """`split` prints what to run: a state and a `subaccounts` for each process."""
    twilio = a_year(accounts=3)
    sids = {account: twilio.messages(30, account=account, **PAST) for account in accounts_of(twilio)}
    tap = tap_of(twilio, page_size=10).select("messages", "accounts")
    tap.sync()
    before = tap.state
    for made in sids.values():
        twilio.change(made[3], body="late")
    pieces = printed(state(tap, "split", written(tmp_path, "state.json", before), "--into", tmp_path / "pieces"))
    assert sorted(piece["subaccounts"] for piece in pieces) == [[account] for account in sorted(sids)]
    for piece in pieces:
        (account,) = piece["subaccounts"]
        tap.state = json.loads(Path(piece["state"]).read_text("utf-8"))
        tap.select("messages", *(["accounts"] if account == twilio.main else []))
        assert tap.sync(subaccounts=[account]).sids() == [sids[account][3]]
        written(tmp_path / "pieces", f"{account}.json", tap.state)
    run = state(tap, "merge", *(piece["state"] for piece in pieces))
    assert not run.log
    tap.state = printed(run)
    assert kept(tap.state, "messages").keys() == sids.keys()
    assert tap.select("messages", "accounts").sync().sids() == []
    assert tap.wrong(["messages"]) == {}


def test_groups_hold_every_account_once(tap_of: MakeTap, tmp_path: Path) -> None:
    """As many files as groups; what was split and nothing else is what is merged."""
    twilio = a_year(accounts=5)
    for account in accounts_of(twilio):
        twilio.messages(3, account=account, **PAST)
    tap = tap_of(twilio).select("messages")
    tap.sync()
    path = written(tmp_path, "state.json", tap.state)
    pieces = printed(state(tap, "split", path, "--into", tmp_path / "a" / "b", "--groups", 2))
    assert [Path(piece["state"]).name for piece in pieces] == ["group-1.json", "group-2.json"]
    assert sorted(sid for piece in pieces for sid in piece["subaccounts"]) == sorted(accounts_of(twilio))
    assert {len(piece["subaccounts"]) for piece in pieces} == {2, 3}
    found = shown(tap, json.loads(Path(pieces[0]["state"]).read_text("utf-8")))
    assert {account for (_, account), line in found.items() if not line["elsewhere"]} == set(pieces[0]["subaccounts"])
    merged = printed(state(tap, "merge", *(piece["state"] for piece in pieces)))
    assert kept(merged, "messages") == kept(tap.state, "messages")
    assert merged["bookmarks"]["messages"].keys() == tap.state["bookmarks"]["messages"].keys()


def test_no_piece_drops_the_rows_of_other_accounts(tap_of: MakeTap, tmp_path: Path) -> None:
    """FULL_TABLE: deleted rows leave with the first sync of all, and not before; nothing else ever does."""
    twilio = a_year(accounts=2)
    one, other = accounts_of(twilio)
    kept_rows, gone = twilio.addresses(4, account=one), twilio.addresses(4, account=other)
    tap = tap_of(twilio).select("addresses", full_table=["addresses"])
    tap.sync()
    twilio.delete(gone[0])
    path = written(tmp_path, "state.json", tap.state)
    cut = state(tap, "split", path, "--into", tmp_path / "pieces")
    assert "addresses: until the shards are merged, deleted rows stay" in cut.log
    for piece in printed(cut):
        tap.state = json.loads(Path(piece["state"]).read_text("utf-8"))
        run = tap.sync(subaccounts=piece["subaccounts"])
        assert any("until the state shards are merged" in line for line in run.said)
        assert "take it out of the state" not in run.log
        assert tap.tables.rows["addresses"].keys() == {*kept_rows, *gone}
        written(tmp_path / "pieces", Path(piece["state"]).name, tap.state)
    tap.state = printed(state(tap, "merge", *sorted((tmp_path / "pieces").iterdir())))
    versions = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "pieces").iterdir()]
    newest = max(one["bookmarks"]["addresses"]["version"] for one in versions)
    assert tap.state["bookmarks"]["addresses"]["version"] == newest
    tap.sync()
    assert tap.tables.rows["addresses"].keys() == {*kept_rows, *gone[1:]}


def test_a_piece_that_is_forgotten_is_read_from_the_beginning(tap_of: MakeTap, tmp_path: Path) -> None:
    """No row is lost by it, and until then FULL_TABLE drops none."""
    twilio = a_year(accounts=2)
    main, other = accounts_of(twilio)
    rows, gone = twilio.messages(20, account=other), twilio.addresses(3, account=main)
    twilio.messages(20, account=main)
    addresses = twilio.addresses(3, account=other)
    tap = tap_of(twilio).select("messages", "addresses", full_table=["addresses"])
    tap.sync()
    twilio.delete(gone[0])
    state(tap, "split", written(tmp_path, "state.json", tap.state), "--into", tmp_path / "pieces")
    tap.state = printed(state(tap, "merge", tmp_path / "pieces" / f"{main}.json"))
    tap.sync(subaccounts=[main])
    assert tap.tables.rows["addresses"].keys() == {*gone, *addresses}
    run = tap.sync()
    assert sorted(sid for sid in run.sids("messages")) == sorted(rows)
    assert tap.tables.rows["addresses"].keys() == {*gone[1:], *addresses}


def test_the_first_sync_of_all_puts_right_what_unknowing_processes_dropped(tap_of: MakeTap, tmp_path: Path) -> None:
    """Two that begin without a state drop each other's rows of a FULL_TABLE stream."""
    twilio = a_year(accounts=2)
    rows = {account: twilio.addresses(3, account=account) for account in accounts_of(twilio)}
    tap = tap_of(twilio).select("addresses", full_table=["addresses"])
    paths = []
    for account in rows:
        tap.state = None
        tap.sync(subaccounts=[account])
        paths.append(written(tmp_path, f"{account}.json", tap.state))
    for sid in rows[account]:
        twilio.delete(sid)
    tap.state = printed(state(tap, "merge", *paths))
    tap.sync()
    assert tap.tables.rows["addresses"].keys() == set(rows[twilio.main])


def two_states(tap: Tap, tmp_path: Path, stream: str) -> list[Path]:
    """Of two processes that both read the same, one after the other."""
    tap.select(stream).sync()
    first = tap.state
    tap.twilio.at(tap.twilio.now + 3 * HOUR)
    tap.state = None
    tap.sync()
    return [written(tmp_path, "a.json", first), written(tmp_path, "b.json", tap.state)]


def test_an_account_in_two_pieces_is_refused(tap_of: MakeTap, tmp_path: Path) -> None:
    """One line that names both files, the stream and the account, and says what to do. Twice the same is none."""
    twilio = a_year()
    twilio.messages(3, **PAST)
    tap = tap_of(twilio)
    one, other = two_states(tap, tmp_path, "messages")
    run = state(tap, "merge", one, other)
    assert (run.exit_code, run.lines, run.log.count("\n")) == (1, [], 1)
    for part in (str(one), str(other), "messages", twilio.main, "tap-twilio state split"):
        assert part in run.log
    assert kept(printed(state(tap, "merge", one, one)), "messages").keys() == {twilio.main}


def test_what_is_read_in_the_main_account_alone_is_read_anew_if_two_processes_did(
    tap_of: MakeTap, tmp_path: Path
) -> None:
    """Neither state can be trusted: the warehouse may hold what either process wrote last."""
    twilio = a_year(accounts=2)
    tap = tap_of(twilio)
    run = state(tap, "merge", *two_states(tap, tmp_path, "accounts"))
    assert (
        run.log.count("\n") == 1
        and run.log.partition(" ")[2].startswith("WARNING accounts: ")
        and "select it in one" in run.log
    )
    tap.state = printed(run)
    assert sorted(tap.sync().sids("accounts")) == sorted(accounts_of(twilio))


def test_what_belongs_to_no_account_must_be_alike(tap_of: MakeTap, tmp_path: Path) -> None:
    """Members that another program added, and streams that this version does not know, are kept."""
    tap = tap_of(Twilio())
    one = written(tmp_path, "a.json", {"bookmarks": {"faxes": {"x": 1}}, "note": "x"})
    other = written(tmp_path, "b.json", {"bookmarks": {"faxes": {"x": 2}}})
    merged = {"format": FORMAT, "bookmarks": {"faxes": {"x": 1}}, "note": "x", "accounts": {}}
    assert printed(state(tap, "merge", one, one)) == merged
    run = state(tap, "merge", one, other)
    assert run.exit_code == 1 and run.log.partition(" ")[2].startswith(
        f"CRITICAL {other}: 'faxes' at bookmarks differs from"
    )


def test_a_bookmark_of_another_tap_goes_into_each_piece(tap_of: MakeTap, tmp_path: Path) -> None:
    """And comes out again; once a piece was synced, the accounts of others are read from the beginning."""
    twilio = a_year(accounts=2)
    main, other = accounts_of(twilio)
    for account in (main, other):
        twilio.messages(3, account=account, **PAST)
    tap = tap_of(twilio).select("messages")
    tap.sync()
    foreign = {"date_updated": "2025-06-01T00:00:00Z"}
    both = {**tap.state, "bookmarks": {**tap.state["bookmarks"], "calls": foreign}}
    printed(state(tap, "split", written(tmp_path, "state.json", both), "--into", tmp_path / "pieces"))
    paths = [tmp_path / "pieces" / f"{account}.json" for account in (main, other)]
    assert printed(state(tap, "merge", *paths))["bookmarks"]["calls"] == foreign
    tap.state = json.loads(paths[0].read_text("utf-8"))
    tap.select("messages", "calls").sync(subaccounts=[main])
    run = state(tap, "merge", written(tmp_path, "synced.json", tap.state), paths[1])
    assert run.log.partition(" ")[2].startswith(f"WARNING calls: {paths[1]} holds a bookmark of another tap")
    assert kept(printed(run), "calls").keys() == {main}


def test_split_overwrites_nothing_and_needs_accounts(tap_of: MakeTap, tmp_path: Path) -> None:
    """One line each, which says what to do."""
    twilio = a_year()
    tap = tap_of(twilio).select("messages")
    tap.sync()
    path = written(tmp_path, "state.json", tap.state)
    run = state(tap, "split", path, "--into", tmp_path)
    assert (run.exit_code, run.lines) == (1, []) and f"{tmp_path}: is not empty. Give --into an empty" in run.log
    run = state(tap, "split", path, "--into", path)
    assert (run.exit_code, run.lines) == (1, []) and f"{path}: cannot be written (" in run.log
    run = state(tap, "split", written(tmp_path, "none.json", {"bookmarks": {}}), "--into", tmp_path / "pieces")
    assert (run.exit_code, run.lines) == (1, []) and "holds no account" in run.log
    assert not (tmp_path / "pieces").exists()
    run = state(tap, "split", path, "--into", tmp_path / "pieces", "--groups", 0)
    assert run.exit_code == 2 and "argument --groups: is not a whole number from 1 on" in run.log


# --accounts-json ------------------------------------------------------------------------------------------------------


def test_accounts_json_is_one_request_and_holds_no_secret(tap_of: MakeTap) -> None:
    """Every account that is listed, the main one first, and whether a sync with these settings reads it."""
    twilio = a_year(accounts=3)
    main, one, other = accounts_of(twilio)
    tap = tap_of(twilio)
    for subaccounts, chosen in ((True, {main, one, other}), (False, {main}), ([other], {other})):
        run = tap.run("--accounts-json", subaccounts=subaccounts)
        found = printed(run)
        assert found[0]["sid"] == main and len(found) == 3
        assert {account["sid"] for account in found if account["chosen"]} == chosen
        assert all(account.keys() == KEYS and account["owner_account_sid"] == main for account in found)
        assert [request.path for request in tap.requests] == ["/2010-04-01/Accounts.json"]
        for row in twilio.present("accounts"):
            assert row["auth_token"] not in run.log + b"".join(run.lines).decode()
    names = {row["sid"]: (row["friendly_name"], row["status"]) for row in twilio.present("accounts")}
    assert {account["sid"]: (account["friendly_name"], account["status"]) for account in found} == names


KEYS = {"sid", "friendly_name", "status", "owner_account_sid", "chosen"}


def test_accounts_json_with_a_key_that_lists_no_accounts(tap_of: MakeTap) -> None:
    """Those that a sync would read, and no other; where a sync would end with an error, so does this."""
    twilio = a_year(accounts=2)
    sid, secret = twilio.add_key(kind="standard")
    tap = tap_of(twilio, auth_token=None, api_key_sid=sid, api_key_secret=secret)
    (found,) = printed(tap.run("--accounts-json", subaccounts=False))
    assert found["sid"] == twilio.main and found["chosen"] and found.keys() == KEYS
    run = tap.run("--accounts-json")
    assert (run.exit_code, run.lines) == (1, []) and "does not let this API key list accounts" in run.log
    run = tap.run("--accounts-json", subaccounts=False, api_key_secret="f" * 32)
    assert (run.exit_code, run.lines) == (1, []) and "Twilio refused the credentials" in run.log


@pytest.mark.parametrize("command", [[], ["run-sync"], ["state"], ["state", "split"]])
def test_the_help_fits_80_columns_and_names_the_commands(command: list[str]) -> None:
    """However wide the terminal is."""
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [*COMMAND, *command, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    if not command:
        assert "tap-twilio state --help" in done.stdout and "--accounts-json" in done.stdout
    if command == ["state"]:
        assert re.search(r"usage: tap-twilio state .*show\|split\|merge", done.stdout)


def test_the_help_has_an_example_the_page_of_the_settings_and_every_exit_code() -> None:
    """Somebody who is new copies the example; the codes are those of docs/production.md."""
    text = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = (ROOT / "docs" / "production.md").read_text("utf-8").partition("<!-- exit codes")[2].split("\n\n")[0]

    assert "tap-twilio run-sync --target 'target-postgres --config target.json'" in text
    assert "docs/settings.md" in text
    codes = re.findall(r"(?m)^  (\d[\d, ]*)  \w", text)
    assert codes == re.findall(r"(?m)^\| (\d[\d, ]*) \|", page)


# forget ---------------------------------------------------------------------------------------------------------------


def test_forget_takes_accounts_out_and_leaves_the_rest_as_it_was(tap_of: MakeTap, tmp_path: Path) -> None:
    """Of every stream; what is another tap's stays as it came, and an account that the state does not know is named."""
    twilio = a_year(accounts=3)
    accounts = accounts_of(twilio)
    for account in accounts:
        twilio.messages(3, account=account, **PAST)
    tap = tap_of(twilio).select("messages", "addresses", full_table=["addresses"])
    tap.sync()
    tap.state["bookmarks"]["calls"] = {"date_updated": "2026-01-01T00:00:00Z"}
    path = written(tmp_path, "state.json", tap.state)
    left = printed(state(tap, "forget", path, *accounts[1:]))
    for stream in ("messages", "addresses"):
        assert kept(left, stream) == {accounts[0]: kept(tap.state, stream)[accounts[0]]}
        before, after = tap.state["bookmarks"][stream], left["bookmarks"][stream]
        unlike = {name for name, value in after.items() if value != before[name]}
        assert unlike <= {"partitions", "selections"}
    assert left["bookmarks"]["calls"] == tap.state["bookmarks"]["calls"]
    run = state(tap, "forget", path, "AC" + "0" * 32)
    assert run.exit_code == 1 and "the state has no account AC0000" in run.log and not run.lines
