"""The targets that are tried: how each is installed, set up and read. Versions are pinned: a run can be repeated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-targets"
NEWER, OLDER = ("3.11", "3.12", "3.10", "3.13"), ("3.9", "3.8", "3.10")


@dataclass(frozen=True)
class Target:
    """A target, its environment and what is set for the trial."""

    name: str
    package: str  # as pip takes it
    reader: str  # of `readers`; "types": nothing is loaded, its own mapping of types is asked
    config: Callable[[Destination], Json]
    command: str = ""  # in its environment; empty: the name
    pythons: tuple[str, ...] = NEWER
    extra: tuple[str, ...] = ()  # what its environment needs beside it
    sets: str = ""  # what of the config a user should copy, as Markdown
    shim: str = ""  # a script that starts it in the place of its command
    note: str = ""  # what a user must know, and no cell says
    without: tuple[str, ...] = ()  # settings without which the kill is tried once more
    unshown: Mapping[str, str] = field(default_factory=dict)  # how a cell begins that says nothing of the target: why

    @property
    def environment(self) -> Path:
        return ENVIRONMENTS / (
            self.package.partition("==")[0] if not self.extra else self.name.replace(" with ", "-").replace(" ", "")
        )

    @property
    def python(self) -> Path:
        return self.environment / "bin/python"

    def start(self, config: Path) -> list[str | Path]:
        """The command line."""
        if self.shim:
            return [self.python, ROOT / "targets" / self.shim, "--config", config]
        return [self.environment / "bin" / (self.command or self.name), "--config", config]

    def interpreter(self) -> str | None:
        """The first Python of those that fit which this machine has."""
        found = (shutil.which(f"python{version}") for version in self.pythons)
        return next((path for path in found if path and _runs(path)), None)


def _runs(path: str) -> bool:
    import subprocess

    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Destination:
    """The destination of one trial: its own folder, and its own schema on the shared servers."""

    folder: Path
    schema: str
    postgres: str  # the URL, or ""
    snowflake: int  # the port of fakesnow's server, or 0


def _meltano_postgres(destination: Destination) -> Json:
    from demo.sync import sqlalchemy_url

    settings = {"batch_size_rows": 200, "validate_records": False, "hard_delete": True}
    return {
        "sqlalchemy_url": sqlalchemy_url(destination.postgres),
        "default_target_schema": destination.schema,
        **settings,
    }


def _pipelinewise_postgres(destination: Destination) -> Json:
    url = urlsplit(destination.postgres)
    host = parse_qs(url.query).get("host", [url.hostname or ""])[0]
    who = {"user": url.username, "password": url.password or "none", "dbname": url.path.strip("/")}
    where = {"host": host, "port": url.port or 5432, "default_target_schema": destination.schema}
    return {**who, **where, "batch_size_rows": 200, "flush_all_streams": True, "hard_delete": True}


SNOWFLAKE = {"account": "fake", "user": "fake", "password": "fake", "warehouse": "W", "batch_size_rows": 200}


def _meltano_snowflake(destination: Destination) -> Json:
    settings = {"database": "DB", "default_target_schema": destination.schema.upper(), "validate_records": False}
    return {**SNOWFLAKE, **settings, "hard_delete": True}


def _pipelinewise_snowflake(destination: Destination) -> Json:
    settings = {"dbname": "DB", "default_target_schema": destination.schema, "file_format": "DB.PUBLIC.CSV_GZ"}
    return {**SNOWFLAKE, **settings, "hard_delete": True, "flush_all_streams": True}


def _duckdb(destination: Destination) -> Json:
    settings = {"default_target_schema": "main", "batch_size_rows": 200, "flush_all_streams": True}
    return {"path": str(destination.folder / "it.db"), **settings}


def _folder(destination: Destination) -> Json:
    return {"destination_path": str(destination.folder)}


def _nothing(destination: Destination) -> Json:
    return {}


TARGETS = (
    Target(
        "meltanolabs-target-postgres", "meltanolabs-target-postgres==0.8.1", "postgres", _meltano_postgres,
        command="target-postgres", sets="`validate_records: false`; `hard_delete: true`, or deleted rows are marked",
    ),
    Target(
        "meltanolabs-target-postgres with use_copy", "meltanolabs-target-postgres==0.8.1", "postgres",
        lambda destination: {**_meltano_postgres(destination), "use_copy": True},
        command="target-postgres", sets="the same, and `use_copy: true`",
    ),
    Target(
        "pipelinewise-target-postgres", "pipelinewise-target-postgres==2.1.2", "postgres", _pipelinewise_postgres,
        command="target-postgres", pythons=("3.10", "3.9", "3.11"), without=("flush_all_streams",),
        sets="`flush_all_streams: true`; `decimals: singer` in the tap",
    ),
    Target(
        "meltanolabs-target-snowflake", "meltanolabs-target-snowflake==0.20.4", "snowflake", _meltano_snowflake,
        shim="snowflake_shim.py",
        sets="`validate_records: false`; `hard_delete: true`, or deleted rows are marked; `batch_size_rows: 100000`; "
        "`decimals: singer` in the tap",
    ),
    Target(
        "pipelinewise-target-snowflake", "pipelinewise-target-snowflake==2.3.0", "snowflake", _pipelinewise_snowflake,
        extra=("numpy<2",), pythons=("3.10", "3.9"), shim="snowflake_shim.py", without=("flush_all_streams",),
        unshown={"**not kept**: newlines (": "newlines: **not shown**, it stages `\\n` as two characters; emoji kept"},
        sets="`flush_all_streams: true`; `decimals: singer` in the tap; see below about newlines",
    ),
    Target("target-jsonl", "target-jsonl==0.1.4", "jsonl", _folder),
    Target(
        "target-csv", "target-csv==0.3.0", "csv",
        lambda destination: {**_folder(destination), "disable_collection": True},
        pythons=OLDER, sets="`disable_collection: true`, else it reports its use; `decimals: singer` in the tap",
    ),
    Target("target-parquet", "target-parquet==0.0.1", "parquet", _folder, pythons=("3.7",)),
    Target(
        "target-duckdb", "target-duckdb==0.8.0", "duckdb", _duckdb, without=("flush_all_streams",),
        sets="do not use it: rows are lost in a load that ends well",
    ),
    Target(
        "target-duckdb with duckdb 1", "target-duckdb==0.8.0", "duckdb", _duckdb, without=("flush_all_streams",),
        command="target-duckdb", extra=("duckdb<2",),
        sets="do not use it: rows are lost in a load that ends well",
    ),
    Target(
        "target-sqlite", "target-sqlite==0.2.0", "sqlite",
        lambda destination: {"database": str(destination.folder / "it")},
        pythons=OLDER, sets="`decimals: singer` in the tap",
    ),
    Target("z3-target-bigquery", "z3-target-bigquery==0.7.2", "types", _nothing, extra=("setuptools<81",)),
    Target("shaped-target-clickhouse", "shaped-target-clickhouse==0.2.5", "types", _nothing),
)  # fmt: skip
BY_NAME = {target.name: target for target in TARGETS}
FAKESNOW = Target("fakesnow", "fakesnow[server]==0.12.1", "", _nothing, extra=("snowflake-connector-python==4.8.1",))
