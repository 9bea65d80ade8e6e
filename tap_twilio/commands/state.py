"""`tap-twilio state`: shows a state, splits it by account, merges such shards, or forgets some accounts."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from tap_twilio.errors import TapError
from tap_twilio.files import open_private, parse_json, unwrap_state, write_atomically
from tap_twilio.log import OneLine, about
from tap_twilio.singer.output import Output
from tap_twilio.state.describe import Line, lines
from tap_twilio.state.shards import fingerprint_bytes_by_account, forget, grouped, merge, split
from tap_twilio.state.store import State
from tap_twilio.timestamps import Timestamp, duration, machine_now

from . import ArgumentParser

LOGGER = logging.getLogger("tap_twilio")
FIX = "Pass the last STATE that a target printed."
COLUMNS = ("stream", "account", "bookmark", "age", "compared", "complete", "rescan", "open")


def run(argv: list[str], log: OneLine) -> int:
    """Run a subcommand, and return 0. Raises TapError, TargetGone, OutputFailed; SystemExit for wrong arguments."""
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog="tap-twilio state",
        description="Shows a state, splits it by account, or merges such shards.\n"
        "FILE: a state as a target printed it; -: stdin.",
    )
    commands = parser.add_subparsers(required=True, metavar="show|split|merge|forget")
    show_parser = commands.add_parser("show", help="print each stream's bookmark, its age, and what is left to do")
    show_parser.add_argument("file", metavar="FILE")
    show_parser.add_argument("--format", choices=["text", "json"], default="text")
    show_parser.set_defaults(run=_show)
    split_parser = commands.add_parser("split", help="write a state for each account, or group of accounts")
    split_parser.add_argument("file", metavar="FILE")
    split_parser.add_argument("--into", metavar="DIR", required=True, help="an empty or new folder")
    split_parser.add_argument(
        "--groups", metavar="N", type=_positive, help="write at most N files; default: one per account"
    )
    split_parser.set_defaults(run=_split)
    merge_parser = commands.add_parser("merge", help="merge shards, and print the state")
    merge_parser.add_argument("files", metavar="FILE", nargs="+")
    merge_parser.set_defaults(run=_merge)
    forget_parser = commands.add_parser(
        "forget", help="print the state without some accounts, so that their rows may be dropped"
    )
    forget_parser.add_argument("file", metavar="FILE")
    forget_parser.add_argument("accounts", metavar="AC…", nargs="+")
    forget_parser.set_defaults(run=_forget)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("is not a whole number from 1 on")
    return int(text)


# -- show


def _show(arguments: argparse.Namespace) -> None:
    now = machine_now()
    with _naming(arguments.file):
        partitions = list(lines(_read(arguments.file), now))
    if arguments.format == "json":
        Output().document(json.dumps([line.document() for line in partitions], indent=2) + "\n")
    else:
        Output().document(_table(partitions, now))


def _table(partitions: Sequence[Line], now: Timestamp) -> str:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for stream, group in groupby(partitions, attrgetter("stream")):
        in_stream = list(group)
        rows += [_cells(line) for line in in_stream if not line.elsewhere]
        in_other_shards = sum(line.elsewhere for line in in_stream)
        if in_other_shards:
            rows.append((stream, f"{in_other_shards} others", "", "", "", "", "", "in other shards of this state"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    table = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]
    kilobytes = sum(line.fingerprint_bytes for line in partitions) / 1000
    accounts = len({line.account for line in partitions if line.account and not line.elsewhere})
    footer = f"{accounts} accounts at {_second(now)}; {kilobytes:.0f} KB of fingerprints (state_kilobytes)"
    return "\n".join([*table, "", footer, ""])


def _cells(line: Line) -> tuple[str, ...]:
    bookmark = _second(line.bookmark) if line.bookmark else "none"
    return (
        line.stream,
        line.account or "all",
        f"read whole {_second(line.full_table_began)}" if line.full_table_began else bookmark,
        _age(line.age_seconds),
        _age(line.compared_age_seconds),
        _complete(line),
        line.rescan.says if line.rescan else "",
        "; ".join(work.says for work in line.open),
    )


def _complete(line: Line) -> str:
    if line.complete:
        return "yes"
    left = line.syncs_left
    return "no" if left is None else f"no, {left} sync{'s' * (left != 1)} left"


def _second(at: Timestamp) -> str:
    return f"{at[:10]} {at[11:19]}Z"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return duration(seconds) if seconds >= 0 else "in the future"


# -- split, merge and forget


def _split(arguments: argparse.Namespace) -> None:
    with _naming(arguments.file):
        state = _read(arguments.file)
        sizes = fingerprint_bytes_by_account(state)
        groups = grouped(sizes, arguments.groups) if arguments.groups else [[account] for account in sizes]
        shards = split(state, groups)
    if not groups:
        raise TapError(
            f"{arguments.file}: holds no account, so there is nothing to split. Give this file to each process."
        )
    folder = Path(arguments.into)
    names = [
        f"group-{number + 1}.json" if arguments.groups else f"{group[0]}.json" for number, group in enumerate(groups)
    ]
    _write(folder, dict(zip(names, shards)))
    for name in state.names:
        stream = state.stream(name)
        if stream.version is not None and len(groups) > 1:
            message = "%s: until the shards are merged, deleted rows stay in the warehouse (FULL_TABLE)"
            LOGGER.warning(message, name, extra=about(name))
    written = [{"state": str(folder / name), "subaccounts": group} for name, group in zip(names, groups)]
    Output().document(json.dumps(written, indent=2) + "\n")


def _write(folder: Path, shards: dict[str, Any]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a state holds account SIDs
        if any(folder.iterdir()):
            raise TapError(f"{folder}: is not empty. Give --into an empty or new folder.")
        for name, shard in shards.items():
            write_atomically(folder / name, json.dumps(shard).encode() + b"\n", open_private)
    except OSError as error:
        raise TapError(f"{folder}: cannot be written ({error.strerror}). Give --into another folder.") from None


def _merge(arguments: argparse.Namespace) -> None:
    files = []
    for path in arguments.files:
        with _naming(path):
            state = _read(path)
            for name in state.names:
                state.stream(name)  # raises here if malformed, so that the error names the file
        files.append((path, state))
    value, warnings = merge(files)
    for warning in warnings:
        LOGGER.warning("%s", warning)
    Output().document(json.dumps(value) + "\n")


def _forget(arguments: argparse.Namespace) -> None:
    with _naming(arguments.file):
        value = forget(_read(arguments.file), arguments.accounts)
    Output().document(json.dumps(value) + "\n")


# -- reading


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the name of the file into each error of the block."""
    try:
        yield
    except TapError as error:
        raise TapError(str(error) if str(error).startswith(path) else f"{path}: {error}") from None


def _read(path: str) -> State:
    """
    Return the state in a file.

    The file may hold the value of a STATE, a STATE message, several of them in lines, or the output of Meltano.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise TapError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions.") from None
    value = _parse(data)
    if value is None:
        data = data.rstrip()
        value = _parse(data[data.rfind(b"\n") + 1 :])
    value = unwrap_state(value)
    if not isinstance(value, dict) or (value and "bookmarks" not in value):
        raise TapError(f"{path}: is not a state: it is not JSON with bookmarks. {FIX}")
    return State(value)


def _parse(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError:
        return None
