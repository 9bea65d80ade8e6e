"""
Ask a warehouse for columns, sums and rows: over SQLAlchemy, or DuckDB's own package. Nothing is ever written.

commands/audit.py opens it from `--url` or `--target-config`; audit.py asks. SQLAlchemy and DuckDB are imported when a
warehouse is opened, since only the audit needs them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tap_twilio.errors import TapError

from .dialects import Dialect

PASSWORD = "TAP_TWILIO_WAREHOUSE_PASSWORD"  # noqa: S105  # the variable's name
DEFAULT_SCHEMAS = {"postgres": "public", "redshift": "public", "duckdb": "main", "snowflake": "PUBLIC"}
NAMES = {"postgresql": "postgres", "postgres": "postgres", "redshift": "redshift", "snowflake": "snowflake"}
Rows = Iterator[tuple[Any, ...]]


class Warehouse:
    """A database that can be read. `execute` runs a query and yields its rows."""

    def __init__(self, dialect: Dialect, schema: str, execute: Callable[[str], Rows]) -> None:
        self.dialect, self.schema, self.execute = dialect, schema, execute

    def tables(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Return the columns of each table by lower-case names: its own name, and the name of its type."""
        dialect = self.dialect
        views = (
            f"{dialect.quote(self.schema)}.INFORMATION_SCHEMA" if dialect.name == "bigquery" else "information_schema"
        )
        tables: dict[str, dict[str, tuple[str, str]]] = {}
        self.names: dict[str, str] = {}
        query = (
            f"SELECT table_name, column_name, data_type FROM {views}.columns"
            f" WHERE LOWER(table_schema) = {dialect.literal(self.schema.lower())}"  # quoted
        )
        for table, column, type_name in self.execute(query):
            self.names[table.lower()] = table
            tables.setdefault(table.lower(), {})[column.lower()] = (column, type_name)
        if not tables:
            raise TapError(f"The warehouse has no table in the schema {self.schema}, or the user may not read it.")
        return tables

    def qualified(self, table: str) -> str:
        """Return a table's name as a statement needs it."""
        return f"{self.dialect.quote(self.schema)}.{self.dialect.quote(table)}"


def open_url(url: str, schema: str | None, hide: Callable[[str, str], None], private: bool = False) -> Warehouse:
    """Open the warehouse at an address. Raises TapError for a password in it, unless it is `private`."""
    if url.startswith("duckdb:"):
        return _open_duckdb(url.removeprefix("duckdb:").removeprefix("///"), schema or "main")
    sqlalchemy = _import("sqlalchemy", "audit")
    try:
        address = sqlalchemy.engine.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise TapError("--url: is no address, such as postgresql://user@host/database.") from None
    if address.password and not private:
        raise TapError(f"--url: holds a password, which other users of this machine can see. Set {PASSWORD} instead.")
    password = address.password or os.environ.get(PASSWORD)
    name = NAMES.get(address.get_backend_name(), address.get_backend_name())
    if name not in ("postgres", "redshift", "snowflake", "bigquery"):
        raise TapError(f"--url: {name} is not supported. Use Postgres, Redshift, Snowflake, BigQuery or DuckDB.")
    if password:
        hide(address.username or "", str(password))
        address = address.set(password=str(password))
    if address.drivername == "postgresql" and importlib.util.find_spec("psycopg"):
        address = address.set(drivername="postgresql+psycopg")
    try:
        engine = sqlalchemy.create_engine(address)
    except (ImportError, sqlalchemy.exc.ArgumentError) as error:
        raise TapError(f"The driver of the warehouse is not installed ({type(error).__name__}: {error}).") from None
    return Warehouse(Dialect(name), schema or DEFAULT_SCHEMAS.get(name, address.database or ""), _runner(engine, name))


def _runner(engine: Any, name: str) -> Callable[[str], Rows]:
    sqlalchemy = _import("sqlalchemy", "audit")
    options: dict[str, Any] = {"stream_results": True}
    if name == "postgres":
        options["postgresql_readonly"] = True  # the server refuses to write, should a statement try to

    def execute(query: str) -> Rows:
        try:
            with engine.connect() as connection:
                reading = connection.execution_options(**options)
                for row in reading.execute(sqlalchemy.text(query.replace(":", "\\:"))):
                    yield tuple(row)
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise TapError(
                f"The warehouse refused a query: {_first_line(getattr(error, 'orig', None) or error)}"
            ) from None

    return execute


def _open_duckdb(path: str, schema: str) -> Warehouse:
    duckdb = _import("duckdb", "audit")
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        raise TapError(f"DuckDB cannot open {path}: {_first_line(error)}") from None

    def execute(query: str) -> Rows:
        try:
            yield from connection.cursor().execute(query).fetchall()
        except duckdb.Error as error:
            raise TapError(f"The warehouse refused a query: {_first_line(error)}") from None

    return Warehouse(Dialect("duckdb"), schema, execute)


def _import(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise TapError(f"The audit needs {name}: pip install 'exact-tap-twilio[{extra}]'.") from None


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def address_of(config: Mapping[str, Any]) -> tuple[str, str | None]:
    """
    Return the address and the schema in a target's config. Raises TapError for a target that it does not know.

    >>> address_of({"host": "db", "user": "etl", "password": "p@", "database": "house", "default_target_schema": "tw"})
    ('postgresql://etl:p%40@db/house', 'tw')
    >>> address_of({"account": "xy1", "user": "etl", "password": "p", "database": "DB", "warehouse": "WH"})
    ('snowflake://etl:p@xy1/DB?warehouse=WH', None)
    """
    schema = config.get("default_target_schema") or config.get("schema")
    if url := config.get("sqlalchemy_url"):
        return str(url), schema
    if path := config.get("filepath") or config.get("path"):
        return f"duckdb:///{path}", schema
    names = {"user": ("user", "username"), "database": ("database", "dbname"), "warehouse": ("warehouse",)}
    values = {name: next((config[key] for key in keys if config.get(key)), "") for name, keys in names.items()}
    who = quote(str(values["user"]), safe="")
    if config.get("password"):
        who += f":{quote(str(config['password']), safe='')}"
    if account := config.get("account"):
        options = [f"{name}={quote(str(config[name]))}" for name in ("warehouse", "role") if config.get(name)]
        return f"snowflake://{who}@{account}/{values['database']}" + (
            f"?{'&'.join(options)}" if options else ""
        ), schema
    if not config.get("host"):
        raise TapError("--target-config: names no connection that the audit knows. Pass --url and --schema instead.")
    port = f":{config['port']}" if config.get("port") else ""
    return f"postgresql://{who}@{config['host']}{port}/{values['database']}", schema
