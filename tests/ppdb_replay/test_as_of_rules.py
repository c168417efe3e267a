"""Each rule of `as_of` by itself, and the text that they make together."""

# ruff: noqa: S608  queries are the subject here

from __future__ import annotations

import pytest

from adql import AdqlNameError, parse, validate
from ppdb_replay.errors import ClockValueMissingError
from ppdb_replay.rewriting.as_of import as_of, freeze_clock, stable
from ppdb_replay.rewriting.rule_alias import name_tables
from ppdb_replay.rewriting.rule_order import has_complete_order, order_rows
from ppdb_replay.rewriting.rule_snapshot import fix_snapshot
from ppdb_replay.rewriting.version_catalog import ClockFunction, build_catalog
from ppdb_replay.snapshot import Snapshot
from tests.ppdb_replay.small_catalog import CATALOG, OBJECT, published

SEEN = "WHERE snap_from <= 41 AND snap_to > 41"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT ra FROM DiaObject", "SELECT ra FROM DiaObject AS DiaObject"),
        ("SELECT ra FROM DiaObject AS o", "SELECT ra FROM DiaObject AS o"),
        (
            "SELECT ppdb.DiaObject.ra FROM ppdb.DiaObject WHERE DIAOBJECT.dec > 0",
            "SELECT DiaObject.ra FROM ppdb.DiaObject AS DiaObject WHERE DiaObject.dec > 0",
        ),
        (
            'SELECT "DiaObject".*, ppdb."DiaObject".ra FROM ppdb."DiaObject"',
            'SELECT "DiaObject".*, "DiaObject".ra FROM ppdb."DiaObject" AS "DiaObject"',
        ),
        # The inner table is the nearest one of that name.
        (
            (
                "SELECT ra FROM ppdb.DiaObject WHERE EXISTS"
                " (SELECT 1 FROM ppdb.DiaObject WHERE ppdb.DiaObject.ra > 1)"
            ),
            (
                "SELECT ra FROM ppdb.DiaObject AS DiaObject WHERE EXISTS"
                " (SELECT 1 FROM ppdb.DiaObject AS DiaObject WHERE DiaObject.ra > 1)"
            ),
        ),
        # An alias would be captured by another table of the same name.
        (
            "SELECT ppdb.DiaObject.ra, ppdb_history.DiaObject.ra FROM ppdb.DiaObject, ppdb_history.DiaObject",
            (
                "SELECT DiaObject.ra, DiaObject_2.ra FROM ppdb.DiaObject AS DiaObject,"
                " ppdb_history.DiaObject AS DiaObject_2"
            ),
        ),
        (
            (
                "SELECT ppdb.DiaObject.ra FROM ppdb.DiaObject WHERE EXISTS"
                " (SELECT 1 FROM dp1.Object AS DiaObject WHERE ppdb.DiaObject.ra > DiaObject.ra)"
            ),
            (
                "SELECT DiaObject_2.ra FROM ppdb.DiaObject AS DiaObject_2 WHERE EXISTS"
                " (SELECT 1 FROM dp1.Object AS DiaObject WHERE DiaObject_2.ra > DiaObject.ra)"
            ),
        ),
        # ON sees what is joined, and enclosing queries.
        (
            (
                "SELECT 1 FROM ppdb.DiaObject JOIN ppdb.DiaSource"
                " ON ppdb.DiaObject.diaObjectId = ppdb.DiaSource.diaObjectId"
            ),
            (
                "SELECT 1 FROM ppdb.DiaObject AS DiaObject JOIN ppdb.DiaSource AS DiaSource"
                " ON DiaObject.diaObjectId = DiaSource.diaObjectId"
            ),
        ),
        (
            "SELECT ra FROM ppdb.DiaObject ORDER BY ppdb.DiaObject.dec",
            "SELECT ra FROM ppdb.DiaObject AS DiaObject ORDER BY DiaObject.dec",
        ),
        (
            "SELECT x FROM (SELECT ppdb.DiaObject.ra AS x FROM ppdb.DiaObject) AS d",
            "SELECT x FROM (SELECT DiaObject.ra AS x FROM ppdb.DiaObject AS DiaObject) AS d",
        ),
        ("SELECT ra FROM dp1.Object", "SELECT ra FROM dp1.Object"),
        (
            f"SELECT ra FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o",
            f"SELECT ra FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o",
        ),
    ],
)
def test_every_versioned_table_gets_an_alias_that_nothing_else_has(text: str, expected: str) -> None:
    named = name_tables(parse(text), CATALOG)
    assert str(named) == expected
    validate(named, CATALOG.metadata)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Keys, of all tables; numbers where the key is selected, names without table where they are clear.
        ("SELECT TOP 3 ra FROM DiaObject", "diaObjectId, validityStartMjdTai"),
        ("SELECT TOP 3 ra, diaObjectId FROM DiaObject", "2, validityStartMjdTai"),
        ("SELECT TOP 3 * FROM DiaSource", "diaSourceId"),
        ("SELECT psfFlux FROM DiaSource ORDER BY visit DESC", "visit DESC, diaSourceId"),
        ("SELECT psfFlux FROM DiaSource ORDER BY diaSourceId DESC", "diaSourceId DESC"),
        ("SELECT diaSourceId AS id FROM DiaSource ORDER BY id DESC", "id DESC"),
        ("SELECT diaSourceId AS id FROM DiaSource ORDER BY 1", "1"),
        # The name of an output column hides that of the key.
        ("SELECT ra AS diaSourceId FROM DiaSource, dp1.Object", "1"),
        ("SELECT visit AS diaSourceId FROM DiaSource AS s", "s.diaSourceId"),
        (
            "SELECT a.ra FROM DiaObject AS a, DiaObject AS b",
            "a.diaObjectId, a.validityStartMjdTai, b.diaObjectId, b.validityStartMjdTai",
        ),
        (
            "SELECT psfFlux FROM DiaObject AS o LEFT JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId",
            "o.diaObjectId, validityStartMjdTai, diaSourceId",
        ),
        ("SELECT ra FROM ppdb_history.DiaObject AS h", "diaObjectId, validityStartMjdTai, snap_from"),
        ("SELECT x FROM (SELECT diaSourceId, visit AS x FROM DiaSource) AS d", "diaSourceId"),
        # Numbers of all output columns.
        ("SELECT DISTINCT band, visit FROM DiaSource ORDER BY visit", "visit, 1"),
        ("SELECT DISTINCT * FROM DiaSource", "1, 2, 3, 4, 5, 6"),
        ("SELECT ra FROM DiaObject UNION SELECT psfFlux FROM DiaSource", "1"),
        ("SELECT o.ra, m.id FROM DiaObject AS o, TAP_UPLOAD.mine AS m", "1, 2"),
        ("SELECT x FROM (SELECT visit AS x FROM DiaSource) AS d", "1"),
        # 6 columns, and 6 of which one is joined.
        ("SELECT DISTINCT * FROM DiaObject NATURAL JOIN DiaSource", ", ".join(map(str, range(1, 12)))),
        (
            "SELECT DISTINCT * FROM DiaObject JOIN DiaSource USING (diaObjectId)",
            ", ".join(map(str, range(1, 12))),
        ),
        # The terms of GROUP BY.
        ("SELECT COUNT(*) FROM DiaSource GROUP BY band", "band"),
        ("SELECT COUNT(*), band FROM DiaSource GROUP BY band", "2"),
        ("SELECT MAX(visit) AS band FROM DiaSource AS s GROUP BY band", "s.band"),
        ("SELECT MOD(visit, 2) AS half FROM DiaSource GROUP BY half", "1"),
        ("SELECT COUNT(*) AS n FROM DiaSource GROUP BY visit, detector ORDER BY n", "n, visit, detector"),
        ("SELECT COUNT(*) AS n FROM DiaSource GROUP BY visit ORDER BY MAX(detector)", "MAX(detector), visit"),
        ("SELECT COUNT(*) AS n FROM DiaSource AS s GROUP BY s.visit", "visit"),
        # One row.
        ("SELECT COUNT(*) FROM DiaSource", ""),
        ("SELECT TOP 1 MAX(visit) FROM DiaSource HAVING COUNT(*) > 1", ""),
    ],
)
def test_rows_are_ordered_completely(text: str, expected: str) -> None:
    query = parse(text)
    ordered = order_rows(name_tables(query, CATALOG), CATALOG)
    found = ", ".join(map(str, ordered.order_by))
    # What the query names without a table is unique, so the alias of the only table may stand there or not.
    assert found.replace("DiaSource.", "") == expected
    assert has_complete_order(query, CATALOG, whole_result=True)
    validate(ordered, CATALOG.metadata)
    assert order_rows(ordered, CATALOG) == ordered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT ra FROM DiaObject", "SELECT ra FROM DiaObject"),
        (
            "SELECT ra FROM DiaObject WHERE diaObjectId IN (SELECT TOP 2 diaObjectId FROM DiaSource)",
            (
                "SELECT ra FROM DiaObject WHERE diaObjectId IN"
                " (SELECT TOP 2 diaObjectId FROM DiaSource ORDER BY diaSourceId)"
            ),
        ),
        (
            "SELECT TOP 2 diaObjectId FROM DiaSource UNION ALL SELECT diaObjectId FROM DiaObject",
            (
                "(SELECT TOP 2 diaObjectId FROM DiaSource ORDER BY diaSourceId)"
                " UNION ALL SELECT diaObjectId FROM DiaObject"
            ),
        ),
        (
            "WITH a AS (SELECT TOP 2 visit FROM DiaSource) SELECT visit FROM a OFFSET 1",
            (
                "WITH a AS (SELECT TOP 2 visit FROM DiaSource ORDER BY diaSourceId)"
                " SELECT visit FROM a ORDER BY 1 OFFSET 1"
            ),
        ),
    ],
)
def test_only_what_takes_a_part_of_the_rows_has_to_be_ordered(text: str, expected: str) -> None:
    assert str(order_rows(parse(text), CATALOG, whole_result=False)) == expected


@pytest.mark.parametrize(
    "text", ["SELECT TOP 2 * FROM nowhere", "SELECT TOP 2 POINT(o.ra, 0) AS p FROM dp1.Object AS o"]
)
def test_rows_without_a_known_order_are_told(text: str) -> None:
    assert not has_complete_order(parse(text), CATALOG)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SELECT o.ra FROM ppdb.DiaObject AS o",
            f"SELECT o.ra FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o",
        ),
        (
            "SELECT COUNT(*) FROM DiaSource AS s",
            f"SELECT COUNT(*) FROM (SELECT diaSourceId FROM ppdb_history.DiaSource {SEEN}) AS s",
        ),
        (
            "SELECT * FROM DiaSource AS s",
            (
                "SELECT * FROM (SELECT diaSourceId, diaObjectId, visit, detector, psfFlux, band"
                f" FROM ppdb_history.DiaSource {SEEN}) AS s"
            ),
        ),
        (
            "SELECT o.ra, s.* FROM DiaObject AS o, DiaSource AS s",
            (
                f"SELECT o.ra, s.* FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o,"
                " (SELECT diaSourceId, diaObjectId, visit, detector, psfFlux, band"
                f" FROM ppdb_history.DiaSource {SEEN}) AS s"
            ),
        ),
        (
            "SELECT visit FROM (DiaSource AS a JOIN DiaSource AS b USING (visit))",
            (
                f"SELECT visit FROM (SELECT visit FROM ppdb_history.DiaSource {SEEN}) AS a"
                f" JOIN (SELECT visit FROM ppdb_history.DiaSource {SEEN}) AS b USING (visit)"
            ),
        ),
        (
            "SELECT 1 FROM DiaSource AS s WHERE EXISTS (SELECT * FROM DiaObject AS o WHERE o.ra = s.psfFlux)",
            (
                f"SELECT 1 FROM (SELECT psfFlux FROM ppdb_history.DiaSource {SEEN}) AS s WHERE EXISTS"
                f" (SELECT * FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o WHERE o.ra = s.psfFlux)"
            ),
        ),
        (
            "WITH DiaObject AS (SELECT ra FROM DiaObject AS o) SELECT ra FROM DiaObject",
            (
                f"WITH DiaObject AS (SELECT ra FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o)"
                " SELECT ra FROM DiaObject"
            ),
        ),
        # In a common table expression the names of later ones mean tables.
        (
            (
                "WITH a AS (SELECT ra FROM DiaObject AS o), DiaObject AS (SELECT ra FROM a)"
                " SELECT ra FROM DiaObject"
            ),
            (
                f"WITH a AS (SELECT ra FROM (SELECT ra FROM ppdb_history.DiaObject {SEEN}) AS o),"
                " DiaObject AS (SELECT ra FROM a) SELECT ra FROM DiaObject"
            ),
        ),
        (
            "SELECT h.ra FROM ppdb_history.DiaObject AS h",
            "SELECT h.ra FROM (SELECT ra, snap_from FROM ppdb_history.DiaObject WHERE snap_from <= 41) AS h",
        ),
        (
            "SELECT h.snap_to FROM ppdb_history.DiaSource AS h",
            (
                "SELECT h.snap_to FROM (SELECT diaSourceId, snap_from, snap_to FROM ppdb_history.DiaSource"
                " WHERE snap_from <= 41 AND snap_to <= 41 UNION ALL"
                " SELECT diaSourceId, snap_from, 9223372036854775807 AS snap_to FROM ppdb_history.DiaSource"
                f" {SEEN}) AS h"
            ),
        ),
        (
            "SELECT m.id, o.ra FROM TAP_UPLOAD.mine AS m, dp1.Object AS o",
            "SELECT m.id, o.ra FROM TAP_UPLOAD.mine AS m, dp1.Object AS o",
        ),
    ],
)
def test_a_subquery_takes_the_place_of_every_versioned_table(text: str, expected: str) -> None:
    fixed = fix_snapshot(parse(text), CATALOG, 41)
    assert str(fixed) == expected
    validate(fixed, CATALOG.metadata)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 40 AND snap_to > 40", False),
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 41 AND ra > 3 AND snap_to > 41", False),
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 40", False),
        ("SELECT snap_to FROM ppdb_history.DiaObject WHERE snap_from <= 40 AND snap_to <= 40", False),
        # A later snapshot than the one that is asked for.
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 42 AND snap_to > 42", True),
        # What is shown was another number then.
        ("SELECT snap_to FROM ppdb_history.DiaObject WHERE snap_from <= 40 AND snap_to > 40", True),
        ("SELECT * FROM ppdb_history.DiaObject WHERE snap_from <= 40", True),
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 40 OR snap_to > 40", True),
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_to > 40", True),
        ("SELECT ra FROM ppdb_history.DiaObject WHERE snap_from <= 40 AND snap_to > 39", True),
    ],
)
def test_a_query_that_sees_a_snapshot_by_itself_is_left_alone(text: str, *, changes: bool) -> None:
    query = parse(text)
    assert (fix_snapshot(query, CATALOG, 41) != query) == changes
    text_then = str(as_of(query, 41, CATALOG))
    # More terms of ORDER BY may follow: that a UNION of versions has a key is not looked for.
    assert str(as_of(parse(text_then), 50, CATALOG)).startswith(text_then)


def test_the_present_time_is_that_of_the_snapshot() -> None:
    query = parse("SELECT ra FROM DiaObject WHERE validityStartMjdTai > Service_Now() - 1")
    frozen = freeze_clock(query, CATALOG, 61000.123456789012)
    assert str(frozen).endswith("> 61000.12345678901 - 1")
    assert "61000.5 - 1" in str(stable(query, Snapshot(3, 61000.5), CATALOG))
    with pytest.raises(ClockValueMissingError, match="service_now"):
        as_of(query, 3, CATALOG)


@pytest.mark.parametrize(
    ("form", "scale", "expected"),
    [
        ("mjd", "tai", "61000.5"),
        ("mjd", "utc", "61000.49957175926"),
        ("timestamp", "tai", "CAST('2025-11-21T12:00:00.000000' AS TIMESTAMP)"),
        ("timestamp", "utc", "CAST('2025-11-21T11:59:23.000000' AS TIMESTAMP)"),
    ],
)
def test_a_clock_has_the_form_and_scale_that_its_service_says(form: str, scale: str, expected: str) -> None:
    catalog = build_catalog(CATALOG.metadata, clocks=[ClockFunction("clock", form, scale)])
    assert str(freeze_clock(parse("SELECT CLOCK() AS t FROM x"), catalog, 61000.5)) == (
        f"SELECT {expected} AS t FROM x"
    )


def test_a_name_that_can_mean_a_versioned_table_and_another_one_is_refused() -> None:
    catalog = CATALOG.with_tables([published("dp1", "DiaObject", columns=OBJECT)])
    with pytest.raises(AdqlNameError, match=r"it can be dp1\.DiaObject or ppdb\.DiaObject"):
        as_of(parse("SELECT ra FROM DiaObject"), 41, catalog)
    assert "ppdb_history" in str(as_of(parse("SELECT ra FROM ppdb.DiaObject"), 41, catalog))
    unchanged = parse("SELECT ra FROM dp1.DiaObject")
    assert fix_snapshot(unchanged, catalog, 41) == unchanged


def test_columns_that_versioning_adds_are_no_columns_of_a_natural_table() -> None:
    table = next(table for table in CATALOG.tables if table.name == ("ppdb", "DiaObject"))
    assert table.columns == tuple(OBJECT)
    fixed = as_of(parse("SELECT snap_from FROM DiaObject"), 41, CATALOG)
    with pytest.raises(AdqlNameError, match="no column snap_from"):
        validate(fixed, CATALOG.metadata)
