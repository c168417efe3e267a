"""A catalogue of a few columns, for tests that need no database."""

from __future__ import annotations

from dataclasses import replace

from adql import ColumnMetadata, Metadata, TableMetadata, UserFunction
from adql.types import DOUBLE, value_type
from ppdb_replay.rewriting.version_catalog import ClockFunction, VersionCatalog, build_catalog

__all__ = ["CATALOG", "published"]

Columns = dict[str, str]

OBJECT = {
    "diaObjectId": "long",
    "validityStartMjdTai": "double",
    "validityEndMjdTai": "double",
    "ra": "double",
    "dec": "double",
    "nDiaSources": "int",
}
SOURCE = {
    "diaSourceId": "long",
    "diaObjectId": "long",
    "visit": "long",
    "detector": "short",
    "psfFlux": "float",
    "band": "char",
}
SYSTEM = {"snap_from": "long", "snap_to": "long"}


def published(*name: str, columns: Columns) -> TableMetadata:
    """Return a published table with some columns."""
    known = tuple(
        ColumnMetadata(name=column, sql_name=column, type=value_type(type_, "*" if type_ == "char" else None))
        for column, type_ in columns.items()
    )
    return TableMetadata(name=name, columns=known, sql_schema=name[0], sql_name=name[-1])


CATALOG: VersionCatalog = build_catalog(
    Metadata(
        (
            published("ppdb", "DiaObject", columns=OBJECT),
            published("ppdb", "DiaSource", columns=SOURCE),
            published("ppdb_history", "DiaObject", columns=OBJECT | SYSTEM),
            published("ppdb_history", "DiaSource", columns=SOURCE | SYSTEM),
            published("dp1", "Object", columns={"objectId": "long", "ra": "double"}),
            published("dp1", "Shape", columns={"objectId": "long", "s_region": "char"}),
            replace(published("TAP_UPLOAD", "mine", columns={"id": "long"}), is_upload=True),
        ),
        (
            UserFunction("service_now", (), DOUBLE, ("now_mjd()",)),
            UserFunction("service_pure", ("numeric",), DOUBLE, ("pure(", 0, ")"), is_pure=True),
            UserFunction("service_other", ("numeric",), DOUBLE, ("other(", 0, ")")),
        ),
    ),
    clocks=(ClockFunction("service_now"),),
    schema_version="10.0.0",
)
