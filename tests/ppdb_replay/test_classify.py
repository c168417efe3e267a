"""What is promised of a repetition: nothing is called exact that is not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from adql import RUBIN, parse
from ppdb_replay.rewriting.classify import Level, classify
from tests.ppdb_replay.small_catalog import CATALOG

EXACT = [
    "SELECT ra, dec FROM DiaObject WHERE ra > 3",
    "SELECT TOP 5 ra FROM DiaObject",
    "SELECT DISTINCT TOP 5 band FROM DiaSource OFFSET 3",
    "SELECT COUNT(*), MIN(psfFlux), MAX(psfFlux), SUM(visit), AVG(nDiaSources) FROM DiaSource, DiaObject",
    "SELECT ra FROM ppdb_history.DiaObject",
    "SELECT service_now() AS t FROM DiaObject",
    "SELECT SQRT(ABS(ra)), FLOOR(ra), CEILING(ra), ra / dec FROM DiaObject",
    "SELECT MOD(nDiaSources, 3), COALESCE(ra, 0), PI() AS p FROM DiaObject",
    "WITH a AS (SELECT visit FROM DiaSource) SELECT TOP 3 visit FROM a",
    # Nobody looks at the sum.
    "SELECT visit FROM (SELECT visit, SUM(psfFlux) AS s FROM DiaSource GROUP BY visit) AS d",
    "SELECT ra FROM DiaObject WHERE EXISTS (SELECT SUM(psfFlux) FROM DiaSource)",
]
# A3: what must never be called exact, with the reason that a user is given.
REFUSED = [
    ("SELECT RAND() AS r FROM DiaObject", Level.NONE, "RAND"),
    ("SELECT ra FROM DiaObject WHERE RAND(3) < 0.5", Level.NONE, "RAND"),
    ("SELECT ra FROM DiaObject ORDER BY RAND()", Level.NONE, "RAND"),
    ("SELECT ra FROM DiaObject WHERE diaObjectId IN (SELECT RAND() FROM DiaSource)", Level.NONE, "RAND"),
    ("SELECT service_other(ra) AS x FROM DiaObject", Level.NONE, r"service_other\(\)"),
    ("SELECT nobody_knows(ra) AS x FROM DiaObject", Level.NONE, r"nobody_knows\(\)"),
    ("WITH a AS (SELECT nobody_knows(ra) AS x FROM DiaObject) SELECT x FROM a", Level.NONE, "nobody_knows"),
    ("SELECT id FROM TAP_UPLOAD.mine", Level.PARTIAL, "TAP_UPLOAD.mine is an upload"),
    ("SELECT x FROM TAP_UPLOAD.other", Level.PARTIAL, "TAP_UPLOAD.other is an upload"),
    ("SELECT id FROM mine, DiaObject", Level.PARTIAL, "mine is an upload"),
    ("SELECT ra FROM dp1.Object", Level.PARTIAL, "dp1.Object is not versioned"),
    (
        "SELECT ra FROM DiaObject WHERE diaObjectId IN (SELECT objectId FROM dp1.Object)",
        Level.PARTIAL,
        "dp1.Object is not versioned",
    ),
    ("WITH DiaObject AS (SELECT ra FROM dp1.Object) SELECT ra FROM DiaObject", Level.PARTIAL, "dp1.Object"),
    ("SELECT x FROM other_service.t", Level.PARTIAL, "other_service.t is not published here"),
    ("SELECT TOP 3 * FROM other_service.t", Level.NONE, "no known column"),
    ("SELECT TOP 3 POINT(x, 0) AS p FROM other_service.t", Level.NONE, "no known column"),
    (
        "SELECT POINT(ra, 0) AS p FROM DiaObject UNION ALL SELECT POINT(visit, 0) FROM DiaSource",
        Level.PARTIAL,
        "no known column puts all of them into an order",
    ),
]
# Functions whose last digit a mathematical library decides.
SAME_ENGINE = [
    ("SELECT SIN(ra) AS x FROM DiaObject", "SIN"),
    ("SELECT EXP(ra) AS x FROM DiaObject", "EXP"),
    ("SELECT LOG10(ra) AS x FROM DiaObject", "LOG10"),
    ("SELECT DEGREES(ra) AS x FROM DiaObject", "DEGREES"),
    ("SELECT ROUND(ra, 2) AS x FROM DiaObject", "ROUND"),
    ("SELECT service_pure(ra) AS p FROM DiaObject", "service_pure"),
    ("SELECT ra FROM DiaObject WHERE POWER(ra, 2.5) > 3", "POWER"),
    ("SELECT ra FROM DiaObject WHERE DISTANCE(ra, dec, 1, 2) < 3", "DISTANCE"),
    ("WITH a AS (SELECT COS(ra) AS x FROM DiaObject) SELECT x FROM a", "COS"),
    ("SELECT ra FROM DiaObject ORDER BY TAN(dec)", "TAN"),
]
# Columns whose last digits are left open.
FLOAT_SUMS = [
    ("SELECT visit, AVG(psfFlux) AS a FROM DiaSource GROUP BY visit", (2,)),
    ("SELECT SUM(ra), COUNT(*), 2 * SUM(ra + nDiaSources) FROM DiaObject", (1, 3)),
    ("SELECT SUM(visit * 1.5) AS s FROM DiaSource", (1,)),
    (
        "SELECT d.s + 1, d.visit FROM (SELECT visit, SUM(psfFlux) AS s FROM DiaSource GROUP BY visit) AS d",
        (1,),
    ),
    ("WITH d AS (SELECT visit, SUM(psfFlux) AS s FROM DiaSource GROUP BY visit) SELECT * FROM d", (2,)),
    ("SELECT AVG(ra) FROM DiaObject UNION ALL SELECT nDiaSources FROM DiaObject", (1,)),
]
# Sums that decide which rows there are, or their order.
DECIDING = [
    ("SELECT visit FROM DiaSource GROUP BY visit HAVING AVG(psfFlux) > 3", "HAVING"),
    ("SELECT visit, AVG(psfFlux) AS a FROM DiaSource GROUP BY visit ORDER BY a", "the order of rows"),
    ("SELECT visit, AVG(psfFlux) AS a FROM DiaSource GROUP BY visit ORDER BY 2", "the order of rows"),
    ("SELECT ra FROM DiaObject WHERE ra > 3 AND ra IN (SELECT AVG(psfFlux) FROM DiaSource)", "WHERE"),
    ("SELECT DISTINCT AVG(psfFlux) FROM DiaSource GROUP BY visit", "DISTINCT"),
    ("SELECT AVG(ra) FROM DiaObject UNION SELECT nDiaSources FROM DiaObject", "UNION"),
    (
        "SELECT o.ra FROM DiaObject AS o JOIN (SELECT AVG(psfFlux) AS a FROM DiaSource) AS d ON o.ra < d.a",
        "ON",
    ),
    (
        "SELECT d.a FROM (SELECT AVG(psfFlux) AS a FROM DiaSource GROUP BY visit) AS d GROUP BY d.a",
        "GROUP BY",
    ),
]


@pytest.mark.parametrize("text", EXACT)
def test_a_query_over_versioned_tables_is_exact(text: str) -> None:
    guarantee = classify(parse(text), CATALOG)
    assert (guarantee.level, guarantee.reasons) == (Level.EXACT, ())


@pytest.mark.parametrize(("text", "name"), SAME_ENGINE)
def test_what_a_mathematical_library_rounds_is_exact_on_the_same_engine(text: str, name: str) -> None:
    guarantee = classify(parse(text), CATALOG)
    assert guarantee.level is Level.EXACT
    assert f"on the same engine: another one may round {name}() otherwise" in guarantee.reasons


@pytest.mark.parametrize(("text", "level", "reason"), REFUSED)
def test_a3_what_can_change_is_never_called_exact(text: str, level: Level, reason: str) -> None:
    guarantee = classify(parse(text), CATALOG)
    assert guarantee.level is level
    assert re.search(reason, "; ".join(guarantee.reasons))
    # Exact sums make nothing else exact.
    assert classify(parse(text), CATALOG, exact_sums=True).level is level


@pytest.mark.parametrize(("text", "columns"), FLOAT_SUMS)
def test_sums_of_floating_point_numbers_are_told_by_column(text: str, columns: tuple[int, ...]) -> None:
    guarantee = classify(parse(text), CATALOG)
    assert guarantee.level is Level.EXACT_EXCEPT_FLOAT_SUMS
    assert guarantee.approximate_columns == columns
    exact = classify(parse(text), CATALOG, exact_sums=True)
    assert (exact.level, exact.approximate_columns) == (Level.EXACT, ())


@pytest.mark.parametrize(("text", "where"), DECIDING)
def test_a_sum_that_decides_about_rows_leaves_more_open_than_its_column(text: str, where: str) -> None:
    guarantee = classify(parse(text), CATALOG)
    assert guarantee.level is Level.PARTIAL
    assert guarantee.reasons[0].startswith(f"{where} depends on the last digits")
    assert classify(parse(text), CATALOG, exact_sums=True).level is Level.EXACT


def test_a3_as_it_was_written_top_takes_whatever_rows_come_first() -> None:
    for text in ("SELECT TOP 3 ra FROM DiaObject", "SELECT TOP 3 visit FROM DiaSource ORDER BY visit"):
        assert classify(parse(text), CATALOG).level is Level.EXACT
        guarantee = classify(parse(text), CATALOG, as_written=True)
        assert guarantee.level is Level.NONE
        assert "order ORDER BY leaves open" in guarantee.reasons[0]
    complete = parse("SELECT TOP 3 visit FROM DiaSource ORDER BY visit, diaSourceId")
    assert classify(complete, CATALOG, as_written=True).level is Level.EXACT
    unordered = classify(parse("SELECT visit FROM DiaSource"), CATALOG, as_written=True)
    assert unordered.level is Level.PARTIAL


def test_functions_that_come_with_the_dialect_are_known_to_be_pure() -> None:
    text = "SELECT scisql_nanojanskyToAbMag(psfFlux) AS mag FROM DiaSource"
    assert classify(parse(text, dialect=RUBIN), CATALOG).level is Level.EXACT
    assert classify(parse(text), CATALOG).level is Level.NONE


def test_all_reasons_are_given_and_the_worst_one_counts() -> None:
    text = "SELECT RAND() AS r, m.id, AVG(o.ra) AS a FROM TAP_UPLOAD.mine AS m, DiaObject AS o GROUP BY m.id"
    guarantee = classify(parse(text), CATALOG)
    assert guarantee.level is Level.NONE
    assert len(guarantee.reasons) == 3
    assert str(guarantee.level) == "none"


@pytest.mark.parametrize("text", EXACT)
def test_nothing_is_exact_of_a_service_that_versions_nothing(text: str) -> None:
    unversioned = replace(CATALOG, tables=())
    assert classify(parse(text), unversioned).level is Level.PARTIAL
