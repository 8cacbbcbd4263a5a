"""Counting the rows of tables in bounded steps. SQLite counts by walking along the whole table."""

from __future__ import annotations

import base64
import time
from typing import Any, Final

import apsw
import msgspec

from penstock.model.errors import InvalidOption

_ROWS_AT_ONCE: Final = 2_048
"""Between two looks at the clock."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[str, list[Any]]).decode


def count_rows(connection: apsw.Connection, cursor: str | None, for_s: float) -> tuple[dict[str, int], str | None]:
    """Count for so long. Answers the rows found, by table, and a cursor that goes on; None: all are counted.

    Args:
        cursor: from an earlier answer; None: begin. What is written meanwhile is counted where it comes later.

    Raises:
        InvalidOption: the cursor is none.
    """
    until = time.perf_counter() + for_s
    tables = [
        str(name)
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        if not str(name).startswith("sqlite_")
    ]
    first, after = _read_cursor(cursor, tables)
    counts: dict[str, int] = {}
    for table in tables[first:]:
        keys = _keys(connection, table)
        counts.setdefault(table, 0)
        while (found := _step(connection, table, keys, after)) is not None:
            counts[table] += _ROWS_AT_ONCE
            after = found
            if time.perf_counter() >= until:
                return counts, _cursor(table, after)
        counts[table] += _rest(connection, table, keys, after)
        after = []
    return counts, None


def _keys(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of the primary key, in order."""
    columns = connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    return [f'"{name}"' for (name,) in columns] or ["rowid"]


def _where(keys: list[str], after: list[Any]) -> str:
    marks = ", ".join("?" * len(after))
    return f"WHERE ({', '.join(keys)}) > ({marks})" if after else ""


def _step(connection: apsw.Connection, table: str, keys: list[str], after: list[Any]) -> list[Any] | None:
    """The key of the last of the next rows; None: there are fewer than are counted at once."""
    names = ", ".join(keys)
    text = f'SELECT {names} FROM "{table}" {_where(keys, after)} ORDER BY {names} LIMIT 1 OFFSET {_ROWS_AT_ONCE - 1}'
    for row in connection.execute(text, after, can_cache=False):
        return list(row)
    return None


def _rest(connection: apsw.Connection, table: str, keys: list[str], after: list[Any]) -> int:
    text = f'SELECT count(*) FROM (SELECT 1 FROM "{table}" {_where(keys, after)} LIMIT {_ROWS_AT_ONCE})'
    ((count,),) = connection.execute(text, after, can_cache=False).fetchall()
    return int(count)  # type: ignore[arg-type]  # a count is a number


def _cursor(table: str, after: list[Any]) -> str:
    return base64.urlsafe_b64encode(_encode((table, after))).decode()


def _read_cursor(cursor: str | None, tables: list[str]) -> tuple[int, list[Any]]:
    """Where to go on: the place of the table, and the key behind which."""
    if cursor is None:
        return 0, []
    try:
        table, after = _decode(base64.urlsafe_b64decode(cursor))
        return tables.index(table), after
    except (ValueError, msgspec.DecodeError):
        raise InvalidOption("The cursor is none of this store's.", field="cursor") from None
