"""A query over the rows that the pipelines held valid at a time: a question of science, not a repetition.

Validity is written by many workers with clocks of their own, in any order and for the past as well. The same
query with the same time can have another answer tomorrow; `as_of` is what repeats an answer.
"""

from datetime import datetime, timedelta

from adql import Column, Identifier, Query, Table, TableMetadata, tree
from ppdb_replay.rewriting.rule_alias import name_tables
from ppdb_replay.rewriting.rule_snapshot import Wanted, replace_tables
from ppdb_replay.rewriting.version_catalog import NaturalTable, Validity, VersionCatalog, column_identifiers

# Day 0 of MJD; a TAI timestamp has no zone.
_MJD_EPOCH = datetime(1858, 11, 17)  # noqa: DTZ001
_LATER = Identifier("later_version")
_VALID = Identifier("valid_version")


def validity_at(query: Query, t_mjd_tai: float, catalog: VersionCatalog) -> Query:
    """Return a query that sees of each natural table the rows valid at a time: start <= time < end.

    A row without an end stays valid. In a schema that has no end of validity, a row is valid until the
    next one of its object begins; if the table then holds the latest rows alone, objects whose row began
    later are missing. Tables without validity, tables of versions and all others stay as they are.

    To ask what was known at a snapshot about validity at a time, give the result to `as_of`. Where versions
    of an object overlap, because one arrived late, several of its rows are valid.

    Parameters
    ----------
    query
        A natural query, as `adql.parse` returned it.
    t_mjd_tai
        The time: MJD, TAI.
    catalog
        Which tables have validity intervals.

    Raises
    ------
    AdqlNameError
        The name of a table can mean a versioned table and another one.
    """

    def subquery(meant: TableMetadata, wanted: Wanted) -> Query | None:
        table = catalog.versioned(meant)
        if table is None or table.validity is None:
            return None
        time = _literal(table.validity, t_mjd_tai)
        columns = wanted.columns_of(table)
        if table.validity.end is None and table.key:
            return Query(_newest(table, table.validity, columns, time))
        items = tuple([tree.Output(Column(name)) for name in columns])
        where = _interval(table.validity, time)
        return Query(tree.Select(items, (Table(column_identifiers(table.name)),), where=where))

    return replace_tables(name_tables(query, catalog), catalog, subquery)


def _literal(validity: Validity, t_mjd_tai: float) -> tree.Expression:
    if validity.form == "mjd":
        # The shortest text that is read as the same number.
        return tree.Number(repr(t_mjd_tai))
    return tree.String((_MJD_EPOCH + timedelta(days=t_mjd_tai)).isoformat(timespec="microseconds"))


def _interval(validity: Validity, time: tree.Expression) -> tree.Condition:
    begun = tree.Comparison(_column(validity.start), "<=", time)
    if validity.end is None:
        return begun
    end = _column(validity.end)
    return tree.And((begun, tree.Or((tree.Comparison(end, ">", time), tree.IsNull(end)))))


def _newest(
    table: NaturalTable, validity: Validity, columns: tuple[Identifier, ...], time: tree.Expression
) -> tree.Select:
    """Return the rows that began by a time, without those that another row of the object has replaced."""
    name = column_identifiers(table.name)
    entity = table.key[0]
    start, later_start = _column(validity.start, _VALID), _column(validity.start, _LATER)
    later = tree.Select(
        (tree.Output(_column(entity, _LATER)),),
        (Table(name, _LATER),),
        where=tree.And(
            (
                tree.Comparison(_column(entity, _LATER), "=", _column(entity, _VALID)),
                tree.Comparison(later_start, ">", start),
                tree.Comparison(later_start, "<=", time),
            )
        ),
    )
    items = tuple([tree.Output(Column(column, (_VALID,))) for column in columns])
    where = tree.And((tree.Comparison(start, "<=", time), tree.Not(tree.Exists(Query(later)))))
    return tree.Select(items, (Table(name, _VALID),), where=where)


def _column(name: str, table: Identifier | None = None) -> Column:
    (identifier,) = column_identifiers((name,))
    return Column(identifier, () if table is None else (table,))
