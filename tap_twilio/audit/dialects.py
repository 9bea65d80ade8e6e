"""
Write the text of canonical.py and its sums as SQL, for five databases.

warehouse.py runs these statements; `tap-twilio audit --sql` prints them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .canonical import BUCKETS, Column, Comparison

PARTS = 16  # in which the rows of large buckets are compared
DIALECTS = ("postgres", "duckdb", "snowflake", "bigquery", "redshift")
_HASH = {
    "postgres": "('x' || SUBSTRING(MD5({0}), 18))::bit(60)::bigint",
    "duckdb": "('0x' || SUBSTRING(MD5({0}), 18, 15))::BIGINT",
    "snowflake": "BITAND(MD5_NUMBER_LOWER64({0}), 1152921504606846975)",
    "bigquery": "CAST(CAST(('0x' || SUBSTR(TO_HEX(MD5({0})), 18)) AS INT64) AS NUMERIC)",
    "redshift": "STRTOL(SUBSTRING(MD5({0}), 18), 16)::DECIMAL(38)",
}
_TO_CHAR = 'TO_CHAR({0}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
_TIMESTAMP = {
    "postgres": _TO_CHAR,
    "redshift": _TO_CHAR,
    "duckdb": "STRFTIME({0}, '%Y-%m-%dT%H:%M:%S.%fZ')",
    "snowflake": 'TO_VARCHAR({0}, \'YYYY-MM-DD"T"HH24:MI:SS.FF6"Z"\')',
    "bigquery": "FORMAT_DATETIME('%Y-%m-%dT%H:%M:%E6SZ', {0})",
}
_WITH_ZONE = {
    "snowflake": "CONVERT_TIMEZONE('UTC', {0})",
    "bigquery": "DATETIME({0}, 'UTC')",
}
_TEXT_TYPE = {"bigquery": "STRING"}
_ESCAPED = ("snowflake", "bigquery")  # a backslash in a text begins an escape
# The beginnings of type names, from the longest on, and the kind of such a column. Others cannot be compared.
_KINDS = (
    ("timestamp with time zone", "timestamptz"),
    ("timestamptz", "timestamptz"),
    ("timestamp_tz", "timestamptz"),
    ("timestamp_ltz", "timestamptz"),
    ("timestamp", "timestamp"),
    ("datetime", "timestamp"),
    ("date", "date"),
    ("bool", "boolean"),
    ("numeric", "decimal"),
    ("decimal", "decimal"),
    ("number", "decimal"),
    ("bignumeric", "decimal"),
    ("interval", ""),
    ("bigint", "integer"),
    ("hugeint", "integer"),
    ("smallint", "integer"),
    ("int", "integer"),
    ("char", "text"),
    ("varchar", "text"),
    ("text", "text"),
    ("string", "text"),
    ("uuid", ""),
)


@dataclass(frozen=True)
class Dialect:
    """The SQL of one database."""

    name: str

    def kind(self, type_name: str) -> str:
        """
        Return the kind of a column by the name of its type, "" for one that cannot be compared.

        >>> postgres = Dialect("postgres")
        >>> [postgres.kind(name) for name in ("character varying", "double precision", "numeric(38,9)", "jsonb")]
        ['text', '', 'decimal', '']
        """
        lowered = type_name.lower()
        if lowered.endswith("[]"):
            return ""
        if self.name == "bigquery" and lowered == "timestamp":
            return "timestamptz"
        if lowered.startswith("timestamp") and lowered.endswith("with time zone"):
            return "timestamptz"
        return next((kind for start, kind in _KINDS if lowered.startswith(start)), "")

    def quote(self, name: str) -> str:
        return f"`{name}`" if self.name == "bigquery" else '"' + name.replace('"', '""') + '"'

    def literal(self, text: str) -> str:
        text = text.replace("\\", "\\\\") if self.name in _ESCAPED else text
        return "'" + text.replace("'", "\\'" if self.name == "bigquery" else "''") + "'"

    def text(self, column: Column) -> str:
        """Return a column as text; null stays null."""
        value, kind = self.quote(column.name), column.kind
        as_text = f"CAST({value} AS {_TEXT_TYPE.get(self.name, 'VARCHAR')})"
        if kind == "boolean":
            return f"CASE WHEN {value} THEN 'true' WHEN NOT {value} THEN 'false' END"
        if kind == "decimal":
            trimmed = f"RTRIM(RTRIM({as_text}, '0'), '.')"
            return f"CASE WHEN {as_text} LIKE '%.%' THEN {trimmed} ELSE {as_text} END"
        if kind == "timestamptz":
            value = _WITH_ZONE.get(self.name, "({0} AT TIME ZONE 'UTC')").format(value)
        if kind in ("timestamp", "timestamptz"):
            return _TIMESTAMP[self.name].format(value)
        return value if kind == "text" else as_text

    def row_text(self, columns: Sequence[Column]) -> str:
        """Return the text of a row, or of its key."""
        return " || CHR(31) || ".join(f"COALESCE({self.text(column)}, CHR(30))" for column in columns)

    def hash(self, text: str) -> str:
        return _HASH[self.name].format(text)

    # -- statements

    def rows(self, comparison: Comparison, table: str, texts: bool = False) -> str:
        """Return a query of each row's account, bucket, key, hashes and newest date; with `texts`, of its values."""
        key = self.row_text([comparison.column(name) for name in comparison.key])
        date = comparison.date and self.text(comparison.column(comparison.date))
        day = f"COALESCE(SUBSTR({date}, 1, 10), '')" if date else "''"
        account = self.text(comparison.column("account_sid")) if comparison.has_account else "''"
        changed = [f"COALESCE({self.text(comparison.column(name))}, '')" for name in comparison.changed]
        newest = f"GREATEST({', '.join(changed)})" if len(changed) > 1 else (changed or ["''"])[0]
        columns = [
            f"COALESCE({account}, '') AS account_sid",
            f"{day} AS day",
            f"{key} AS key_text",
            f"{self.hash(key)} AS k",
            f"{self.hash(self.row_text(comparison.columns))} AS r",
            f"{newest} AS changed",
        ]
        if texts:
            columns += [f"{self.text(column)} AS c{index}" for index, column in enumerate(comparison.columns)]
        return f"SELECT {', '.join(columns)} FROM {table}"

    def bucket(self, comparison: Comparison) -> str:
        """Return the bucket of a row that `rows` returned."""
        return "day" if comparison.date else f"CAST(MOD(k, {BUCKETS}) AS {_TEXT_TYPE.get(self.name, 'VARCHAR')})"

    def sums(self, comparison: Comparison, table: str) -> str:
        """Return the query of the sums of each bucket."""
        bucket = self.bucket(comparison)
        return (
            f"SELECT {self.literal(comparison.stream)} AS stream, account_sid, {bucket} AS bucket,"
            f" COUNT(*) AS row_count, SUM(k) AS key_sum, SUM(r) AS row_sum"
            f" FROM ({self.rows(comparison, table)}) AS t GROUP BY account_sid, {bucket}"
        )

    def details(self, comparison: Comparison, table: str, buckets: Collection[tuple[str, str]], part: int) -> str:
        """Return the query of the rows of some buckets; of 16 parts of them, only `part`, unless it is negative."""
        names = ", ".join(self.literal(f"{account} {bucket}") for account, bucket in buckets)
        where = f"account_sid || ' ' || {self.bucket(comparison)} IN ({names})"
        where += f" AND MOD(k, {PARTS}) = {part}" if part >= 0 else ""
        return f"SELECT key_text, r, changed, account_sid, day FROM ({self.rows(comparison, table)}) AS t WHERE {where}"

    def by_key(self, comparison: Comparison, table: str, keys: Iterable[str]) -> str:
        """Return the query of the values of some rows."""
        names = ", ".join(map(self.literal, keys))
        columns = ", ".join(f"c{index}" for index in range(len(comparison.columns)))
        rows = self.rows(comparison, table, texts=True)
        return f"SELECT key_text, r, {columns} FROM ({rows}) AS t WHERE key_text IN ({names})"
