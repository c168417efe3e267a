"""A natural query as of a snapshot: a tuple of rules, each a pure function on the tree."""

from collections.abc import Callable
from dataclasses import dataclass

from adql import Function, Node, Query, transform
from adql.tree import Cast, Expression, Number, String
from ppdb_replay.errors import ClockValueMissingError
from ppdb_replay.rewriting.rule_alias import name_tables
from ppdb_replay.rewriting.rule_order import order_completely, order_rows
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot
from ppdb_replay.rewriting.version_catalog import ClockFunction, VersionCatalog
from ppdb_replay.snapshot import Snapshot
from tapdb.extras import from_extra


def freeze_clock(query: Query, catalog: VersionCatalog, t_mjd_tai: float | None) -> Query:
    """Return a query in which functions of the present time are literals.

    Parameters
    ----------
    query
        A whole query.
    catalog
        Which functions return the present time, in what form and time scale.
    t_mjd_tai
        That time: MJD, TAI.

    Raises
    ------
    ClockValueMissingError
        The query calls such a function, and no time is given.
    """
    if not catalog.clocks:
        return query

    def frozen(node: Node) -> Node:
        clock = catalog.find_clock(node.name) if isinstance(node, Function) else None
        if clock is None:
            return node
        if t_mjd_tai is None:
            raise ClockValueMissingError(clock.name)
        return _literal(clock, t_mjd_tai)

    return transform(query, frozen)


def _literal(clock: ClockFunction, t_mjd_tai: float) -> Expression:
    if clock.form == "mjd" and clock.scale == "tai":
        # The shortest text that is read as the same number.
        return Number(repr(t_mjd_tai))
    # astropy knows the leap seconds, and takes its time to load.
    with from_extra("astropy", f"{clock.name} as of a snapshot"):
        from astropy.time import Time  # noqa: PLC0415

    time = Time(t_mjd_tai, format="mjd", scale="tai")
    scaled = time.utc if clock.scale == "utc" else time
    if clock.form == "mjd":
        return Number(repr(float(scaled.mjd)))
    scaled.precision = 6
    return Cast(String(str(scaled.isot)), "TIMESTAMP")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """What the rules are told.

    Parameters
    ----------
    catalog
        Which tables are versioned, in the version of the schema that the snapshot has.
    snapshot_id
        The snapshot.
    t_mjd_tai
        Its time: MJD, TAI; `None` if it is not known.
    whole_result
        Whether the result is ordered even if TOP and OFFSET take no part of it.
    """

    catalog: VersionCatalog
    snapshot_id: int
    t_mjd_tai: float | None
    whole_result: bool


Rule = Callable[[Query, AsOf], Query]

# What makes a query return the same rows in the same order whenever its tables are the same.
STABLE_RULES: tuple[Rule, ...] = (
    lambda query, given: freeze_clock(query, given.catalog, given.t_mjd_tai),
    lambda query, given: name_tables(query, given.catalog),
    lambda query, given: order_rows(query, given.catalog, whole_result=given.whole_result),
)
# And what makes its tables the same.
RULES: tuple[Rule, ...] = (
    *STABLE_RULES,
    lambda query, given: fix_snapshot(query, given.catalog, given.snapshot_id),
)


def as_of(
    query: Query, snapshot: Snapshot | int, catalog: VersionCatalog, *, whole_result: bool = True
) -> Query:
    """Return a query that returns at any later time what another one returned at a snapshot.

    The result is plain ADQL: any TAP service that publishes the tables of versions can run it. Tables that
    are not versioned, uploads among them, stay as they are; `classify` says what then can be promised.

    Parameters
    ----------
    query
        The natural query, as `adql.parse` returned it.
    snapshot
        The snapshot; its number alone if the query asks for no present time.
    catalog
        Which tables are versioned, in the version of the schema that the snapshot has.
    whole_result
        Whether the rows come in a complete order even if neither TOP nor OFFSET takes a part of them.

    Raises
    ------
    AdqlNameError
        The name of a table can mean a versioned table and another one.
    ClockValueMissingError
        The query asks for the present time, and only the number of the snapshot is given.
    """
    return _rewrite(query, RULES, _given(snapshot, catalog, whole_result=whole_result))


def stable(
    query: Query, snapshot: Snapshot | int, catalog: VersionCatalog, *, whole_result: bool = True
) -> Query:
    """Return a query over the present tables that `as_of` repeats row by row, in the same order.

    It is the natural query with a complete order and with the present time written down: what is run when a
    result is captured.

    Parameters
    ----------
    query, snapshot, catalog, whole_result
        As in `as_of`; the snapshot is the newest one.

    Raises
    ------
    AdqlNameError
        The name of a table can mean a versioned table and another one.
    ClockValueMissingError
        The query asks for the present time, and only the number of the snapshot is given.
    """
    return _rewrite(query, STABLE_RULES, _given(snapshot, catalog, whole_result=whole_result))


def stable_and_complete(query: Query, snapshot: Snapshot, catalog: VersionCatalog) -> tuple[Query, bool]:
    """Return what `stable` returns, and whether its ORDER BY leaves nothing open.

    Parameters
    ----------
    query, snapshot, catalog
        As in `stable`, which says what is raised too.
    """
    *before, _ = STABLE_RULES
    named = _rewrite(query, tuple(before), _given(snapshot, catalog, whole_result=True))
    return order_completely(named, catalog)


def _given(snapshot: Snapshot | int, catalog: VersionCatalog, *, whole_result: bool) -> AsOf:
    if isinstance(snapshot, Snapshot):
        number, time = snapshot.snapshot_id, snapshot.t_mjd_tai
    else:
        number, time = snapshot, None
    return AsOf(catalog=catalog, snapshot_id=number, t_mjd_tai=time, whole_result=whole_result)


def _rewrite(query: Query, rules: tuple[Rule, ...], given: AsOf) -> Query:
    for rule in rules:
        query = rule(query, given)
    return query
