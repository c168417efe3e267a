"""Views that show several others as one: what is recorded of them, and the SQL that makes and drops them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from psycopg import sql

from obscore_view.config.parse import parse_config
from obscore_view.errors import CombinationError
from obscore_view.mapping import DatasetMapping, match_mapping
from obscore_view.registry.read import read_registry
from obscore_view.select.combined import combined_columns, combined_select, require_combinable
from obscore_view.select.kept_tables import SCHEMA
from obscore_view.view.published import OWNER, READER, RelationName, comments, render
from obscore_view.view.script import Script
from obscore_view.view.store import COMBINED, RECORDS, StoredView, read_stored_views
from tapdb import __version__
from tapdb.postgres.roles import grant_statements, read_grants, require_rights

_TABLE = sa.table(
    COMBINED,
    *map(sa.column, ("view_schema", "view_name", "parts", "first_only", "statement_sha256")),
    schema=SCHEMA,
)


@dataclass(frozen=True, slots=True)
class CombinedView:
    """A view that shows several others as one.

    Attributes
    ----------
    schema, name
        Name of the view.
    parts
        What it shows, schema and name with a dot between them, by rank.
    first_only
        Whether a dataset that several have is shown as the first of them has it.
    digest
        SHA-256 of its SELECT; empty if it is not made yet.
    """

    schema: str
    name: str
    parts: tuple[str, ...]
    first_only: bool = False
    digest: str = ""

    @property
    def full_name(self) -> str:
        """Schema and name, with a dot between them."""
        return f"{self.schema}.{self.name}"

    @property
    def command(self) -> str:
        """The command that makes it."""
        words = ("tapdb obscore combine", self.full_name, *self.parts, *(["--first-only"] * self.first_only))
        return " ".join(words)


def has_combined_views(connection: sa.Connection) -> bool:
    """Return whether a database records views that show several as one: from revision 0011 on."""
    return connection.scalar(sa.select(sa.func.to_regclass(f"{SCHEMA}.{COMBINED}"))) is not None


def read_combined_views(connection: sa.Connection, part: str | None = None) -> tuple[CombinedView, ...]:
    """Return the combined views, by name.

    Parameters
    ----------
    connection
        Connection.
    part
        A view that they show; all of them if not given.
    """
    if not has_combined_views(connection):
        return ()
    require_rights(connection, "read which ObsCore views there are", RECORDS)
    rows = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.view_schema, _TABLE.c.view_name))
    found = (
        CombinedView(row.view_schema, row.view_name, tuple(row.parts), row.first_only, row.statement_sha256)
        for row in rows
    )
    return tuple(one for one in found if part is None or part in one.parts)


def mappings_of(
    connection: sa.Connection, one: CombinedView, changed: Mapping[str, DatasetMapping]
) -> tuple[DatasetMapping, ...]:
    """Return what the parts of a combined view are made from, by rank.

    Parameters
    ----------
    connection
        Connection.
    one
        The combined view.
    changed
        Parts that will have been made otherwise by then.

    Raises
    ------
    CombinationError
        Raised if a part is not there.
    """
    stored = {each.full_name: each for each in read_stored_views(connection)}
    if missing := [name for name in one.parts if name not in stored and name not in changed]:
        known = ", ".join(sorted(stored)) or "none"
        for each in read_combined_views(connection):
            if each.full_name in missing:
                said = f"{each.full_name} shows several as one itself"
                raise CombinationError(said, f"Name these: {', '.join(each.parts)}")
        raise CombinationError(f"there is no ObsCore view {', '.join(missing)}", f"There are: {known}")
    return tuple(changed.get(name) or _mapping(connection, stored[name]) for name in one.parts)


def _mapping(connection: sa.Connection, view: StoredView) -> DatasetMapping:
    config = parse_config(view.config_yaml, source=f"configuration of {view.full_name}")
    registry = read_registry(connection, view.registry_schema)
    return replace(match_mapping(config, registry), kept=view.kept)


def unread_parts(connection: sa.Connection, one: CombinedView) -> tuple[str, ...]:
    """Return the parts of a combined view that ``tapdb_reader`` may not read."""
    return tuple(name for name in one.parts if not is_read(connection, name))


def is_read(connection: sa.Connection, view: str) -> bool:
    """Return whether ``tapdb_reader`` may read a view, ``schema.name``."""
    classes = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relnamespace")), schema="pg_catalog")
    namespaces = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    schema, name = view.split(".", 1)
    # Unlike a conversion to regclass this needs no right on the schema.
    query = sa.select(sa.func.has_table_privilege("tapdb_reader", classes.c.oid, "SELECT")).where(
        classes.c.relnamespace == namespaces.c.oid, namespaces.c.nspname == schema, classes.c.relname == name
    )
    # Nothing is known of what is not there.
    return connection.scalar(query) is not False


def make_combined(one: CombinedView, parts: Sequence[DatasetMapping], *, is_public: bool = True) -> Script:
    """Return what makes a combined view, with comments and grants, and records it.

    Parameters
    ----------
    one
        The view.
    parts
        What its parts are made from, by rank.
    is_public
        Whether ``tapdb_reader`` may read it.

    Raises
    ------
    CombinationError
        Raised if one view cannot show what its parts show.
    """
    require_combinable(parts, first_only=one.first_only)
    view = sql.Identifier(one.schema, one.name)
    select = _select(one, parts)
    about = f"ObsCore 1.1, one row a dataset of each of {', '.join(one.parts)}; live."
    if one.first_only:
        about = f"ObsCore 1.1, one row a dataset, as the first of {', '.join(one.parts)} has it; live."
    record = sql.SQL(
        "INSERT INTO {} (view_schema, view_name, parts, first_only, statement_sha256, software_version) "
        "VALUES ({}, {}, {}, {}, {}, {})"
    ).format(
        sql.Identifier(SCHEMA, _TABLE.name),
        *map(sql.Literal, (one.schema, one.name, list(one.parts), one.first_only)),
        *map(sql.Literal, (_digest(select), __version__)),
    )
    grant = [sql.SQL("GRANT SELECT ON {} TO {}").format(view, READER)] if is_public else []
    statements = (
        sql.SQL("CREATE VIEW {} AS\n{}").format(view, select),
        sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, OWNER),
        *grant,
        *comments(view, about, combined_columns(parts)),
        record,
    )
    return _script(statements)


def drop_combined(one: CombinedView) -> Script:
    """Return what drops a combined view, and its record."""
    forget = sql.SQL("DELETE FROM {} WHERE view_schema = {} AND view_name = {}")
    names = (sql.Identifier(SCHEMA, _TABLE.name), sql.Literal(one.schema), sql.Literal(one.name))
    drop = sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(one.schema, one.name))
    return _script((drop, forget.format(*names)))


def is_as_recorded(one: CombinedView, parts: Sequence[DatasetMapping]) -> bool:
    """Return whether a combined view was made as this software makes it of its parts."""
    return one.digest == _digest(_select(one, parts))


def around(
    connection: sa.Connection, view: str, mapping: DatasetMapping
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what drops the combined views that show a view, and what makes them again once it has changed.

    Grants on them stay as they are.

    Parameters
    ----------
    connection
        Connection.
    view
        Name of the view.
    mapping
        What it will be made from.
    """
    before: list[str] = []
    after: list[str] = []
    for one in read_combined_views(connection, view):
        before += drop_combined(one).statements
        try:
            parts = mappings_of(connection, one, {view: mapping})
            is_public = not unread_parts(connection, one)
            after += make_combined(one, parts, is_public=is_public).statements
        except CombinationError as error:
            raise CombinationError(
                f"{one.full_name} shows {view} and others as one, and could not any more: {error.problem}",
                f"{error.remedy}; or drop that view first: tapdb obscore drop --view {one.full_name}",
            ) from error
        after += grants_as_before(connection, one, parts).statements
    return tuple(before), tuple(after)


def grants_as_before(connection: sa.Connection, one: CombinedView, parts: Sequence[DatasetMapping]) -> Script:
    """Return what restores exactly the grants of a combined view that is made again, the reader's own too.

    Parameters
    ----------
    connection, one, parts
        Connection, the view as it was, and what its parts are made from now.
    """
    name: RelationName = (one.schema, one.name)
    if (had := read_grants(connection).get(name)) is None:
        return Script(())
    shown = {column.name for column in combined_columns(parts)}
    kept = frozenset(grant for grant in had.grants if grant.column in {None, *shown})
    revoke = sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(*name), READER)
    return _script((revoke, *grant_statements(name, kept)))


def _select(one: CombinedView, parts: Sequence[DatasetMapping]) -> sql.SQL:
    return render(combined_select(parts, first_only=one.first_only))


def _digest(select: sql.SQL) -> str:
    return hashlib.sha256(select.as_bytes()).hexdigest()


def _script(statements: Iterable[sql.Composable]) -> Script:
    return Script(tuple(one.as_string(None) for one in statements))
