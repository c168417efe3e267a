"""What a database holds against what ``sql/`` says: ``alembic check``, ``tapdb sql check --live``.

PostgreSQL itself tells what should be there: inside a savepoint our schemas are renamed out of the
way, all of ``sql/`` is applied, described and rolled back. Nobody else sees that, and no table is locked by
it.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import DriftError
from tapdb.postgres.catalog import Catalog, CatalogDifference, describe, diff, option_statements
from tapdb.postgres.roles import Right, require_rights
from tapdb.sources import SqlSource, execute_composed, execute_text, newest_version

SCHEMAS = ("caom2", "ivoa", "ppdb", "ppdb_history", "provenance", "tap_schema", "tapdb")
"""Schemas that tapdb makes and fills; what is in tapdb_queue, that of the job queue, is not our text."""

_OUR_GRANTS = tuple(f"grant to {role}" for role in ("PUBLIC", "tapdb_owner", "tapdb_reader", "tapdb_service"))
_KINDS = {"table": "tables", "view": "views", "schema": "schemas", "default": "grants"}


def find_drift(
    connection: sa.Connection, sources: Iterable[SqlSource], *, frozen: Path | None = None
) -> dict[str, tuple[CatalogDifference, ...]]:
    """Return what differs between the database (left) and ``sql/`` (right), by name of the source.

    Only objects that come from a source count, today's or a frozen one: views that are generated, and
    objects of others in the same schemas, are ignored. Grants to further roles are the DBA's
    own business, too.

    Parameters
    ----------
    connection
        Connection of the role that migrates, since all of ``sql/`` is applied in a savepoint and rolled back.
    sources
        All sources in dependency order.
    frozen
        Folder of the frozen versions, if not tapdb's own.
    """
    require_comparison_rights(connection)
    live = describe(connection, SCHEMAS)
    expected = expected_catalog(connection, sources)
    ours = {fact.object for fact in expected.facts}
    differences = [
        difference
        for difference in diff(live, expected)
        if (difference.object in ours or newest_version(source_name(difference.object), folder=frozen))
        and not _granted_by_dba(difference)
    ]
    differences.sort(key=lambda difference: source_name(difference.object))
    return {name: tuple(group) for name, group in groupby(differences, lambda d: source_name(d.object))}


def require_comparison_rights(connection: sa.Connection) -> None:
    """Check that the user may make in a savepoint what should be there.

    Raises
    ------
    MissingRightsError
        Raised if not.
    """
    rights = (Right("OWNER", "tapdb", "view_definition"), Right("CREATE"))
    require_rights(connection, "compare it with what tapdb makes", rights)


def drift_error(drift: Mapping[str, tuple[CatalogDifference, ...]]) -> DriftError:
    """Return what `find_drift` has found as an error, a line for each difference."""
    found = [difference for differences in drift.values() for difference in differences]
    remedy = ["Left is the database, right is what sql/ says."]
    if options := [f"  {statement};" for statement in option_statements(found)]:
        remedy += ["Options that were set by hand are taken back, as the owner, by:", *options]
    return DriftError("the database", tuple(map(str, found)), "\n".join(remedy))


def expected_catalog(connection: sa.Connection, sources: Iterable[SqlSource]) -> Catalog:
    """Return the catalog of tapdb's schemas as the sources make them in this very database; nothing stays.

    Parameters
    ----------
    connection
        Connection of the role that migrates.
    sources
        All sources in dependency order.
    """
    present = [schema for schema in SCHEMAS if sa.inspect(connection).has_schema(schema)]
    with connection.begin_nested() as trial:
        for schema in present:
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            execute_composed(
                connection, rename.format(sql.Identifier(schema), sql.Identifier(f"{schema} set aside"))
            )
        for source in sources:
            execute_text(connection, source.create)
        catalog = describe(connection, SCHEMAS)
        trial.rollback()
    return catalog


def source_name(catalog_object: str) -> str:
    """Return the name of the source that makes an object of a catalog.

    >>> source_name("function tapdb.s_region(region text)")
    'functions/tapdb.s_region'
    >>> source_name("default privileges of tapdb_owner in schema ivoa")
    'grants/tapdb_reader'
    """
    kind, _, name = catalog_object.partition(" ")
    if kind == "default":
        return "grants/tapdb_reader"
    return f"{_KINDS.get(kind, 'functions')}/{re.sub(r'[(].*', '', name)}"


def _granted_by_dba(difference: CatalogDifference) -> bool:
    return "grant to " in difference.property and not difference.property.endswith(_OUR_GRANTS)
