"""The views that readers see: with all rows, and of what is released; their SQL, comments and grants."""

from collections.abc import Iterable

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql

from obscore_view.columns import ObsCoreColumn
from obscore_view.config.model import ObsCoreConfig
from obscore_view.mapping import DatasetMapping
from obscore_view.select.kept_tables import SCHEMA, shortened
from obscore_view.select.statement import build_select, released_select, view_columns

RelationName = tuple[str, str]

OWNER = sql.Identifier("tapdb_owner")
READER = sql.Identifier("tapdb_reader")
DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
"""How SQL is written."""


def render(query: sa.sql.expression.ClauseElement) -> sql.SQL:
    """Return a query as text with its constants written into it.

    A style of parameters in which neither ``%`` nor ``:`` is doubled: the text goes to the server as it
    stands.
    """
    return sql.SQL(str(query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})))


def published_views(config: ObsCoreConfig) -> tuple[RelationName, ...]:
    """Return schema and name of the views that a configuration makes for readers, that with all rows last.

    Those of what is released are two: one that is fast, and one for conditions that may fail on a row
    (`guarded_name`).
    """
    released = config.released_view
    views = () if released is None else ((SCHEMA, guarded_name(released)), released)
    return (*views, (config.view_schema, config.view_name))


_GUARDED = "_guarded"


def guarded_name(view: RelationName) -> str:
    """Return the name, in schema ``tapdb``, of the view beside that of what is released which is a barrier.

    PostgreSQL evaluates its condition before any expression of a query that could fail, or say, what is in a
    row that is not released yet. It cannot use the index on regions.
    """
    return f"{shortened(f'{view[0]}_{view[1]}', longest=_GUARDED)}{_GUARDED}"


def released_names(released: RelationName) -> dict[str, str]:
    """Return the names of the view of what is released, and of its barrier, as SQL functions read them."""
    return {"schema": released[0], "name": released[1], "guarded": guarded_name(released)}


def publish(mapping: DatasetMapping) -> Iterable[sql.Composable]:
    """Return what makes the view itself, with its comments and grants; then that of what is released."""
    config, columns = mapping.config, view_columns(mapping)
    view = sql.Identifier(config.view_schema, config.view_name)
    yield sql.SQL("CREATE VIEW {} AS\n{}").format(view, render(build_select(mapping)))
    yield sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, OWNER)
    yield from comments(view, _about(mapping, "live"), columns)
    if not config.is_restricted:
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(view, READER)
        return
    # A schema may give its readers what is made in it.
    yield sql.SQL("REVOKE ALL ON {} FROM {}").format(view, READER)
    for role in config.tapdb.release.readers if config.tapdb.release is not None else ():
        schema, reader = sql.Identifier(config.view_schema), sql.Identifier(role)
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, reader)
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(view, reader)
    if (released := config.released_view) is not None:
        select = render(released_select(mapping))
        guarded = sql.Identifier(SCHEMA, guarded_name(released))
        for name, option in (
            (sql.Identifier(*released), ""),
            (guarded, " WITH (security_barrier)"),
        ):
            yield sql.SQL("CREATE VIEW {}{} AS\n{}").format(name, sql.SQL(option), select)
            yield sql.SQL("ALTER VIEW {} OWNER TO {}").format(name, OWNER)
            yield sql.SQL("GRANT SELECT ON {} TO {}").format(name, READER)
            yield from comments(name, _about(mapping, "of what is released"), columns)


def comments(view: sql.Composable, about: str, columns: Iterable[ObsCoreColumn]) -> Iterable[sql.Composable]:
    """Yield the comments on a view and on its columns."""
    yield sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(about))
    for column in columns:
        unit = f" [{column.unit}]" if column.unit else ""
        yield sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            view, sql.Identifier(column.name), sql.Literal(f"{column.description}{unit}")
        )


def _about(mapping: DatasetMapping, of: str) -> str:
    return (
        f"ObsCore 1.1 over the Butler registry in schema {mapping.registry.schema}, one row a dataset; {of}."
    )
