"""What can be promised of a repetition, and why not more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adql import Function, Identifier, Node, Query, Table, TableMetadata, validate, walk
from ppdb_replay.rewriting.exact_sums import inexact_sums
from ppdb_replay.rewriting.relations import Surroundings
from ppdb_replay.rewriting.rule_order import has_complete_order, order_rows
from ppdb_replay.rewriting.version_catalog import VersionCatalog

__all__ = ["Guarantee", "Level", "classify", "named_tables"]


class Level(StrEnum):
    """How much of a result comes again, the most first.

    `EXACT`: every row, every value, in the same order. `EXACT_EXCEPT_FLOAT_SUMS`: the same, but for the last
    digits of sums and means of floating-point numbers. `PARTIAL`: as far as it depends on versioned tables.
    `NONE`: nothing is promised.
    """

    EXACT = "exact"
    EXACT_EXCEPT_FLOAT_SUMS = "exact-except-float-sums"
    PARTIAL = "partial"
    NONE = "none"


_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is promised of a repetition.

    Parameters
    ----------
    level
        The promise.
    reasons
        Why it is no better, in the words of the user's query; empty if it is exact.
    approximate_columns
        Numbers of the output columns, from 1, that hold sums or means of floating-point numbers.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    approximate_columns: tuple[int, ...] = ()


def classify(
    query: Query, catalog: VersionCatalog, *, exact_sums: bool = False, as_written: bool = False
) -> Guarantee:
    """Return what can be promised of a natural query that is repeated by `as_of`.

    Values are taken for equal if they are on the same server: another one may round functions such as SIN
    otherwise, and order text by another collation.

    Parameters
    ----------
    query
        The natural query, as `adql.parse` returned it.
    catalog
        All tables and functions that are published, and which of the tables are versioned.
    exact_sums
        Whether it is run, now and then, on a server with `adql.Server.exact_sums`.
    as_written
        Whether it is run as it was written, not as `stable` makes it: then TOP may take any rows.

    Raises
    ------
    AdqlError
        The query names a column that is not there, or is wrong otherwise.
    """
    found = [
        *_functions(query, catalog),
        *_tables(query, catalog),
        *_order(query, catalog, as_written=as_written),
    ]
    approximate: tuple[int, ...] = ()
    if not exact_sums and _can_be_checked(query, catalog):
        sums = inexact_sums(validate(query, catalog.metadata))
        approximate = sums.columns
        found += [(Level.PARTIAL, reason) for reason in sums.decisions]
        if sums.columns:
            numbers = ", ".join(map(str, sums.columns))
            found.append(
                (Level.EXACT_EXCEPT_FLOAT_SUMS, f"floating-point numbers are added up for column {numbers}")
            )
    level = max((level for level, _ in found), key=_ORDER.index, default=Level.EXACT)
    return Guarantee(level, tuple(dict.fromkeys(reason for _, reason in found)), approximate)


def _functions(query: Query, catalog: VersionCatalog) -> list[tuple[Level, str]]:
    found = []
    known = {function.name.lower(): function for function in query.dialect.functions}
    for node in walk(query):
        if not isinstance(node, Function):
            continue
        if node.name == "RAND":
            found.append((Level.NONE, "RAND() returns another number each time"))
        elif node.is_user_defined and catalog.find_clock(node.name) is None:
            function = catalog.metadata.find_function(node.name) or known.get(node.name.lower())
            if function is None or not function.is_pure:
                found.append(
                    (Level.NONE, f"nobody has said that {node.name}() depends on its arguments alone")
                )
    return found


def _tables(query: Query, catalog: VersionCatalog) -> list[tuple[Level, str]]:
    return [
        (Level.PARTIAL, reason)
        for table, published in named_tables(query, catalog)
        if (reason := _not_versioned(table, published, catalog))
    ]


def _not_versioned(table: Table, published: TableMetadata | None, catalog: VersionCatalog) -> str:
    name = ".".join(part.text for part in table.name)
    if published is None and table.name[0].text.upper() != "TAP_UPLOAD":
        return f"table {name} is not published here"
    if published is None or published.is_upload:
        return f"{name} is an upload: it has to be uploaded again, unchanged"
    if catalog.versioned(published) is None and catalog.versions(published) is None:
        return f"table {'.'.join(published.name)} is not versioned"
    return ""


def _order(query: Query, catalog: VersionCatalog, *, as_written: bool) -> list[tuple[Level, str]]:
    if as_written and order_rows(query, catalog, whole_result=False) != query:
        return [(Level.NONE, "TOP or OFFSET takes rows whose order ORDER BY leaves open")]
    if as_written and order_rows(query, catalog) != query:
        return [(Level.PARTIAL, "the rows are the same, but ORDER BY leaves their order open")]
    # Most queries are complete: what is complete as a whole is so in its parts.
    if has_complete_order(query, catalog, whole_result=True):
        return []
    if has_complete_order(query, catalog, whole_result=False):
        return [(Level.PARTIAL, "the rows are the same, but no known column puts all of them into an order")]
    return [(Level.NONE, "TOP or OFFSET takes rows that no known column puts into an order")]


def named_tables(query: Query, catalog: VersionCatalog) -> list[tuple[Table, TableMetadata | None]]:
    """Return the tables that a query names, without common table expressions, and what they are.

    Parameters
    ----------
    query
        A whole query.
    catalog
        The published tables.
    """
    found: list[tuple[Table, TableMetadata | None]] = []
    surroundings = Surroundings(catalog)
    parts: list[tuple[Node, Identifier | None]] = [(table.query, table.name) for table in query.common_tables]
    parts += [(part, None) for part in (query.body, *query.order_by)]
    for part, name in parts:
        found += [
            (node, catalog.find(node.name))
            for node in walk(part)
            if isinstance(node, Table) and not surroundings.names_common_table(node)
        ]
        if name is not None:
            surroundings = surroundings.with_common_table(name, None)
    return found


def _can_be_checked(query: Query, catalog: VersionCatalog) -> bool:
    """Return whether all tables and functions are known; otherwise nothing is exact anyhow."""
    functions = {function.name.lower() for function in query.dialect.functions}
    return all(published is not None for _, published in named_tables(query, catalog)) and all(
        not node.is_user_defined
        or node.name.lower() in functions
        or catalog.metadata.find_function(node.name) is not None
        for node in walk(query)
        if isinstance(node, Function)
    )
