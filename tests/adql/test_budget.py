"""What the database makes of a short query stays small: fenced or refused, on a server under a cap."""

# Queries are the subject here; they are run only after translation.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from time import process_time

import pytest

from adql import RUBIN, STRICT, AdqlLimitError, CompiledQuery, Dialect, Limits, Search, parse, to_postgres
from tap_query.execute import fetch
from tapdb.postgres.engine import checked_connection, driver_connection
from tests.adql.amplifiers import (
    DIALECT,
    REPORTED,
    Laboratory,
    amplifiers,
    joined,
    laboratory,
    other_amplifiers,
)
from tests.adql.published_tables import METADATA

_CAP_MB = 450
_LARGEST_MB, _LONGEST_MS = 200, 2_000
_UNBOUNDED = Limits(max_expanded=10**40, max_made_text=10**40, max_joined=10**6)
_OUT_OF_MEMORY = "53200"
_SUM = "+".join(["coord_ra"] * 200)


def compiled(text: str, limits: Limits | None = None) -> CompiledQuery:
    """Return a query of the small service for PostgreSQL."""
    return to_postgres(parse(text, dialect=DIALECT), METADATA, limits or Limits(max_rows=100))


@pytest.fixture(scope="module")
def capped() -> Iterator[Laboratory]:
    """Return a server of its own whose processes get little memory."""
    with laboratory(_CAP_MB) as server:
        yield server


@pytest.mark.parametrize("name", REPORTED)
def test_a_reported_amplifier_is_refused_or_planned_within_the_bounds(name: str, capped: Laboratory) -> None:
    try:
        query = compiled(REPORTED[name])
    except AdqlLimitError as error:
        assert error.line == 1  # noqa: PT017
        assert error.hint  # noqa: PT017
        return
    megabytes, milliseconds = capped.cost(query)
    assert megabytes <= _LARGEST_MB
    assert milliseconds <= _LONGEST_MS


@pytest.mark.parametrize("name", ["19 levels of a+a", "60 tables of a+a", "400 names, 400 times, 400 times"])
def test_without_the_budget_a_reported_amplifier_exceeds_the_cap(name: str, capped: Laboratory) -> None:
    assert capped.fails(compiled(REPORTED[name], _UNBOUNDED)) == _OUT_OF_MEMORY


def test_without_the_budget_and_its_session_joins_exceed_the_cap(capped: Laboratory) -> None:
    same = " AND ".join(f"t{{0}}.{name} = t{{1}}.{name}" for name in ("objectId", "name", "coord_ra"))
    assert capped.fails(replace(compiled(joined(60, same), _UNBOUNDED), search=Search.FULL)) == _OUT_OF_MEMORY


def test_generated_amplifiers_are_refused_or_stay_within_the_bounds(capped: Laboratory) -> None:
    accepted = 0
    beyond = []
    for text in amplifiers(200):
        try:
            query = compiled(text)
        except AdqlLimitError:
            continue
        accepted += 1
        for run in (False, "||" in text) if "||" in text else (False,):
            megabytes, milliseconds = capped.cost(query, run=run)
            if megabytes > _LARGEST_MB or milliseconds > _LONGEST_MS:
                beyond.append((round(megabytes), round(milliseconds), text))
    assert beyond == []
    # A budget that refused all would stay within any bound.
    assert 100 < accepted < 190


@pytest.mark.parametrize("seed", [2, 5])
def test_amplifiers_of_the_second_generator_are_refused_or_stay_within_the_bounds(
    seed: int, capped: Laboratory
) -> None:
    accepted = 0
    beyond = []
    for text in other_amplifiers(26, seed):
        try:
            query = compiled(text)
        except AdqlLimitError:
            continue
        accepted += 1
        megabytes, milliseconds = capped.cost(query)
        if megabytes > _LARGEST_MB or milliseconds > _LONGEST_MS:
            beyond.append((round(megabytes), round(milliseconds), text))
    assert beyond == []
    assert 15 < accepted < 26


def _equations(tables: int, each: int) -> str:
    """Return chained joins with several equations between neighbours."""
    same = " AND ".join(f"t{{0}}.coord_ra + {of} = t{{1}}.coord_ra + {of}" for of in range(each))
    return joined(tables, same)


@pytest.mark.parametrize(("tables", "each"), [(2, 300), (4, 100), (6, 60), (8, 40), (24, 15)])
def test_many_equations_between_tables_are_planned_within_the_bounds(
    tables: int, each: int, capped: Laboratory
) -> None:
    megabytes, milliseconds = capped.cost(compiled(_equations(tables, each)))
    assert megabytes <= _LARGEST_MB
    assert milliseconds <= _LONGEST_MS


def test_without_the_session_many_equations_exceed_the_cap(capped: Laboratory) -> None:
    query = compiled(_equations(6, 60))
    assert query.search == Search.FEW
    assert capped.fails(replace(query, search=Search.FULL)) == _OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("tables", "each", "search"),
    [
        (2, 3, Search.FULL),
        (5, 3, Search.FULL),
        (8, 2, Search.FULL),
        (9, 1, Search.SOME),
        (20, 1, Search.SOME),
    ],
)
def test_joins_of_usual_size_are_searched_as_before(tables: int, each: int, search: Search) -> None:
    assert compiled(_equations(tables, each)).search == search


def _inequalities(tables: int, count: int) -> str:
    sources = ", ".join(f"cat.Object AS t{number}" for number in range(tables))
    pairs = ((of % tables, (of * 5 + 1 + of // tables) % tables) for of in range(count))
    return f"SELECT COUNT(*) FROM {sources} WHERE " + " AND ".join(
        f"t{one}.coord_ra < t{other}.coord_ra" for one, other in pairs
    )


def test_many_tables_with_many_inequalities_are_refused(capped: Laboratory) -> None:
    # Each is a way to use an index: 24 tables with 60 of them take minutes and gigabytes.
    with pytest.raises(AdqlLimitError, match="no equations"):
        compiled(_inequalities(24, 60))
    for tables, count in ((24, 30), (8, 400)):
        megabytes, milliseconds = capped.cost(compiled(_inequalities(tables, count)))
        assert megabytes <= _LARGEST_MB
        assert milliseconds <= _LONGEST_MS


_ORS = " OR ".join(f"psfFlux = {number}" for number in range(1000))
_INSIDE = f"SELECT ra AS b FROM cat.Source WHERE {_ORS}"


@pytest.mark.parametrize(
    "base",
    [
        f"(SELECT MAX(s.b) FROM ({_INSIDE}) AS s)",
        f"CASE WHEN EXISTS (SELECT 1 FROM ({_INSIDE}) AS s) THEN coord_ra END",
        f"CASE WHEN coord_ra IN (SELECT s.b FROM ({_INSIDE}) AS s) THEN coord_ra END",
    ],
)
def test_what_a_copied_subquery_reads_is_counted_with_each_copy(base: str, capped: Laboratory) -> None:
    text = nested(6).replace("coord_ra", base, 1)
    megabytes, _ = capped.cost(compiled(text))
    assert megabytes <= 50
    assert capped.fails(compiled(text.replace("a+a", "a+a+a"), _UNBOUNDED)) == _OUT_OF_MEMORY


def test_without_the_budget_generated_amplifiers_exceed_the_cap(capped: Laboratory) -> None:
    grown = [text for text in amplifiers(200) if _refused_or_fenced(text)]
    assert len(grown) > 50
    chains = [text for text in grown if text.count("AS (SELECT") > 30 and not re.search(r"JOIN|\|\|", text)]
    assert capped.fails(compiled(chains[0], _UNBOUNDED)) == _OUT_OF_MEMORY


def _refused_or_fenced(text: str) -> bool:
    try:
        sql = compiled(text).sql
    except AdqlLimitError:
        return True
    return " OFFSET 0" in sql or " MATERIALIZED " in sql


def nested(levels: int, step: str = "a+a") -> str:
    """Return subqueries inside subqueries."""
    text = "SELECT coord_ra AS a FROM cat.Object"
    for _ in range(levels):
        text = f"SELECT {step} AS a FROM ({text}) AS q"
    return text


def test_a_query_of_usual_size_gets_no_fence() -> None:
    sql = compiled(f"WITH w AS ({nested(3)}) SELECT a FROM w WHERE a > 1").sql
    assert "OFFSET" not in sql
    assert "MATERIALIZED" not in sql


def test_large_subqueries_are_fenced_and_small_ones_stay_open() -> None:
    sql = compiled(nested(19)).sql
    assert 1 <= sql.count(" OFFSET 0)") <= 5


def test_large_tables_of_with_are_fenced() -> None:
    assert 5 <= compiled(REPORTED["60 tables of a+a"]).sql.count(" AS MATERIALIZED (") <= 15


def test_a_subquery_with_top_is_a_fence_already() -> None:
    sql = compiled(nested(19).replace("SELECT a+a", "SELECT TOP 5 a+a")).sql
    assert " OFFSET 0" not in sql


def test_a_fence_changes_no_row(capped: Laboratory) -> None:
    text = nested(12)
    plain = compiled(text)
    fenced = compiled(text, Limits(max_expanded=2_000))
    assert "OFFSET 0" in fenced.sql
    assert "OFFSET 0" not in plain.sql
    with checked_connection(capped.url) as connection:
        driver = driver_connection(connection)
        found = [sorted(fetch(driver, query, max_rows=None).rows) for query in (plain, fenced)]
    assert found[0] == found[1] != []


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        (f"SELECT {'||'.join(['name'] * 1400)} AS a FROM cat.Object", 8, "CAST to a shorter VARCHAR"),
        (
            f"SELECT 1 FROM cat.Object AS t0{''.join(f', cat.Object AS t{n}' for n in range(1, 40))}",
            1,
            "join fewer tables",
        ),
        (
            f"SELECT 1 FROM cat.Object WHERE {_SUM} IN ({', '.join(['coord_dec'] * 200)})",
            1832,
            "compute a value once",
        ),
    ],
)
def test_a_refusal_names_the_place_and_the_way_out(text: str, column: int, hint: str) -> None:
    with pytest.raises(AdqlLimitError) as caught:
        compiled(text)
    assert caught.value.line == 1
    assert caught.value.column == column
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT {', '.join(f'coord_ra + {n} AS c{n}' for n in range(300))} FROM cat.Object",
        f"SELECT coord_ra FROM cat.Object WHERE objectId IN ({', '.join(map(str, range(1000)))})",
        f"SELECT coord_ra FROM cat.Object WHERE name IN ({', '.join(repr(str(n)) for n in range(1000))})",
        f"SELECT coord_ra FROM cat.Object WHERE {' OR '.join(f'objectId = {n}' for n in range(1000))}",
        "WITH "
        + ", ".join(f"w{n} AS (SELECT objectId FROM cat.Object WHERE flux_count = {n})" for n in range(20))
        + " SELECT w0.objectId FROM w0 "
        + " ".join(f"JOIN w{n} ON w{n}.objectId = w0.objectId" for n in range(1, 20)),
        "SELECT * FROM (SELECT * FROM (SELECT * FROM cat.Object) AS a) AS b ORDER BY coord_ra",
        " UNION ALL ".join(["SELECT objectId FROM cat.Object"] * 90),
    ],
)
def test_an_honest_query_of_some_size_is_left_alone(text: str) -> None:
    sql = compiled(text).sql
    assert " OFFSET 0" not in sql
    assert " MATERIALIZED " not in sql


@pytest.mark.parametrize(
    ("function", "dialect"), [("tap_double", DIALECT), ("scisql_nanojanskyToAbMag", RUBIN), ("ABS", STRICT)]
)
def test_calls_inside_calls_are_translated_in_linear_time(function: str, dialect: Dialect) -> None:
    # Each argument is looked at once: twice would be 2 to the power of 60.
    text = f"SELECT {f'{function}(' * 60}coord_ra{')' * 60} AS a FROM cat.Object"
    start = process_time()
    to_postgres(parse(text, dialect=dialect), METADATA)
    assert process_time() - start < 20


@pytest.mark.parametrize(
    "step",
    [
        "CASE WHEN {0} IN (1, 1.5) THEN 1 END",
        "CASE WHEN {0} IN (1, coord_ra) THEN 1 END",
        "CASE WHEN {0} BETWEEN 1 AND 2 THEN 1 END",
        "CASE WHEN DISTANCE({0}, 1, 2, 3) < 4 THEN 1 END",
    ],
)
def test_what_the_translation_repeats_does_not_grow_with_each_level(step: str) -> None:
    value = "flux_count"
    for _ in range(40):
        value = step.format(value)
    start = process_time()
    with pytest.raises(AdqlLimitError):
        compiled(f"SELECT {value} AS a FROM cat.Object")
    assert process_time() - start < 20


def test_order_by_counts_outputs_in_place_of_their_names() -> None:
    long, names = "+".join(["coord_ra"] * 600), "+".join(["a"] * 600)
    start = process_time()
    with pytest.raises(AdqlLimitError, match="in place of their names") as caught:
        compiled(f"SELECT {long} AS a FROM cat.Object ORDER BY {names}")
    assert process_time() - start < 20
    assert caught.value.line == 1
    compiled(f"SELECT {long} AS a FROM cat.Object ORDER BY a, a + 1, ABS(a)")


def test_a_view_counts_with_each_mention_and_each_column() -> None:
    table = next(of for of in METADATA.tables if of.name == ("other", "Object"))
    known = METADATA.with_tables([replace(table, name=("big", "Shown"), nodes=1_200)])

    def translate(text: str) -> None:
        to_postgres(parse(text), known)

    translate("SELECT * FROM big.Shown AS v0" + "".join(f", big.Shown AS v{of}" for of in range(1, 6)))
    translate(f"SELECT note FROM big.Shown WHERE objectId IN ({', '.join(map(str, range(1000)))})")
    for text in (
        " UNION ALL ".join(["SELECT note FROM big.Shown"] * 60),
        f"SELECT note FROM big.Shown WHERE {' AND '.join(f'objectId > {of}' for of in range(500))}",
    ):
        with pytest.raises(AdqlLimitError):
            translate(text)


def test_the_budget_is_counted_in_linear_time() -> None:
    def seconds(levels: int) -> float:
        text = nested(levels, "+".join(["a"] * 50))
        times = []
        for _ in range(5):
            start = process_time()
            compiled(text, _UNBOUNDED)
            times.append(process_time() - start)
        return min(times)

    # 50 to the power of 20 operations after expansion, which nobody counts one by one.
    assert seconds(20) < 4 * seconds(10)
