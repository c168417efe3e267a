"""What an open lake offers: relations with all versions of the rows, and what the database knew of them.

This is the contract between what writes a lake and what answers queries from it.
A relation ``lake."<Table>"`` holds all versions of the rows of a versioned table:

- all columns that the table has ever had, by their names, of DuckDB's types for those of PostgreSQL:
  ``SMALLINT``, ``INTEGER``, ``BIGINT``, ``FLOAT``, ``DOUBLE``, ``BOOLEAN``, ``VARCHAR`` for text,
  ``TIMESTAMP`` without and ``TIMESTAMPTZ`` with a time zone, ``UUID``, ``BLOB``;
- ``snap_from``, ``snap_to``: ``BIGINT``, as in schema ``ppdb_history``;
- where the table has a position, ``_healpix_29`` (``BIGINT``: HEALPix, nested, order 29) and ``_x``, ``_y``,
  ``_z`` (``DOUBLE``: the unit vector). All four are NULL where a coordinate is NULL or not finite, or the
  latitude lies beyond a pole.

``lake."<Table>_by_object"`` holds the same rows in the order of ``diaObjectId``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ppdb_replay.snapshot import Snapshot

if TYPE_CHECKING:
    # Of an optional extra.
    from duckdb import DuckDBPyConnection

LAKE_SCHEMA = "lake"
"""Schema of the relations in DuckDB."""
PIXEL = "_healpix_29"
"""Column with the HEALPix pixel of a position, nested, of `PIXEL_ORDER`."""
PIXEL_ORDER = 29
VECTOR = ("_x", "_y", "_z")
"""Columns with the unit vector of a position."""
BY_OBJECT = "_by_object"
"""What the name of the copy in the order of objects ends with."""


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """A column of a versioned table, as ``ppdb_history.versioned_column`` has it.

    Parameters
    ----------
    name
        Its name.
    data_type
        Its type as PostgreSQL writes it, such as ``double precision`` or ``character varying(32)``.
    snap_from, snap_to
        The snapshots in which the table has it: from the first one to before the second one.
    """

    name: str
    data_type: str
    snap_from: int
    snap_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeTable:
    """A versioned table in a lake.

    Parameters
    ----------
    schema, name
        Its name in PostgreSQL, such as ``ppdb`` and ``DiaSource``.
    key
        Columns that tell its rows apart in every snapshot.
    columns
        All columns that it has ever had, in the order of ``SELECT *``; not those that the lake adds.
    position
        Columns with longitude and latitude in degrees, of which the lake has pixels and unit vectors.
    by_object
        Whether there is a copy in the order of ``diaObjectId``.
    """

    schema: str
    name: str
    key: tuple[str, ...]
    columns: tuple[LakeColumn, ...]
    position: tuple[str, str] | None = None
    by_object: bool = False


@dataclass(frozen=True, slots=True)
class LakeSnapshot:
    """A snapshot that a lake has.

    Parameters
    ----------
    snapshot
        Its number and time.
    digest
        Digest of all versions up to it, hexadecimal; empty if the database had not computed it.
    """

    snapshot: Snapshot
    digest: str


class Lake(Protocol):
    """A lake that is open for reading, at one of its states: a refresh beside it changes nothing."""

    @property
    def connection(self) -> "DuckDBPyConnection":
        """Connection of this lake alone: only for reading, its time zone is UTC."""
        ...

    @property
    def clock_id(self) -> str:
        """What tells the history of one database from that of all others."""
        ...

    @property
    def collation(self) -> str:
        """Collation of the database, such as ``C.UTF-8``: a lake has only the order of bytes."""
        ...

    @property
    def newest_snapshot(self) -> int:
        """Number of the newest snapshot whose versions are all there."""
        ...

    @property
    def tables(self) -> Mapping[str, LakeTable]:
        """The versioned tables by their names without schema."""
        ...

    def snapshot(self, snapshot_id: int) -> LakeSnapshot | None:
        """Return a snapshot of the lake; `None` if it has none of this number, or not yet."""
        ...

    def snapshot_at(self, t_mjd_tai: float) -> LakeSnapshot | None:
        """Return the last snapshot that was made up to a time; `None` before the first one."""
        ...
