"""What keeps the kept tables equal to their sources: statements for each event of each of Butler's tables.

They stand in ``tapdb.keeping``, see rows as relations ``changed`` (new) and ``gone``, and may be run twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from obscore_view.registry.snapshot import Registry, SkyPixel
from obscore_view.select.kept_layout import KeptLayout, KeptPlace, element_of
from obscore_view.select.kept_rows import (
    FOOTPRINT_COLUMNS,
    OUTLINE_START,
    assigned,
    equal,
    footprint_key,
    key_of,
    listed,
    listed_after,
    rows_by_event,
    rows_of,
    rows_that_differ,
)
from obscore_view.select.kept_sources import (
    KeptRegions,
    observed_column,
    region_prefix,
    region_source,
    restricted_tables,
    watch_column,
)
from obscore_view.select.kept_tables import SCHEMA, region_table

EVENTS = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
"""What a trigger on one of Butler's tables answers to."""
AGAIN = "AGAIN"
"""Instead of an event: the rows are there, and what was kept of them is made again."""

_CHANGED = sql.SQL("changed c")


@dataclass(frozen=True, slots=True)
class Step:
    """A statement that is run after an event.

    Attributes
    ----------
    relation, event
        Table of Butler's, and what happens to it.
    kept
        Which kept tables it concerns: the base of their names.
    statement
        The statement.
    settles
        Whether it has to be run again once all transactions are over that were open at its end: they may
        have added rows that it could not see.
    first
        Whether it keeps what datasets refer to: regions, and observations that are records.
    """

    relation: str
    event: str
    kept: str
    statement: sql.Composable
    settles: bool = False
    first: bool = False


def region_steps(registry: Registry, regions: KeptRegions) -> Iterator[Step]:
    """Yield what keeps the regions that come from a table, and what makes them again."""
    element, table = regions.element, region_table(registry)
    kept = sql.Identifier(SCHEMA, table.name)
    source = sql.Identifier(SCHEMA, region_source(registry, regions))
    if (pixel := registry.universe.pixel(element)) is not None:
        for event in ("INSERT", "UPDATE"):
            yield Step(regions.relation, event, table.name, _pixels_come(kept, pixel), first=True)
        return
    names = footprint_key(registry, element)
    values = [one.name for one in table.c if one.name != "region"]
    # Polygons have no order; the outline is their text.
    plain = [one for one in values if one != FOOTPRINT_COLUMNS[-1]]
    same = {alias: equal("s", [watch_column(element, one) for one in names], alias, names) for alias in "cg"}
    key, changed = (
        key_of(region_prefix(element)[:-1], [sql.Identifier(alias, one) for one in names]) for alias in "gc"
    )
    parts = {"kept": kept, "source": source, "same": same["c"]}
    # What is there is found before it is decoded.
    insert = sql.SQL(
        "INSERT INTO {kept} ({values}) SELECT {from_s} FROM {source} s "
        "JOIN (SELECT * FROM changed c "
        "WHERE NOT EXISTS (SELECT FROM {kept} r WHERE r.key = {key}) OFFSET 0) c ON {same}"
    ).format(**parts, key=changed, values=listed(values), from_s=listed(values, "s"))
    update = sql.SQL(
        "UPDATE {kept} r SET {set} FROM {source} s JOIN changed c ON {same} "
        "WHERE r.key = s.key AND ({mine}) IS DISTINCT FROM ({theirs})"
    ).format(**parts, set=assigned(values, "s", values), mine=listed(plain, "r"), theirs=listed(plain, "s"))
    lost = sql.SQL(
        "DELETE FROM {kept} r USING gone g WHERE r.key = {key} "
        "AND NOT EXISTS (SELECT FROM {source} s WHERE {same})"
    ).format(kept=kept, source=source, key=key, same=same["g"])
    delete = sql.SQL("DELETE FROM {kept} r USING gone g WHERE r.key = {key}").format(kept=kept, key=key)
    clear = sql.SQL("DELETE FROM {kept} WHERE key LIKE {prefix}").format(
        kept=kept, prefix=sql.Literal(f"{region_prefix(element)}%")
    )
    # Values that look the same are written too: another version may decode them otherwise.
    again = sql.SQL(
        "UPDATE {kept} r SET {set} FROM {source} s JOIN changed c ON {same} WHERE r.key = s.key"
    ).format(kept=kept, source=source, same=same["c"], set=assigned(values, "s", values))
    for event, statements in {
        "INSERT": (insert,),
        "UPDATE": (update, lost, insert),
        "DELETE": (delete,),
        "TRUNCATE": (clear,),
        AGAIN: (again, lost, insert),
    }.items():
        yield from (Step(element, event, table.name, one, first=True) for one in statements)


def _pixels_come(kept: sql.Composable, pixel: SkyPixel) -> sql.Composable:
    """Return the statement that adds the regions of the pixels of new datasets.

    Two transactions may add the same one: datasets of either have the one that they saw. What a dataset
    leaves stays for the next.
    """
    number = sql.Identifier("c", pixel.name)
    return sql.SQL(
        "INSERT INTO {kept} (key, {values}) "
        "SELECT {key}, f.s_ra, f.s_dec, f.s_fov, substr(f.s_region, {start}), f.pgs_region "
        "FROM (SELECT DISTINCT {number} FROM changed c "
        "WHERE NOT EXISTS (SELECT FROM {kept} r WHERE r.key = {key})) c, "
        "tapdb.footprint(tapdb.sky_pixel({system}, {level}, {number})) f"
    ).format(
        kept=kept,
        values=listed(FOOTPRINT_COLUMNS),
        start=sql.Literal(OUTLINE_START),
        key=key_of(region_prefix(pixel.name)[:-1], [number]),
        number=number,
        system=sql.Literal(pixel.system),
        level=sql.Literal(pixel.level),
    )


class ViewSteps:
    """What keeps the tables of one view.

    Parameters
    ----------
    layout
        How the view's columns are distributed over its kept tables.
    """

    def __init__(self, layout: KeptLayout) -> None:
        self._layout = layout
        self._registry = layout.mapping.registry
        self._names = layout.names
        self._base = layout.names.base
        self._dataset = sql.Identifier(SCHEMA, layout.names.dataset.name)
        self._observation = sql.Identifier(SCHEMA, layout.names.observation.name)
        self._collection = sql.Identifier(SCHEMA, layout.names.collection.name)
        self._kept_columns = [one.name for one in layout.names.dataset.c]
        self._observed = [
            one.name for one in layout.kept_observation.c if one.name not in {"observation", "key"}
        ]
        keys = self._registry.collection_key
        self._tags_column, self._collection_key = keys.tags_column, keys.column

    def steps(self) -> Iterator[Step]:
        """Yield all, in the order in which they are to be run."""
        yield from self._of_collections()
        for place in self._layout.places:
            yield from self._of_tags(place)
        anchored = {one.prefix: one for one in reversed(self._layout.places) if one.anchor is not None}
        for place in anchored.values():
            yield from self._of_anchor(place)
        for place in self._layout.places:
            yield from self._of_records(place)
        for place in self._layout.places:
            yield from self._of_regions(place)

    def fill(self) -> Iterator[sql.Composable]:
        """Yield the statements that fill the empty tables of the view, once the regions are there."""
        yield sql.SQL(
            "INSERT INTO {table} (key, name, rank, is_loaded) SELECT key, name, rank, true FROM {source}"
        ).format(table=self._collection, source=self._source("collection"))
        anchored = {one.prefix: one for one in reversed(self._layout.places) if one.anchor is not None}
        for place in anchored.values():
            of = f"{place.prefix}_{place.anchor}"
            yield sql.SQL("INSERT INTO {table} (key{columns}) SELECT key{columns} FROM {source}").format(
                table=self._observation, columns=listed_after(self._observed), source=self._source(of)
            )
        yield sql.SQL("ANALYZE {}").format(self._observation)
        for place in self._layout.places:
            yield from self.load(place, sql.SQL("true"), None)

    def locate(self) -> Iterator[sql.Composable]:
        """Yield the statements that find the regions of all datasets again."""
        for place in self._layout.places:
            if element_of(place.place) is not None:
                yield sql.SQL(
                    "UPDATE {dataset} d SET region = s.region FROM {source} s "
                    "WHERE s.dataset_id = d.dataset_id "
                    "AND s.collection = d.collection AND s.region IS DISTINCT FROM d.region"
                ).format(dataset=self._dataset, source=self._source(place.place.tags_table))

    def load(
        self, place: KeptPlace, condition: sql.Composable, rows: sql.Composable | None
    ) -> tuple[sql.Composable, ...]:
        """Return the statements that add the datasets of a tags table that meet a condition.

        An observation without datasets does not follow its records: its next dataset does that.

        Parameters
        ----------
        place
            The tags table.
        condition
            Condition on the source ``s`` and on ``c``.
        rows
            What ``c`` is; nothing where no observations are kept yet, and the condition is on ``s`` alone.
        """
        source = self._source(place.place.tags_table)

        def wanted(*more: sql.Composable) -> sql.Composable:
            every = sql.SQL(" AND ").join([condition, sql.SQL("s.is_wanted"), *more])
            if rows is not None:
                return rows_of(source, every, rows)
            return sql.SQL("(SELECT s.* FROM {} s WHERE {}) s").format(source, every)

        columns, values = listed(self._kept_columns), listed(self._kept_columns, "s")
        insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT DO NOTHING")
        datasets = insert.format(self._dataset, columns, values, wanted())
        if place.anchor is not None:
            return (datasets,)
        added = self._new_observations(wanted(sql.SQL("s.observation IS NULL")))
        if rows is None:
            return (added, datasets)
        left = sql.SQL(
            "s.observation IS NOT NULL AND NOT EXISTS (SELECT FROM {} d WHERE d.observation = s.observation)"
        ).format(self._dataset)
        followed = self._observed_again(self._first_datasets(wanted(left)))[:1]
        return (*followed, added, datasets)

    def _new_observations(self, rows: sql.Composable) -> sql.Composable:
        """Return the statement that adds the observations of rows ``s`` of a source."""
        columns = listed_after(self._observed)
        values = listed_after([observed_column(one) for one in self._observed], "s")
        return sql.SQL(
            "INSERT INTO {table} (key{columns}) SELECT DISTINCT ON (s.key) s.key{values} FROM {rows} "
            "ORDER BY s.key"
        ).format(table=self._observation, columns=columns, values=values, rows=rows)

    def _source(self, of: str) -> sql.Composable:
        return sql.Identifier(SCHEMA, self._names.source(of))

    def _step(self, relation: str, event: str, statement: sql.Composable, **how: bool) -> Step:
        return Step(relation, event, self._base, statement, **how)

    def _of_tags(self, place: KeptPlace) -> Iterator[Step]:
        tags, column = place.place.tags_table, sql.Identifier(self._tags_column)
        same = sql.SQL("s.dataset_id = c.dataset_id AND s.collection_key = c.{}").format(column)
        loads = self.load(place, same, _CHANGED)
        both = rows_by_event(("dataset_id", self._tags_column))["UPDATE"]
        loads_again = self.load(place, same, sql.SQL("{} c").format(both))
        taken = sql.SQL(
            "DELETE FROM {dataset} d USING gone g, {collection} k "
            "WHERE d.dataset_id = g.dataset_id AND k.collection = d.collection AND k.key = g.{column}"
        ).format(dataset=self._dataset, collection=self._collection, column=column)
        # When it is run again the row may have come back.
        delete = sql.SQL(
            "{} AND NOT EXISTS (SELECT FROM {} t "
            "WHERE t.dataset_id = g.dataset_id AND t.{column} = g.{column})"
        ).format(taken, sql.Identifier(self._registry.schema, tags), column=column)
        absent = self._absent(sql.SQL("true"))
        clear = sql.SQL("DELETE FROM {} d WHERE {}").format(self._dataset, absent)
        for event, statements in {
            "INSERT": loads,
            "UPDATE": (taken, *loads_again),
            "DELETE": (delete,),
            "TRUNCATE": (clear,),
        }.items():
            # What is removed another session may be about to load, from a collection that joins a chain, say.
            removes = event in {"UPDATE", "DELETE"}
            yield from (self._step(tags, event, one, settles=removes) for one in statements)

    def _absent(self, more: sql.Composable) -> sql.Composable:
        """Return the condition that a dataset ``d`` is in no tags table, in a row ``t`` of some kind."""
        absent = sql.SQL("NOT EXISTS (SELECT FROM {} t WHERE t.dataset_id = d.dataset_id AND {})")
        tables = [sql.Identifier(self._registry.schema, one.place.tags_table) for one in self._layout.places]
        return sql.SQL(" AND ").join([absent.format(one, more) for one in tables])

    def _of_anchor(self, place: KeptPlace) -> Iterator[Step]:
        element = str(place.anchor)
        source, columns = self._source(f"{place.prefix}_{element}"), ("instrument", "id")
        same = equal("s", [watch_column(element, one) for one in columns], "c", columns)
        changed = rows_of(source, same, _CHANGED)
        theirs, mine = listed_after(self._observed), listed_after(self._observed, "s")
        insert = sql.SQL(
            "INSERT INTO {0} (key{1}) SELECT s.key{2} FROM {3} "
            "WHERE NOT EXISTS (SELECT FROM {0} o WHERE o.key = s.key)"
        ).format(self._observation, theirs, mine, changed)
        keys = sql.SQL(", ").join(self._keys_of(place, "g", {"instrument": "instrument", element: "id"}))
        delete = sql.SQL("DELETE FROM {} o USING gone g WHERE o.key IN ({})").format(self._observation, keys)
        renamed = sql.SQL(
            "DELETE FROM {} o USING gone g WHERE o.key IN ({}) AND NOT EXISTS (SELECT FROM {} r WHERE {})"
        ).format(
            self._observation,
            keys,
            sql.Identifier(self._registry.schema, element),
            equal("r", columns, "g", columns),
        )
        prefix = sql.Literal(f"{place.prefix}/%")
        clear = sql.SQL("DELETE FROM {} WHERE key LIKE {}").format(self._observation, prefix)
        for event, one in (("INSERT", insert), ("DELETE", delete), ("TRUNCATE", clear)):
            yield self._step(element, event, one, first=True)
        for statement in (*self._observed_again(changed), renamed, insert):
            yield self._step(element, "UPDATE", statement, settles=True, first=True)

    def _of_records(self, place: KeptPlace) -> Iterator[Step]:
        """Yield what follows changes of records that kept values or restrictions are taken of."""
        relations, _ = self._layout.observed_values(place.place, place.dataset_types)
        restricted = any(one.constraints for one in place.dataset_types)
        watched = relations.watched | (restricted_tables(self._layout, place) if restricted else {})
        tags = self._source(place.place.tags_table)
        if place.by_run:
            of_run = sql.SQL("s.run_key = c.{}").format(sql.Identifier(self._collection_key))
            found = self._observed_again(self._first_datasets(rows_of(tags, of_run, _CHANGED)))
            yield from (self._step("collection", "UPDATE", one, settles=True) for one in found)
        for table, keys in watched.items():
            columns = tuple(keys)
            same = equal("s", [watch_column(table, one) for one in columns], "c", columns)
            if table not in {place.anchor, "dataset"} and table in relations.watched:
                of = tags if place.anchor is None else self._source(f"{place.prefix}_{place.anchor}")
                named = rows_of(of, same, _CHANGED)
                rows = self._first_datasets(named) if place.anchor is None else named
                how = {"settles": True, "first": place.anchor is not None}
                yield from (self._step(table, "UPDATE", one, **how) for one in self._observed_again(rows))
            if restricted:
                unwanted = sql.SQL(
                    "DELETE FROM {} d USING {} "
                    "WHERE d.dataset_id = s.dataset_id AND d.collection = s.collection"
                ).format(self._dataset, rows_of(tags, same + sql.SQL(" AND NOT s.is_wanted"), _CHANGED))
                for statement in (unwanted, *self.load(place, same, _CHANGED)):
                    yield self._step(table, "UPDATE", statement, settles=True)

    def _first_datasets(self, rows: sql.Composable) -> sql.Composable:
        """Return the observations of the datasets ``s`` of a FROM clause, each once, as ``s``."""
        observed = [
            sql.SQL("s.{} AS {}").format(sql.Identifier(observed_column(one)), sql.Identifier(one))
            for one in self._observed
        ]
        return sql.SQL("(SELECT DISTINCT ON (s.key) {columns} FROM {rows} ORDER BY s.key) s").format(
            columns=sql.SQL(", ").join([sql.SQL("s.key"), *observed]), rows=rows
        )

    def _observed_again(self, rows: sql.Composable) -> tuple[sql.Composable, ...]:
        """Return the statements that bring observations up to date that are the rows ``s`` of a relation."""
        if not self._observed:
            return ()
        update = sql.SQL(
            "UPDATE {table} o SET {set} FROM {rows} WHERE o.key = s.key "
            "AND ({mine}) IS DISTINCT FROM ({theirs})"
        )
        statements: list[sql.Composable] = [
            update.format(
                table=self._observation,
                set=assigned(self._observed, "s", self._observed),
                rows=rows,
                mine=listed(self._observed, "o"),
                theirs=listed(self._observed, "s"),
            )
        ]
        if "t_min" in self._observed:
            statements.append(
                sql.SQL(
                    "UPDATE {dataset} d SET t_min = o.t_min FROM {rows}, {observation} o WHERE o.key = s.key "
                    "AND d.observation = o.observation AND d.t_min IS DISTINCT FROM o.t_min"
                ).format(dataset=self._dataset, rows=rows, observation=self._observation)
            )
        return tuple(statements)

    def _of_regions(self, place: KeptPlace) -> Iterator[Step]:
        element = element_of(place.place)
        if element is None or self._registry.universe.pixel(element) is not None:
            return
        names = footprint_key(self._registry, element)
        dimensions = self._registry.universe.elements[element].required
        columns = dict(zip(dimensions, names, strict=True))
        for event, rows in rows_by_event(names).items():
            found = self._datasets_at(place, columns, rows)
            yield self._step(element, event, self._located_again(found), settles=True)
        nowhere = sql.SQL(
            "UPDATE {dataset} d SET region = NULL WHERE d.region IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM {regions} r WHERE r.region = d.region)"
        ).format(dataset=self._dataset, regions=sql.Identifier(SCHEMA, region_table(self._registry).name))
        yield self._step(element, "TRUNCATE", nowhere)
        if "exposure" in place.place.group.dimensions and "visit_definition" in self._registry.columns:
            numbers = [sql.Literal(self._layout.numbers[one.name]) for one in place.dataset_types]
            exposures_nowhere = sql.SQL(
                "UPDATE {} SET region = NULL WHERE region IS NOT NULL AND type IN ({})"
            ).format(self._dataset, sql.SQL(", ").join(numbers))
            yield self._step("visit_definition", "TRUNCATE", exposures_nowhere)
            for event, rows in rows_by_event(("instrument", "exposure")).items():
                exposures = {"instrument": "instrument", "exposure": "exposure"}
                found = self._datasets_of(place, sql.SQL("{} c").format(rows), "c", exposures, None)
                yield self._step("visit_definition", event, self._located_again(found), settles=True)

    def _datasets_at(self, place: KeptPlace, columns: dict[str, str], rows: sql.Composable) -> sql.Composable:
        """Return the SELECT of the datasets with a region whose record changes."""
        detector = columns.get("detector")
        if "exposure" in place.place.group.dimensions:
            definition = sql.Identifier(self._registry.schema, "visit_definition")
            source = sql.SQL(
                "{rows} c JOIN {definition} e ON e.instrument = c.instrument AND e.visit = c.{visit}"
            ).format(rows=rows, definition=definition, visit=sql.Identifier(columns["visit"]))
            return self._datasets_of(
                place, source, "e", {"instrument": "instrument", "exposure": "exposure"}, detector
            )
        if set(place.dimensions) <= columns.keys() and not place.by_run:
            return self._datasets_of(place, sql.SQL("{} c").format(rows), "c", columns, detector)
        same = equal("s", [f"of_t.{one}" for one in columns], "c", tuple(columns.values()))
        return self._located(place, same, sql.SQL("{} c").format(rows))

    def _located(self, place: KeptPlace, same: sql.Composable, rows: sql.Composable) -> sql.Composable:
        """Return the SELECT of the datasets of a source that belong to rows ``c``, with their regions."""
        found = rows_of(self._source(place.place.tags_table), same, rows)
        return sql.SQL("SELECT s.dataset_id, s.collection, s.region FROM {}").format(found)

    def _datasets_of(
        self,
        place: KeptPlace,
        source: sql.Composable,
        alias: str,
        columns: dict[str, str],
        detector: str | None,
    ) -> sql.Composable:
        """Return the SELECT of the datasets of observations that columns of a source name."""
        if place.by_run or not set(place.dimensions) <= columns.keys():
            # The key has more in it, such as the detector: all datasets of the exposure are looked at.
            same = equal("s", [f"of_t.{one}" for one in columns], alias, tuple(columns.values()))
            return self._located(place, same, source)
        keys = sql.SQL(", ").join(self._keys_of(place, alias, columns))
        narrowed: sql.Composable = sql.SQL("")
        if detector is not None and "detector" in place.place.group.required:
            narrowed = sql.SQL(" AND d.detector = c.{}").format(sql.Identifier(detector))
        # OFFSET 0: else all datasets of the observation are read for each detector.
        return sql.SQL(
            "SELECT d.dataset_id, d.collection, {region} AS region FROM {source} "
            "JOIN {observation} o ON o.key IN ({keys}) CROSS JOIN LATERAL "
            "(SELECT d.* FROM {dataset} d WHERE d.observation = o.observation{narrowed} OFFSET 0) d"
        ).format(
            region=self._region_of(place, alias, columns),
            source=source,
            observation=self._observation,
            keys=keys,
            dataset=self._dataset,
            narrowed=narrowed,
        )

    def _region_of(self, place: KeptPlace, alias: str, columns: dict[str, str]) -> sql.Composable:
        """Return the region of a dataset ``d``, as in its source, given the dimensions of its observation."""
        element = str(element_of(place.place))
        given = {name: sql.Identifier(alias, column) for name, column in columns.items()}
        given["detector"] = sql.Identifier("d", "detector")
        at_visit = "exposure" in place.place.group.dimensions
        if at_visit:
            given["visit"] = sql.Identifier("v", "visit")
        dimensions = self._registry.universe.elements[element].required
        key = key_of(region_prefix(element)[:-1], [given[name] for name in dimensions])
        regions = sql.Identifier(SCHEMA, region_table(self._registry).name)
        if not at_visit:
            return sql.SQL("(SELECT min(r.region) FROM {} r WHERE r.key = {})").format(regions, key)
        return sql.SQL(
            "(SELECT r.region FROM {} v JOIN {} r ON r.key = {} "
            "WHERE v.instrument = {} AND v.exposure = {} ORDER BY v.visit LIMIT 1)"
        ).format(
            sql.Identifier(self._registry.schema, "visit_definition"),
            regions,
            key,
            given["instrument"],
            given["exposure"],
        )

    def _located_again(self, found: sql.Composable) -> sql.Composable:
        return sql.SQL(
            "UPDATE {} d SET region = x.region FROM (SELECT DISTINCT f.* FROM ({}) f) x "
            "WHERE d.dataset_id = x.dataset_id AND d.collection = x.collection "
            "AND d.region IS DISTINCT FROM x.region"
        ).format(self._dataset, found)

    def _of_collections(self) -> Iterator[Step]:
        """Yield what follows changes of the collections that the view looks into."""
        kind = self._layout.mapping.config.collection_rule.kind
        key, source = sql.Identifier(self._collection_key), self._source("collection")
        rows = rows_by_event((self._collection_key,))
        first_counts = kind == "find-first"
        for event in EVENTS:
            scope: sql.Composable = sql.SQL("true")
            if event in rows and not first_counts:
                scope = sql.SQL("k.key IN (SELECT c.{} FROM {} c)").format(key, rows[event])
            # There is nothing yet in a collection that is registered.
            for statement in self.look_again(source, scope, has_datasets=event != "INSERT", event=event):
                yield self._step("collection", event, statement, settles=event != "INSERT")
            if first_counts:
                for statement in self.look_again(source, scope, has_datasets=True):
                    yield self._step("collection_chain", event, statement, settles=True)
        for place in self._layout.places:
            tags = sql.Identifier(self._registry.schema, place.place.tags_table)
            lost = sql.SQL(
                "DELETE FROM {} d USING {} t, gone g "
                "WHERE t.dataset_type_id = g.id AND d.dataset_id = t.dataset_id"
            ).format(self._dataset, tags)
            loads = self.load(place, sql.SQL("s.dataset_type_id = c.id"), _CHANGED)
            for statement in (lost, *loads):
                yield self._step("dataset_type", "UPDATE", statement, settles=True)

    def look_again(
        self, source: sql.Composable, scope: sql.Composable, *, has_datasets: bool, event: str = ""
    ) -> Iterator[sql.Composable]:
        """Yield the statements that look into the collections that there are now.

        Parameters
        ----------
        source
            What the collections are to be.
        scope
            Condition on those, ``k``, that may have changed.
        has_datasets
            Whether there may be datasets in them.
        event
            What happens to the table of collections, if it is that.
        """
        table, first = self._collection, self._layout.mapping.config.collection_rule.kind == "find-first"
        column, key = sql.Identifier(self._tags_column), sql.Identifier(self._collection_key)
        parameters = {"kept": table, "wanted": source, "among": scope, "dataset": self._dataset, "key": key}
        yield sql.SQL(
            "UPDATE {kept} k SET name = s.name, rank = s.rank FROM {wanted} s "
            "WHERE k.key = s.key AND {among} AND (k.name, k.rank) IS DISTINCT FROM (s.name, s.rank)"
        ).format(**parameters)
        if first:
            # Rows of a collection that is looked into no more stay until the view is refreshed: Butler
            # changes a chain by taking all members out and putting them back.
            yield sql.SQL(
                "UPDATE {kept} k SET rank = NULL WHERE rank IS NOT NULL AND {among} "
                "AND NOT EXISTS (SELECT FROM {wanted} s WHERE s.key = k.key)"
            ).format(**parameters)
        elif has_datasets:
            for place in self._layout.places:
                # Those too whose number nobody has: they were kept beside a change that took it away.
                yield sql.SQL(
                    "DELETE FROM {dataset} d USING {rows} c, {tags} t "
                    "WHERE t.{column} = c.{key} AND d.dataset_id = t.dataset_id AND NOT EXISTS ("
                    "SELECT FROM {kept} k WHERE k.collection = d.collection "
                    "AND (k.key <> c.{key} OR EXISTS (SELECT FROM {wanted} s WHERE s.key = k.key)))"
                ).format(
                    **parameters,
                    rows=self._moved(event),
                    tags=sql.Identifier(self._registry.schema, place.place.tags_table),
                    column=column,
                )
            yield sql.SQL(
                "DELETE FROM {kept} k WHERE {among} "
                "AND NOT EXISTS (SELECT FROM {wanted} s WHERE s.key = k.key)"
            ).format(**parameters)
        yield sql.SQL(
            "INSERT INTO {kept} (key, name, rank, is_loaded) "
            "SELECT k.key, k.name, k.rank, {loaded} FROM {wanted} k "
            "WHERE {among} AND NOT EXISTS (SELECT FROM {kept} s WHERE s.key = k.key)"
        ).format(**parameters, loaded=sql.Literal(not has_datasets))
        if not has_datasets:
            return
        for place in self._layout.places:
            condition = sql.SQL("s.collection = c.collection AND NOT c.is_loaded")
            yield from self.load(place, condition, sql.SQL("{} c").format(table))
        yield sql.SQL("UPDATE {} SET is_loaded = true WHERE NOT is_loaded").format(table)
        if event == "UPDATE" and not first:
            # Who removed datasets beside the change did not find them here.
            absent = self._absent(sql.SQL("t.{} = k.key").format(column))
            yield sql.SQL(
                "DELETE FROM {dataset} d USING {kept} k, {rows} c "
                "WHERE k.key = c.{key} AND d.collection = k.collection AND {absent}"
            ).format(**parameters, rows=self._moved(event), absent=absent)

    def _moved(self, event: str) -> sql.Composable:
        """Return the relation with the keys of the collections that may be looked into or not as of now."""
        key = sql.Identifier(self._collection_key)
        if event == "DELETE":
            return sql.SQL("gone")
        if event != "UPDATE":
            return sql.SQL("(SELECT key AS {} FROM {})").format(key, self._collection)
        return rows_that_differ(tuple(dict.fromkeys((self._collection_key, "name"))))

    def _keys_of(self, place: KeptPlace, alias: str, columns: dict[str, str]) -> list[sql.Composable]:
        """Return the keys of observations, given the columns of a relation that are their dimensions."""
        parts = [sql.Identifier(alias, columns[one]) for one in place.dimensions]
        if not place.by_type:
            return [key_of(place.prefix, parts)]
        numbers = [self._layout.numbers[one.name] for one in place.dataset_types]
        return [key_of(place.prefix, [sql.Literal(number), *parts]) for number in numbers]
