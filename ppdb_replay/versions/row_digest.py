"""The digest of rows, in SQL: the same that triggers note of what each snapshot wrote."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

__all__ = ["listed", "rows_digest"]


def rows_digest(columns: Sequence[sql.Composable]) -> sql.Composed:
    """Return the aggregate over rows: exclusive or of the SHA-256 of the binary form of their values.

    Parameters
    ----------
    columns
        The values, in the order in which the trigger function ``ppdb_history.keep_versions`` takes them.
    """
    frame = "bit_xor(('x' || encode(sha256(record_send(ROW({}))), 'hex'))::bit(256))"
    return sql.SQL(frame).format(sql.SQL(", ").join(columns))


def listed(names: Sequence[str]) -> sql.Composed:
    """Return names of columns, quoted and separated by commas."""
    return sql.SQL(", ").join(map(sql.Identifier, names))
