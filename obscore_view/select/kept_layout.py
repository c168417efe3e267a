"""The kept tables of a view, and which column is kept where.

There is a row for each dataset, observation, region and dataset type. PostgreSQL drives a flat join of narrow
tables from any side; it cannot do so with a UNION of joins. What depends on the region alone is kept once a
region; what depends on all of the data ID but the detector once an observation; what the configuration says
of a dataset type stands in ``tapdb.dataset_type_mapping``. What depends on more than one of them is computed
by the view.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeGuard, cast

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from obscore_view.columns import DATASET_ID_COLUMN, ObsCoreColumn, chosen_by, in_type_of, sql_text
from obscore_view.mapping import DatasetMapping, DatasetPlace, DatasetTypeMapping
from obscore_view.select.kept_rows import OBSERVATIONS
from obscore_view.select.kept_tables import KeptNames, KeptRelations, kept_names, kept_relations
from obscore_view.select.relations import BranchJoins, Membership, region_element
from obscore_view.select.row import OUTLINE, dataset_row
from obscore_view.select.text import ColumnValues

_HIDDEN = "of"
"""What begins the name of a kept column that no column of the view is equal to."""

_OWN = ("observation", "key")
"""Columns of the kept table of observations that no configuration defines."""


def kept_name(column: str) -> str:
    """Return the name under which a column of a view is kept with each observation."""
    return f"{_HIDDEN}_view_{column}" if column in _OWN else column


@dataclass(frozen=True)
class KeptPlace:
    """The datasets of one tags table, and what is kept of their observations.

    Attributes
    ----------
    place, dataset_types
        The tags table, and the configured dataset types that may be in it.
    prefix
        What begins the keys of the observations; tables with equal observations share them.
    dimensions
        Dimensions that are the key of an observation.
    by_type, by_run
        Whether dataset types, and RUN collections, have observations of their own.
    """

    place: DatasetPlace
    dataset_types: tuple[DatasetTypeMapping, ...]
    prefix: str
    dimensions: tuple[str, ...]
    by_type: bool
    by_run: bool

    @property
    def anchor(self) -> str | None:
        """The element whose records are the observations: these are kept before there is any dataset."""
        for element in () if self.by_run else OBSERVATIONS:
            if set(self.dimensions) == {"instrument", element}:
                return element
        return None

    def key(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
        """Return the key of an observation, given its dimensions, ``type`` and ``run``."""
        names = (
            *(("type",) if self.by_type else ()),
            *(("run",) if self.by_run else ()),
            *self.dimensions,
        )
        return key_text(self.prefix, [columns[name] for name in names])


def key_text(prefix: str, parts: Iterable[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Return a key as text: a prefix and values of dimensions, between slashes."""
    texts: list[Any] = [sa.literal(prefix, sa.Text())]
    for part in parts:
        texts += [sa.literal("/", sa.Text()), sa.cast(part, sa.Text())]
    joined: sa.ColumnElement[Any] = reduce(lambda left, right: left.concat(right), texts)
    return joined


@dataclass(frozen=True, slots=True)
class RecordJoin:
    """A table of Butler's that a view joins.

    Attributes
    ----------
    table
        The table.
    keys
        What its key is equal to.
    """

    table: sa.FromClause
    keys: Mapping[str, sa.ColumnElement[Any]]

    def conditions(self, over: Mapping[Any, sa.ColumnElement[Any]]) -> tuple[sa.ColumnElement[bool], ...]:
        """Return what its key is equal to, over other columns in the place of some."""
        return tuple(self.table.c[name] == moved(one, over) for name, one in self.keys.items())


class KeptLayout:
    """How the columns of a view are distributed over its kept tables.

    Parameters
    ----------
    mapping
        What the view is made from.
    columns
        Columns of the view.
    relations
        What the view joins, if not kept tables of its own alone.

    Attributes
    ----------
    names
        Names of the kept tables.
    dataset, observation, collection, region, stored
        The kept tables, and the dataset-type mapping, as they are joined in the view.
    run_collection, run_dataset
        Butler's tables of collections and of datasets, where a kept row does not say the RUN.
    """

    def __init__(
        self,
        mapping: DatasetMapping,
        columns: tuple[ObsCoreColumn, ...],
        relations: KeptRelations | None = None,
    ) -> None:
        self.mapping = mapping
        self.columns = columns
        self.names: KeptNames = kept_names(mapping)
        joined = relations or kept_relations(mapping)
        self.dataset, self.observation = joined.dataset, joined.observation
        self.collection, self.region = joined.collection, joined.region
        self.stored = joined.stored
        self.run_collection, self.run_dataset = joined.run_collection, joined.run_dataset
        self._looks_up = joined.looks_up

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each dataset type in kept rows: its place in the configuration."""
        return {one.name: number for number, one in enumerate(self.mapping.dataset_types, start=1)}

    @property
    def run(self) -> sa.ColumnElement[Any]:
        """Name of a dataset's RUN collection."""
        by_run = self.mapping.config.collection_rule.kind == "run-regex"
        return self.collection.c.name if by_run else self.run_collection.c.name

    @cached_property
    def _rows(self) -> list[tuple[DatasetPlace, BranchJoins, dict[str, ColumnValues]]]:
        """The row of each dataset type in each tags table."""
        found: dict[str, tuple[DatasetPlace, list[DatasetTypeMapping]]] = {}
        for one in self.mapping.dataset_types:
            for place in one.places:
                found.setdefault(place.tags_table, (place, []))[1].append(one)
        rows = []
        for place, types in found.values():
            given = {"dataset_id": self.dataset.c.dataset_id}
            if "detector" in place.group.required:
                given["detector"] = self.dataset.c.detector
            relations = BranchJoins(self.mapping, place, footprint=self.region, given=given)
            member = Membership((), self.run, self.stored.c.dataset_type)
            made = {
                one.name: dataset_row(self.mapping, one, relations, member, written_constants(one))
                for one in types
            }
            rows.append((place, relations, made))
        return rows

    def _expressions(self, name: str) -> list[tuple[int, str, sa.ColumnElement[Any]]]:
        """Return the place, dataset type and expression of a column, in all rows that have it."""
        return [
            (number, dataset_type, row[name])
            for number, (_, _, rows) in enumerate(self._rows)
            for dataset_type, row in rows.items()
            if name in row
        ]

    def _is_constant(self, name: str) -> bool:
        """Return whether a column says what the configuration says of each dataset type, and nothing else."""
        constants = {one.name: one.constants for one in self.mapping.dataset_types}
        if not constants or name not in next(iter(constants.values())):
            return False
        written = {one.name: written_constants(one) for one in self.mapping.dataset_types}
        return all(
            (name in row) == (name in written[dataset_type])
            and (name not in row or sql_text(row[name]) == sql_text(written[dataset_type][name]))
            for _, _, rows in self._rows
            for dataset_type, row in rows.items()
        )

    @cached_property
    def kept(self) -> frozenset[str]:
        """Columns of the view that are kept with each observation.

        ``obs_id``, which is searched for, in any case but that of a format with the dataset's UUID in it;
        others where nothing but the observation decides them, and nothing differs by dataset type.
        """
        return frozenset(
            column.name
            for column in self.columns
            if column.name not in {DATASET_ID_COLUMN, OUTLINE} and self._is_kept(column)
        )

    def _is_kept(self, column: ObsCoreColumn) -> bool:
        made = self._expressions(column.name)
        parts = [self._parts(one) for _, _, one in made]
        release = self.mapping.config.tapdb.release
        if column.name == "data_rights" and release is not None and release.data_rights is not None:
            # They depend on the time, too.
            return False
        if not any("observation" in one for one in parts):
            return False
        if column.name == "obs_id":
            return not any("other" in one for one in parts)
        texts: dict[int, list[str]] = {}
        for place, _, one in made:
            texts.setdefault(place, []).append(sql_text(in_type_of(column, one)))
        same = all(
            len(set(found)) == 1 and len(found) == len(self._rows[place][2]) for place, found in texts.items()
        )
        return same and all(one <= {"observation"} for one in parts)

    def _parts(self, expression: sa.ColumnElement[Any]) -> frozenset[str]:
        """Return what an expression depends on: observation, detector, type, run, region, other."""
        return frozenset(
            self._part(part) if isinstance(part, sa.ColumnClause) else "other"
            for part in outer_parts(expression)
        )

    def _part(self, column: sa.ColumnClause[Any]) -> str:
        table = column.table
        if table is self.dataset:
            return "detector" if column.name == "detector" else "other"
        if table is self.stored:
            return "type"
        if table is self.collection or table is self.run_collection:
            return "run"
        if table is self.region:
            return "region"
        element = getattr(table, "name", "")
        known = self.mapping.registry.universe.elements.get(element)
        return "detector" if known is not None and "detector" in known.required else "observation"

    @cached_property
    def hidden(self) -> dict[str, sa.types.TypeEngine[Any]]:
        """Kept columns that the view computes others from, with their types."""
        found: dict[str, sa.types.TypeEngine[Any]] = {}
        for column in self.columns:
            if column.name in self.kept:
                continue
            for _, _, expression in self._expressions(column.name):
                found |= {_hidden_name(part): part.type for part in self._observed(expression)}
        for record in self.records.values():
            for key in record.keys.values():
                found |= {_hidden_name(part): part.type for part in self._observed(key)}
        return dict(sorted(found.items()))

    def _observed(self, expression: sa.ColumnElement[Any]) -> list[sa.ColumnClause[Any]]:
        return [
            part
            for part in outer_parts(expression)
            if isinstance(part, sa.ColumnClause) and self._part(part) == "observation"
        ]

    @cached_property
    def records(self) -> dict[str, RecordJoin]:
        """Butler's tables with records of detectors that the view joins, by name."""
        found: dict[str, RecordJoin] = {}
        for column in self.columns:
            for place, _, expression in () if column.name in self.kept else self._expressions(column.name):
                for part in outer_parts(expression):
                    if self._is_of_detector(part):
                        name = part.table.name  # type: ignore[union-attr]
                        keys = self._rows[place][1].watched[name]
                        found.setdefault(name, RecordJoin(cast("Any", part.table), keys))
        return found

    def _is_of_detector(self, part: sa.ColumnClause[Any] | sa.Select[Any]) -> TypeGuard[sa.ColumnClause[Any]]:
        """Return whether a part of an expression is a column of a detector's record."""
        return (
            isinstance(part, sa.ColumnClause)
            and part.table is not self.dataset
            and self._part(part) == "detector"
        )

    @cached_property
    def places(self) -> tuple[KeptPlace, ...]:
        """The tags tables, with what is kept of the observations in them."""
        found: list[KeptPlace] = []
        prefixes: dict[object, str] = {}
        for place, _, rows in self._rows:
            types = tuple(one for one in self.mapping.dataset_types if one.name in rows)
            ids = [row["obs_id"] for row in rows.values() if "obs_id" in row and "obs_id" in self.kept]
            parts = frozenset[str]().union(*(self._parts(one) for one in ids))
            by_type = "type" in parts or len({sql_text(one) for one in ids}) > 1 or 0 < len(ids) < len(rows)
            dimensions = tuple(
                name for name in place.group.required if name != "detector" or "detector" in parts
            )
            _, values = self.observed_values(place, types)
            texts = tuple(sql_text(one) for one in values.values())
            numbers = tuple(self.numbers[one.name] for one in types) if by_type else ()
            prefix = prefixes.setdefault((dimensions, texts, numbers, "run" in parts), str(len(prefixes) + 1))
            found.append(KeptPlace(place, types, prefix, dimensions, by_type, "run" in parts))
        return tuple(found)

    def observed_values(
        self,
        place: DatasetPlace,
        dataset_types: tuple[DatasetTypeMapping, ...],
        tags: sa.FromClause | None = None,
    ) -> tuple[BranchJoins, dict[str, sa.ColumnElement[Any]]]:
        """Return the kept columns of observations as expressions, and Butler's tables joined that they take.

        Parameters
        ----------
        place, dataset_types
            Where the datasets are.
        tags
            Relation with the columns of the tags table, in its place.
        """
        relations = BranchJoins(self.mapping, place, tags=tags, footprint=self.region)
        member = Membership((), self.run, self.stored.c.dataset_type)
        rows = {
            one.name: dataset_row(self.mapping, one, relations, member, written_constants(one))
            for one in dataset_types
        }
        values: dict[str, sa.ColumnElement[Any]] = {}
        for column in self.columns:
            if column.name in self.kept:
                made = {name: in_type_of(column, row.get(column.name)) for name, row in rows.items()}
                values[kept_name(column.name)] = chosen_by(self.stored.c.dataset_type, made)
        expressions = [one for row in rows.values() for one in row.values()]
        expressions += [one for joined in relations.watched.values() for one in joined.values()]
        seen = {_hidden_name(part): part for one in expressions for part in self._observed(one)}
        for name, kind in self.hidden.items():
            value = seen.get(name)
            values[name] = sa.cast(sa.null() if value is None else value, kind)
        return relations, values

    @cached_property
    def kept_observation(self) -> sa.TableClause:
        """The kept table of observations with all its columns."""
        types = {kept_name(one.name): one.sql_type for one in self.columns if one.name in self.kept}
        return sa.table(
            self.names.observation.name,
            sa.column("observation", sa.Integer()),
            sa.column("key", sa.Text()),
            *(sa.column(name, kind) for name, kind in (types | self.hidden).items()),
            schema=self.names.schema,
        )

    @property
    def searched(self) -> tuple[str, ...]:
        """Kept columns of observations with an index: ``obs_id``, and whole numbers such as the visit."""
        return tuple(
            kept_name(one.name)
            for one in self.columns
            if one.name in self.kept
            and (one.name == "obs_id" or (isinstance(one.sql_type, sa.BigInteger) and not one.std))
        )

    def expression(self, column: ObsCoreColumn) -> sa.ColumnElement[Any]:
        """Return a column of the view over the kept tables; `OUTLINE` stands for ``s_region``."""
        name = column.name
        if name == "t_min" and name in self.kept:
            return in_type_of(column, self.dataset.c.t_min)
        if name in self.kept:
            return sa.column(kept_name(name), column.sql_type, _selectable=self.observation)
        if self._is_constant(name):
            different = len({one.constants[name] for one in self.mapping.dataset_types}) > 1
            if different:
                return in_type_of(column, self.stored.c[name])
        over = self._moves
        made = {
            self.numbers[dataset_type]: in_type_of(column, moved(expression, over))
            for _, dataset_type, expression in self._expressions(name)
        }
        absent = in_type_of(column, None)
        texts = {sql_text(one) for one in made.values()}
        if texts == {sql_text(in_type_of(column, self.dataset.c.detector))}:
            # Without detector it is NULL by itself.
            return in_type_of(column, self.dataset.c.detector)
        return chosen_by(
            self.dataset.c.type, {number: made.get(number, absent) for number in self.numbers.values()}
        )

    @cached_property
    def _moves(self) -> dict[Any, sa.ColumnElement[Any]]:
        """Columns of Butler's tables in the rows, and what is equal to them in the view."""
        found: dict[Any, sa.ColumnElement[Any]] = {}
        of_records: list[tuple[RecordJoin, sa.ColumnClause[Any]]] = []
        for _, relations, rows in self._rows:
            expressions = [one for row in rows.values() for one in row.values()]
            expressions += [one for joined in relations.watched.values() for one in joined.values()]
            for expression in expressions:
                for part in outer_parts(expression):
                    if isinstance(part, sa.Select):
                        continue
                    name = _hidden_name(part)
                    record = self.records.get(getattr(part.table, "name", ""))
                    if record is not None:
                        of_records.append((record, part))
                    elif self._part(part) == "observation" and name in self.hidden:
                        found[part] = sa.column(name, part.type, _selectable=self.observation)
        return found | {part: self._recorded(record, part.name, found) for record, part in of_records}

    def _recorded(
        self, record: RecordJoin, name: str, over: Mapping[Any, sa.ColumnElement[Any]]
    ) -> sa.ColumnElement[Any]:
        """Return a column of a record, joined or looked up."""
        value: sa.ColumnElement[Any] = record.table.c[name]
        if self._looks_up:
            return sa.select(value).where(*record.conditions(over)).scalar_subquery()
        return value

    def view_source(self) -> sa.FromClause:
        """Return the kept tables, joined as the view joins them."""
        d, m = self.dataset, self.stored
        source: sa.FromClause = d.outerjoin(m, sa.and_(m.c.kept == self.names.base, m.c.number == d.c.type))
        source = source.outerjoin(self.observation, self.observation.c.observation == d.c.observation)
        source = source.outerjoin(self.region, self.region.c.region == d.c.region)
        if self.uses_collection:
            source = source.join(
                self.collection,
                self.collection.c.collection == d.c.collection,
                isouter=self.mapping.config.collection_rule.kind != "find-first",
            )
        for table, condition in self.butler_joins():
            source = source.outerjoin(table, condition)
        return source

    @property
    def _uses_run(self) -> bool:
        return any(
            "run" in self._parts(one)
            for column in self.columns
            for _, _, one in self._expressions(column.name)
        )

    @property
    def uses_collection(self) -> bool:
        """Whether the view joins the kept table of collections: for the rank, or the name of the RUN."""
        rule = self.mapping.config.collection_rule.kind
        return rule == "find-first" or (rule == "run-regex" and self._uses_run)

    def butler_joins(self) -> Iterator[tuple[sa.FromClause, sa.ColumnElement[bool]]]:
        """Yield the tables of Butler's that the view joins, with the conditions: detectors, then the RUN."""
        for record in () if self._looks_up else self.records.values():
            yield record.table, sa.and_(*record.conditions(self._moves))
        if self.mapping.config.collection_rule.kind != "run-regex" and self._uses_run:
            refers, of = self.mapping.registry.collection_key, self.run_dataset
            yield of, of.c.id == self.dataset.c.dataset_id
            yield self.run_collection, self.run_collection.c[refers.column] == of.c[refers.run_column]

    def view_conditions(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Return which kept rows the view shows: all, or of each data ID the first that is searched."""
        if self.mapping.config.collection_rule.kind != "find-first":
            return ()
        d, k = self.dataset, self.collection
        other, rank = self.names.dataset.alias("d0"), self.names.collection.alias("k0")
        earlier = (
            sa.exists()
            .select_from(other.join(rank, rank.c.collection == other.c.collection))
            .where(other.c.data_id == d.c.data_id, rank.c.rank < k.c.rank)
        )
        return (k.c.rank.is_not(None), ~earlier)


def written_constants(dataset_type: DatasetTypeMapping) -> ColumnValues:
    """Return the constants of a dataset type, written as literals."""
    return {name: sa.literal(value) for name, value in dataset_type.constants.items() if value is not None}


def outer_parts(expression: sa.ColumnElement[Any]) -> Iterator[sa.ColumnClause[Any] | sa.Select[Any]]:
    """Yield the columns in an expression, and the SELECTs; what is in these is not looked at."""
    for part in (expression,) if isinstance(expression, sa.ColumnClause) else expression.get_children():
        if isinstance(part, sa.Select) or (isinstance(part, sa.ColumnClause) and part.table is not None):
            yield part
        elif not isinstance(part, sa.ColumnClause):
            yield from outer_parts(cast("Any", part))


def moved(
    expression: sa.ColumnElement[Any], over: Mapping[Any, sa.ColumnElement[Any]]
) -> sa.ColumnElement[Any]:
    """Return an expression over other columns in the place of some."""
    if not any(part in over for part in outer_parts(expression)):
        return expression

    def replace(part: Any, **_: Any) -> Any:
        return over.get(part) if isinstance(part, sa.ColumnClause) else None

    # SQLAlchemy's type for the function is one that no function can have.
    result: sa.ColumnElement[Any] = cast("Any", visitors.replacement_traverse)(expression, {}, replace)
    return result


def _hidden_name(column: sa.ColumnClause[Any]) -> str:
    table = getattr(column.table, "name", "")
    return f"{_HIDDEN}_{table}_{column.name}"[:63]


def element_of(place: DatasetPlace) -> str | None:
    """Return the element whose regions the datasets of a tags table have."""
    return region_element(place.group)
