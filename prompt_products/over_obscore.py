"""Views over an ObsCore view that stay out of its way: what they read is a function that PostgreSQL inlines.

A view that names another one stops everybody who makes that one again. A function in SQL whose body is text
is looked up when a query is planned, and inlined like a view: conditions reach the indexes below. What the
caller may not read in the ObsCore view cannot be read through it either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import JSONB

from prompt_products.errors import ProductNotPublishedError, ProductRefusedError
from tapdb.sources import execute_composed, read_query

SCHEMA = "tapdb"
"""Schema of the functions, and of the record of what is published."""

_published = sa.table(
    "published_product",
    *(sa.column(name, sa.Text()) for name in ("product", "view_schema", "view_name")),
    sa.column("options", JSONB()),
    schema=SCHEMA,
)
_definition = sa.table(
    "view_definition",
    *(sa.column(name, sa.Text()) for name in ("view_schema", "view_name", "stage", "registry_schema")),
    sa.column("fingerprint", JSONB()),
    schema=SCHEMA,
)
_attribute = sa.table(
    "pg_attribute",
    *map(sa.column, ("attname", "atttypid", "attrelid", "attnum", "attisdropped")),
    schema="pg_catalog",
)


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of the function that views read.

    Attributes
    ----------
    name, type_name
        Its name, and its type in PostgreSQL.
    candidates
        Columns of the ObsCore view, the first of which that there is is taken; NULL if there is none.
    """

    name: str
    type_name: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """Views that are published together over one ObsCore view.

    Attributes
    ----------
    name
        Name of the product.
    columns
        What its function takes of the ObsCore view.
    derived
        SQL of further columns of the function, over those, with their types, by name.
    views
        Name of the query in ``sql/queries`` that each view is made of, by schema and name of the view.
    """

    name: str
    columns: tuple[SourceColumn, ...]
    derived: Mapping[str, tuple[str, str]]
    views: Mapping[tuple[str, str], str]

    @property
    def function(self) -> sql.Identifier:
        """Name of the function that the views read."""
        return sql.Identifier(SCHEMA, f"{self.name}_source")


@dataclass(frozen=True, slots=True)
class PublicationRecord:
    """What is recorded of a product that is published.

    Attributes
    ----------
    product
        Name of the product.
    schema, view
        Schema and name of the ObsCore view.
    options
        What the command that made it was given.
    """

    product: str
    schema: str
    view: str
    options: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        """Schema and name of the ObsCore view, with a dot between them."""
        return f"{self.schema}.{self.view}"


def read_publication(connection: sa.Connection, product: str) -> PublicationRecord | None:
    """Return what is recorded of a product; None if it is not published."""
    if connection.scalar(sa.select(sa.func.to_regclass("tapdb.published_product"))) is None:
        return None
    row = connection.execute(sa.select(_published).where(_published.c.product == product)).one_or_none()
    return (
        None if row is None else PublicationRecord(row.product, row.view_schema, row.view_name, row.options)
    )


def require_publication(connection: sa.Connection, product: str) -> PublicationRecord:
    """Return what is recorded of a product.

    Raises
    ------
    ProductNotPublishedError
        Raised if it is not published.
    """
    found = read_publication(connection, product)
    if found is None:
        raise ProductNotPublishedError(product)
    return found


def registry_of(connection: sa.Connection, view: str, product: str) -> str:
    """Return the schema of the registry below an ObsCore view, or below its view of what is released.

    Raises
    ------
    ProductRefusedError
        Raised if there is no such view.
    """
    released = _definition.c.fingerprint["released"]
    names = {
        f"{row.view_schema}.{row.view_name}": row.registry_schema
        for row in connection.execute(sa.select(_definition).where(_definition.c.stage == "published"))
    }
    shown = sa.select(
        released["schema"].astext, released["name"].astext, _definition.c.registry_schema
    ).where(_definition.c.stage == "published", _definition.c.fingerprint.has_key("released"))
    names |= {f"{schema}.{name}": registry for schema, name, registry in connection.execute(shown)}
    found = names.get(view.lower())
    if found is None:
        known = ", ".join(sorted(names)) or "there is none"
        raise ProductRefusedError(
            product,
            f"there is no ObsCore view {view}",
            f"name one ({known}), or make it: tapdb obscore create",
        )
    return str(found)


def publish(
    connection: sa.Connection, product: Product, view: str, options: Mapping[str, Any] | None = None
) -> PublicationRecord:
    """Make the views of a product over an ObsCore view, in place of those over another.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner``, in a transaction.
    product
        The product.
    view
        Schema and name of the ObsCore view.
    options
        What is to be recorded.

    Raises
    ------
    ProductRefusedError
        Raised if there is no such view.
    """
    registry_of(connection, view, product.name)
    schema, _, name = view.lower().partition(".")
    unpublish(connection, product)
    values = {"view_schema": schema, "view_name": name, "options": dict(options or {})}
    connection.execute(sa.insert(_published).values(product=product.name, **values))
    for statement in _statements(product, schema, name, view_columns(connection, schema, name)):
        execute_composed(connection, statement)
    return require_publication(connection, product.name)


def unpublish(connection: sa.Connection, product: Product, *, forget: bool = True) -> None:
    """Take the views of a product and their function away.

    Parameters
    ----------
    connection, product
        Connection of a member of ``tapdb_owner``, and the product.
    forget
        Whether the record goes too; a migration keeps it.
    """
    for schema, name in reversed(tuple(product.views)):
        execute_composed(connection, sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(schema, name)))
    execute_composed(connection, sql.SQL("DROP FUNCTION IF EXISTS {}()").format(product.function))
    if forget:
        connection.execute(sa.delete(_published).where(_published.c.product == product.name))


def view_columns(connection: sa.Connection, schema: str, name: str) -> frozenset[str]:
    """Return the names of the columns of a relation; none if there is no such relation."""
    relation = sa.func.to_regclass(sql.Identifier(schema, name).as_string(None))
    query = sa.select(sa.cast(_attribute.c.attname, sa.Text())).where(
        _attribute.c.attrelid == relation, _attribute.c.attnum > 0, ~_attribute.c.attisdropped
    )
    return frozenset(connection.scalars(query))


def _statements(
    product: Product, schema: str, name: str, columns: frozenset[str]
) -> Iterator[sql.Composable]:
    yield _function(product, sql.Identifier(schema, name), columns)
    yield sql.SQL("ALTER FUNCTION {}() OWNER TO tapdb_owner").format(product.function)
    yield sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(product.function)
    yield sql.SQL("GRANT EXECUTE ON FUNCTION {}() TO tapdb_reader").format(product.function)
    for (of, view), query in product.views.items():
        yield from view_statements(of, view, query)


def view_statements(schema: str, name: str, query: str) -> Iterator[sql.Composable]:
    """Yield what makes a view of a query in ``sql/queries``, for readers."""
    view = sql.Identifier(schema, name)
    yield sql.SQL("CREATE OR REPLACE VIEW {} AS\n{}").format(view, _trusted(read_query(query)))
    yield sql.SQL("ALTER VIEW {} OWNER TO tapdb_owner").format(view)
    yield sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(view)
    yield sql.SQL("GRANT SELECT ON {} TO tapdb_reader").format(view)


def _function(product: Product, view: sql.Composable, columns: frozenset[str]) -> sql.Composable:
    """Return what makes the function: a query over the view in its body, as text."""
    taken = [
        sql.SQL("{}::{} AS {}").format(
            _value(one, columns), _trusted(one.type_name), sql.Identifier(one.name)
        )
        for one in product.columns
    ]
    query = sql.SQL("SELECT {} FROM {} AS o").format(sql.SQL(", ").join(taken), view)
    for name, (type_name, text) in product.derived.items():
        more = sql.SQL("({})::{} AS {}").format(_trusted(text), _trusted(type_name), sql.Identifier(name))
        query = sql.SQL("SELECT s.*, {} FROM ({}) AS s").format(more, query)
    types = [(one.name, one.type_name) for one in product.columns]
    types += [(name, type_name) for name, (type_name, _) in product.derived.items()]
    declared = [sql.SQL("{} {}").format(sql.Identifier(name), _trusted(kind)) for name, kind in types]
    body = sql.Literal(query.as_string(None))
    made = sql.SQL("CREATE FUNCTION {}() RETURNS TABLE ({}) LANGUAGE sql STABLE ROWS 1000000 AS {}")
    return made.format(product.function, sql.SQL(", ").join(declared), body)


def _value(column: SourceColumn, columns: frozenset[str]) -> sql.Composable:
    found = next((name for name in column.candidates if name in columns), None)
    return sql.SQL("NULL") if found is None else sql.SQL("o.{}").format(sql.Identifier(found))


def _trusted(text: str) -> sql.SQL:
    """Return a text of our own as SQL."""
    return sql.SQL(text)


def refresh(connection: sa.Connection, products: Iterable[Product]) -> Sequence[str]:
    """Make the views of what is published again; return the names of products whose ObsCore view is gone.

    Their views go, and their records stay: they come back with the ObsCore view.
    """
    gone = []
    for product in products:
        found = read_publication(connection, product.name)
        if found is None:
            continue
        if view_columns(connection, found.schema, found.view):
            publish(connection, product, found.full_name, found.options)
        else:
            unpublish(connection, product, forget=False)
            gone.append(product.name)
    return gone
