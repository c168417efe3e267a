"""What is stored of datasets, and what is to go: read of the views that say so; nothing is deleted here.

The configuration of a view says for each dataset type after how many days its files are to go, and what takes
their place (section tapdb, presence). Butler deletes: ``pruneDatasets(unstore=True)``.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from prompt_products.errors import PresenceNotKeptError

_MJD_ZERO = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_NOT_DIMENSIONS = frozenset({"dataset_type_id", "dataset_id", "collection_id", "collection_name"})
_KILOBYTE = 1000
_COLUMNS = sa.table(
    "columns",
    *(sa.column(name, sa.Text()) for name in ("table_schema", "table_name", "column_name")),
    schema="information_schema",
)


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """What takes the place of the files of a dataset type.

    Attributes
    ----------
    replaced_by
        Dataset type whose files are given instead.
    made_from
        Dataset types from which a dataset can be made again.
    days
        Days after the observation until the files are to go; None if they stay.
    """

    replaced_by: str | None = None
    made_from: tuple[str, ...] = ()
    days: float | None = None


@dataclass(frozen=True, slots=True)
class PresenceView:
    """A view that says what is stored of its datasets.

    Attributes
    ----------
    schema, name
        Name of the view with all rows.
    registry
        Schema of the registry below it.
    rules
        What its configuration says, by dataset type.
    """

    schema: str
    name: str
    registry: str
    rules: Mapping[str, PresenceRules]

    @property
    def full_name(self) -> str:
        """Schema and name, with a dot between them."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Datasets of one type whose files are to go, and what becomes of them.

    Attributes
    ----------
    dataset_type
        Their dataset type.
    days
        Days after which they go.
    datasets, bytes
        How many go, and the size of their files.
    oldest, newest
        Ends of the observations of the first and the last of them; UTC.
    replaced, virtual, purged
        How many of them will have a smaller version, can be made again, or are lost.
    stranded
        Datasets that could be made again until now, and not any more.
    """

    dataset_type: str
    days: float
    datasets: int
    bytes: int | None
    oldest: dt.datetime | None
    newest: dt.datetime | None
    replaced: int
    virtual: int
    purged: int
    stranded: int


def find_view(connection: sa.Connection, name: str | None = None) -> PresenceView:
    """Return the view ``schema.name`` that says what is stored, or the only one if no name is given.

    Raises
    ------
    PresenceNotKeptError
        Raised if there is none, or none is named and there are several.
    """
    views = list(_views(connection))
    found = [one for one in views if name is None or one.full_name == name.lower()]
    if len(found) != 1:
        raise PresenceNotKeptError(name, [one.full_name for one in views])
    return found[0]


def _views(connection: sa.Connection) -> Iterator[PresenceView]:
    if connection.scalar(sa.select(sa.func.to_regclass("tapdb.view_definition"))) is None:
        return
    definition = sa.table(
        "view_definition",
        *map(sa.column, ("view_schema", "view_name", "registry_schema", "stage")),
        sa.column("fingerprint", JSONB()),
        schema="tapdb",
    )
    query = sa.select(definition).where(
        definition.c.stage == "published", definition.c.fingerprint.has_key("presence")
    )
    for row in connection.execute(query.order_by(definition.c.view_schema, definition.c.view_name)):
        rules = {
            name: PresenceRules(one.get("replaced_by"), tuple(one.get("made_from", ())), one.get("days"))
            for name, one in row.fingerprint["presence"].items()
        }
        yield PresenceView(row.view_schema, row.view_name, row.registry_schema, rules)


def summary(connection: sa.Connection, view: PresenceView) -> Sequence[Mapping[str, Any]]:
    """Return how many datasets there are, and their bytes, by dataset type and presence.

    Parameters
    ----------
    connection
        Connection of a user who may read the view and the registry.
    view
        The view.
    """
    tables = _Tables(view)
    query = (
        sa.select(
            tables.type.c.name.label("dataset_type"),
            tables.shown.c.presence,
            sa.func.count().label("datasets"),
            sa.cast(_KILOBYTE * sa.func.sum(tables.shown.c.access_estsize), sa.BigInteger()).label("bytes"),
        )
        .select_from(tables.joined())
        .group_by(tables.type.c.name, tables.shown.c.presence)
        .order_by(tables.type.c.name, tables.shown.c.presence)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def plan(connection: sa.Connection, view: PresenceView, now: dt.datetime) -> Sequence[Departure]:
    """Return what would go by the rules, of each dataset type that has days; nothing is changed.

    Parameters
    ----------
    connection, view
        As for `summary`.
    now
        The time of the plan, with its zone.
    """
    tables = _Tables(view)
    return [
        _departure(connection, tables, name, rule.days, now)
        for name, rule in view.rules.items()
        if rule.days is not None
    ]


class _Tables:
    """The view, and what of Butler's tables tells its datasets from each other."""

    def __init__(self, view: PresenceView) -> None:
        self.view = view
        self.shown = sa.table(
            view.name,
            sa.column("registry_dataset_id", sa.Uuid()),
            sa.column("presence", sa.Text()),
            sa.column("access_estsize", sa.BigInteger()),
            sa.column("t_max", sa.Double()),
            schema=view.schema,
        ).alias("v")
        self.dataset = self._butler("dataset", "id", "dataset_type_id").alias("ds")
        self.type = self.types().alias("k")

    def types(self) -> sa.TableClause:
        """Return Butler's table of dataset types."""
        return self._butler("dataset_type", "id", "name", "tag_association_table")

    def _butler(self, name: str, *columns: str) -> sa.TableClause:
        return sa.table(name, *map(sa.column, columns), schema=self.view.registry)

    def joined(self) -> sa.Join:
        """Return the view joined with the types of its datasets."""
        return self.shown.join(self.dataset, self.dataset.c.id == self.shown.c.registry_dataset_id).join(
            self.type, self.type.c.id == self.dataset.c.dataset_type_id
        )

    def tags(self, connection: sa.Connection, dataset_type: str) -> sa.TableClause | None:
        """Return the table with the data IDs of a dataset type; None if that is not registered."""
        name = connection.scalar(
            sa.select(self.type.c.tag_association_table).where(self.type.c.name == dataset_type)
        )
        if name is None:
            return None
        columns = _COLUMNS
        here = sa.and_(columns.c.table_schema == self.view.registry, columns.c.table_name == name)
        names = connection.scalars(sa.select(columns.c.column_name).where(here))
        return self._butler(name, *names)

    def files(self, connection: sa.Connection) -> list[sa.TableClause]:
        """Return the tables of the registry in which datastores record files."""
        columns, needed = _COLUMNS, ("dataset_id", "path", "file_size")
        query = (
            sa.select(columns.c.table_name)
            .where(columns.c.table_schema == self.view.registry, columns.c.column_name.in_(needed))
            .group_by(columns.c.table_name)
            .having(sa.func.count() == len(needed))
            .order_by(columns.c.table_name)
        )
        return [self._butler(name, *needed) for name in connection.scalars(query)]


def _departure(
    connection: sa.Connection, tables: _Tables, name: str, days: float, now: dt.datetime
) -> Departure:
    shown, rule = tables.shown, tables.view.rules[name]
    going = sa.and_(
        tables.type.c.name == name, shown.c.presence == "online", shown.c.t_max < _mjd(now) - days
    )
    replaced: sa.ColumnElement[bool] = sa.false()
    if rule.replaced_by is not None:
        replaced = _twin(connection, tables, name, rule.replaced_by, now)
    inputs = [_twin(connection, tables, name, one, now, stays=True) for one in rule.made_from]
    virtual = sa.and_(~replaced, *inputs) if inputs else sa.false()
    count = sa.func.count()
    query = (
        sa.select(
            count.label("datasets"),
            sa.cast(_KILOBYTE * sa.func.sum(shown.c.access_estsize), sa.BigInteger()).label("bytes"),
            sa.func.min(shown.c.t_max).label("oldest"),
            sa.func.max(shown.c.t_max).label("newest"),
            count.filter(replaced).label("replaced"),
            count.filter(virtual).label("virtual"),
        )
        .select_from(tables.joined())
        .where(going)
    )
    row = connection.execute(query).one()
    return Departure(
        dataset_type=name,
        days=days,
        datasets=row.datasets,
        bytes=row.bytes,
        oldest=_time(row.oldest),
        newest=_time(row.newest),
        replaced=row.replaced,
        virtual=row.virtual,
        purged=row.datasets - row.replaced - row.virtual,
        stranded=sum(
            _stranded(connection, tables, name, other, now)
            for other, of in tables.view.rules.items()
            if name in of.made_from
        ),
    )


def _twin(
    connection: sa.Connection,
    tables: _Tables,
    name: str,
    other: str,
    now: dt.datetime,
    *,
    stays: bool = False,
) -> sa.ColumnElement[bool]:
    """Return that a dataset of another type, with the same data ID, has a file; and keeps it, if it is to."""
    mine, theirs = tables.tags(connection, name), tables.tags(connection, other)
    files = [one.alias("f") for one in tables.files(connection)]
    if mine is None or theirs is None or not files:
        return sa.false()
    here, there, kind = mine.alias("h"), theirs.alias("t"), tables.types().alias("ok")
    keys = {*here.c.keys()} & {*there.c.keys()} - _NOT_DIMENSIONS
    found = (
        sa.select(sa.literal(1))
        .select_from(here.join(there, sa.and_(sa.true(), *(there.c[key] == here.c[key] for key in keys))))
        .join(kind, kind.c.id == there.c.dataset_type_id)
        .where(here.c.dataset_id == tables.shown.c.registry_dataset_id, kind.c.name == other)
        .where(sa.or_(*(sa.exists().where(one.c.dataset_id == there.c.dataset_id) for one in files)))
    )
    twin = found.correlate_except(here, there, kind).exists()
    rule = tables.view.rules.get(other)
    if not stays or rule is None or rule.days is None:
        return twin
    # Both are of one observation, which ended when it did.
    return sa.and_(twin, sa.func.coalesce(tables.shown.c.t_max >= _mjd(now) - rule.days, sa.true()))


def _stranded(connection: sa.Connection, tables: _Tables, name: str, other: str, now: dt.datetime) -> int:
    """Return how many datasets of another type can be made again now, and not without those that go."""
    shown = tables.shown
    lost = ~_twin(connection, tables, other, name, now, stays=True)
    query = (
        sa.select(sa.func.count())
        .select_from(tables.joined())
        .where(tables.type.c.name == other, shown.c.presence == "virtual", lost)
    )
    return connection.scalar(query) or 0


def _mjd(time: dt.datetime) -> float:
    return (time - _MJD_ZERO) / dt.timedelta(days=1)


def _time(mjd: float | None) -> dt.datetime | None:
    return None if mjd is None else (_MJD_ZERO + dt.timedelta(days=mjd)).replace(microsecond=0)
