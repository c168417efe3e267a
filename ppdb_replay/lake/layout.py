"""How a lake lies in its folder: the one file that names all others, columns of tables, names of files.

``lake.json`` names a catalog of DuckLake (`<https://ducklake.select>`_), which names the files of all tables.
Both a catalog and the files of tables are written once under a name of their own and never changed, so that
replacing ``lake.json`` makes a new state visible, whole, and who reads an earlier one goes on reading it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from psycopg import sql

from ppdb_replay.errors import LakeUnreadableError
from ppdb_replay.lake.contract import BY_OBJECT, LAKE_SCHEMA, PIXEL, VECTOR, LakeColumn, LakeTable
from ppdb_replay.rewriting.version_catalog import SNAP_FROM, SNAP_TO
from ppdb_replay.snapshot import CURRENT
from ppdb_replay.versions.versioned_table import VersionedTable

POINTER = "lake.json"
"""The file that names the state that readers see."""

CATALOGS = "catalogs"
"""Folder of the catalogs, one a state."""

TABLES = "main"
"""Folder of the tables' files: DuckLake calls it so."""

OWN_SCHEMA = "tapdb"
"""Schema, in the file of a catalog, with what the database knows of its snapshots."""

_FORMAT = 1
_FOREVER = "the lake was written by another release of tapdb"

OBJECT = "diaObjectId"
"""Column by which the second copy of sources is sorted."""
_OBJECTS = "DiaObject"
_POSITION = ("ra", "dec")
_DEGREES = {"double precision", "real"}

_TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "uuid": "UUID",
    "bytea": "BLOB",
    "text": "VARCHAR",
    "character varying": "VARCHAR",
    "character": "VARCHAR",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
_ADDED = {SNAP_FROM: "BIGINT", SNAP_TO: "BIGINT"}
_PLACED = {PIXEL: "BIGINT", **dict.fromkeys(VECTOR, "DOUBLE")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeState:
    """What ``lake.json`` says.

    Attributes
    ----------
    catalog
        File of the catalog, relative to the lake's folder.
    snapshot_id
        Newest snapshot whose versions are all there.
    digest
        Digest of all versions up to it, hexadecimal.
    clock_id
        What tells the history of one database from that of all others.
    hats
        Folder of the HATS catalogue of each table that has one.
    hats_snapshot_id
        Newest snapshot in these catalogues: what was refreshed since is in the lake's tables alone.
    superseded
        Catalogs that readers may have open still, and when each was replaced (seconds since 1970).
    """

    catalog: str
    snapshot_id: int
    digest: str
    clock_id: str
    hats: Mapping[str, str]
    hats_snapshot_id: int
    superseded: Mapping[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the content of ``lake.json``."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1).encode()


def read_state(data: bytes, where: str) -> LakeState:
    """Return what ``lake.json`` says.

    Parameters
    ----------
    data
        Its content.
    where
        The lake, for messages.

    Raises
    ------
    LakeUnreadableError
        Raised if it is of another form.
    """
    try:
        content = json.loads(data)
        if content.pop("format") != _FORMAT:
            raise LakeUnreadableError(where, _FOREVER)
        return LakeState(**content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LakeUnreadableError(where, f"{POINTER} is not as tapdb writes it") from error


def catalog_name(snapshot_id: int, token: str) -> str:
    """Return the file of a catalog with all versions up to a snapshot; the token makes it like no other."""
    return f"{CATALOGS}/{snapshot_id:012d}-{token}.ducklake"


def table_folder(relation: str, generation: str) -> str:
    """Return the folder of the files of a table that were written together, as a whole."""
    return f"{TABLES}/{relation}/{generation}"


def pixel_file(order: int, pixel: int) -> str:
    """Return the file of a pixel within a HATS catalogue (HATS 1.0, section 3: directory structure)."""
    return f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"


def tables_at(tables: Iterable[VersionedTable], snapshot_id: int) -> tuple[LakeTable, ...]:
    """Return versioned tables as the database described them at a snapshot.

    Parameters
    ----------
    tables
        The tables as they are described now.
    snapshot_id
        The snapshot.
    """
    return tuple(_table_at(one, snapshot_id) for one in tables if one.from_snapshot <= snapshot_id)


def _table_at(table: VersionedTable, snapshot_id: int) -> LakeTable:
    columns = tuple(
        LakeColumn(
            one.name, one.data_type, one.snap_from, one.snap_to if one.snap_to <= snapshot_id else CURRENT
        )
        for one in table.columns
        if one.snap_from <= snapshot_id
    )
    types = {one.name: one.data_type for one in columns}
    position = _POSITION if all(types.get(name) in _DEGREES for name in _POSITION) else None
    return LakeTable(
        schema=table.schema,
        name=table.name,
        key=table.key,
        columns=columns,
        position=position,
        by_object=types.get(OBJECT) == "bigint" and table.name != _OBJECTS,
    )


def table_from(content: Mapping[str, Any]) -> LakeTable:
    """Return a table from what `dataclasses.asdict` made of it, and JSON of that."""
    values = dict(content)
    columns = tuple(LakeColumn(**one) for one in values.pop("columns"))
    key = tuple(values.pop("key"))
    position = values.pop("position")
    placed = None if position is None else tuple(position)
    return LakeTable(columns=columns, key=key, position=placed, **values)


def relations_of(table: LakeTable) -> tuple[str, ...]:
    """Return the names of a table's relations in the lake: of itself, and of the copy by object."""
    return (table.name, table.name + BY_OBJECT) if table.by_object else (table.name,)


def lake_type(data_type: str) -> str | None:
    """Return DuckDB's type for one of PostgreSQL's; `None` if the lake has its text."""
    plain, _, rest = data_type.partition("(")
    # timestamp(3) with time zone
    return _TYPES.get(f"{plain.strip()}{rest.partition(')')[2]}".strip())


def is_text(data_type: str) -> bool:
    """Return whether the lake has a type as the text that PostgreSQL makes of it."""
    return lake_type(data_type) is None


def typed_columns(table: LakeTable) -> dict[str, str]:
    """Return all columns of a table's relations with their DuckDB types, in order."""
    own = {one.name: lake_type(one.data_type) or "VARCHAR" for one in table.columns}
    return {**own, **_ADDED, **(_PLACED if table.position else {})}


def relation_sql(relation: str) -> sql.Identifier:
    """Return the name of a relation as it stands in statements."""
    return sql.Identifier(LAKE_SCHEMA, relation)


def create_statements(table: LakeTable) -> tuple[str, ...]:
    """Return the statements that make the relations of a table, empty."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in typed_columns(table).items()
    )
    statements = []
    for relation in relations_of(table):
        name = relation_sql(relation)
        statements.append(sql.SQL("CREATE TABLE {} ({})").format(name, columns).as_string())
        # Files that DuckLake merges are sorted so, too.
        order = sql.SQL(", ").join(map(sql.Identifier, sort_order(table, relation)))
        statements.append(sql.SQL("ALTER TABLE {} SET SORTED BY ({})").format(name, order).as_string())
    return tuple(statements)


def add_column_statements(before: LakeTable, after: LakeTable) -> tuple[str, ...]:
    """Return the statements that give the relations of a table the columns that it has got since."""
    known = {one.name for one in before.columns}
    added = [one for one in after.columns if one.name not in known]
    frame = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}")
    return tuple(
        frame.format(
            relation_sql(relation),
            sql.Identifier(one.name),
            sql.SQL(lake_type(one.data_type) or "VARCHAR"),
        ).as_string()
        for relation in relations_of(before)
        for one in added
    )


def sort_order(table: LakeTable, relation: str) -> tuple[str, ...]:
    """Return the columns by which a relation's files are sorted."""
    if relation != table.name:
        return (OBJECT, SNAP_FROM)
    return (PIXEL, SNAP_FROM) if table.position else (table.key[0], SNAP_FROM)


def without_superseded(state: LakeState, before: float) -> LakeState:
    """Return a state that does not name the catalogs that were replaced before a time."""
    return replace(state, superseded={name: at for name, at in state.superseded.items() if at > before})
