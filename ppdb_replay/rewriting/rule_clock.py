"""The rule that gives functions of the present time the value that they had at a snapshot."""

from __future__ import annotations

from adql import Function, Node, Query, transform
from adql.tree import Cast, Expression, Number, String
from ppdb_replay.errors import ClockValueMissingError
from ppdb_replay.rewriting.version_catalog import ClockFunction, VersionCatalog
from tapdb.extras import from_extra

__all__ = ["freeze_clock"]


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
