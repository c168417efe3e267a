"""Short queries that become large in the database: the reported ones, and generated members of each class."""

# Queries are the subject here; they are run only after translation.
# ruff: noqa: S608

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy as sa

from adql import CompiledQuery, Dialect
from tap_query.errors import QueryFailedError
from tap_query.execute import Session, explain, fetch
from tapdb.postgres.engine import checked_connection, driver_connection
from tapdb.postgres.extensions import install_extensions
from tapdb.server.ephemeral import EphemeralServer
from tests.adql.published_tables import create_published_tables

__all__ = ["DIALECT", "REPORTED", "Laboratory", "amplifiers", "joined", "laboratory", "other_amplifiers"]

DIALECT = Dialect(name="wide", case_expressions=True, scalar_subqueries=True)

_OBJECT = "cat.Object"


def _nested(base: str, step: str, levels: int, condition: str = "") -> str:
    text = f"SELECT {base} AS a FROM {_OBJECT}"
    for _ in range(levels):
        text = f"SELECT {step} AS a FROM ({text}) AS q{condition}"
    return text


def _chain(base: str, step: str, count: int, sources: str = "{0}") -> str:
    tables = [f"q0 AS (SELECT {base} AS a FROM {_OBJECT})"]
    for number in range(1, count):
        source = sources.format(f"q{number - 1}", number)
        tables.append(f"q{number} AS (SELECT {step} AS a FROM {source})")
    return f"WITH {', '.join(tables)} SELECT a FROM q{count - 1}"


def joined(count: int, condition: str, kind: str = "JOIN") -> str:
    """Return a chain of joins of one table; `condition` has the numbers of two neighbours in it."""
    joins = (
        f" {kind} {_OBJECT} AS t{number} ON " + condition.format(number - 1, number)
        for number in range(1, count)
    )
    return f"SELECT t0.objectId FROM {_OBJECT} AS t0{''.join(joins)}"


REPORTED = {
    "19 levels of a+a": _nested("coord_ra", "a+a", 19),
    "60 tables of a+a": _chain("coord_ra", "a+a", 60),
    "400 names, 400 times, 400 times": _nested("||".join(["name"] * 400), "||".join(["a"] * 400), 2),
    "30 equi-joins": joined(30, "t{0}.objectId = t{1}.objectId"),
    "20 comma joins": f"SELECT COUNT(*) FROM {', '.join(f'{_OBJECT} AS t{number}' for number in range(20))}",
}

# Each repeats `a` in some way; the database copies it as often.
_STEPS = (
    "a+a",
    "a*a-a",
    "-a-a-a",
    "ABS(a)+SQRT(a)",
    "MOD(a, a)",
    "ROUND(a, 3)+ROUND(a)",
    "POWER(a, a)+ATAN2(a, a)",
    "DISTANCE(a, a, a, a)",
    "COORD1(CENTROID(CIRCLE(POINT(a, a), a)))",
    "CONTAINS(POINT(a, a), CIRCLE(a, a, a))",
    "CONTAINS(POINT(a, 1), BOX(a, a, a, a))",
    "AREA(BOX(a, a, a, a))",
    "AREA(POLYGON(a, a, a, 1, 1, a))",
    "COALESCE(a, a, a)",
    "CAST(a AS INTEGER)+CAST(a AS REAL)",
    "CASE WHEN a > a THEN a ELSE -a END",
    "CASE a WHEN 1 THEN a ELSE a END",
    "CASE WHEN a BETWEEN a AND a THEN a END",
    "CASE WHEN a IN (a, a, a) THEN a END",
    "CASE WHEN DISTANCE(a, a, 1, 2) < 3 THEN a ELSE a END",
    "tap_double(a)+tap_double(a)",
    "(SELECT MAX(psfFlux) FROM cat.Source WHERE ra = a)+a",
)
_TEXTS = (
    "a||a",
    "a||'-'||a||a",
    "LOWER(a)||UPPER(a)",
    "CAST(a AS CHAR(100000))||a",
    "COALESCE(a||a, a)",
    "CASE WHEN a LIKE a||'%' THEN a||a ELSE a END",
    "tap_label(a, 1)||a",
)


def _levels(chance: random.Random) -> str:
    base = chance.choice(("coord_ra", "1.5", "psfFlux + coord_dec"))
    condition = chance.choice(("", " WHERE a > 1", " WHERE a+a > a"))
    return _nested(base, chance.choice(_STEPS), chance.randint(2, 19), condition)


def _tables(chance: random.Random) -> str:
    return _chain("coord_ra", chance.choice(_STEPS), chance.randint(2, 80))


def _named_twice(chance: random.Random) -> str:
    step = chance.choice(("x.a+y.a", "x.a*x.a-y.a*y.a", "COALESCE(x.a, y.a)"))
    join = chance.choice(
        ("JOIN {0} AS y ON x.a = y.a", "FULL JOIN {0} AS y ON x.a = y.a", "CROSS JOIN {0} AS y")
    )
    join = join.replace("CROSS JOIN {0} AS y", "JOIN {0} AS y ON 1 = 1")
    return _chain("coord_ra", step, chance.randint(2, 40), "{0} AS x " + join)


def _merging(chance: random.Random) -> str:
    kind = chance.choice(("FULL JOIN", "LEFT JOIN", "JOIN"))
    natural = chance.random() < 0.5
    join = f"NATURAL {kind} {{0}} AS y" if natural else f"{kind} {{0}} AS y USING (a)"
    return _chain("coord_ra", "a+a", chance.randint(2, 30), "{0} AS x " + join)


def _grouping(chance: random.Random) -> str:
    text = f"SELECT coord_ra AS a FROM {_OBJECT}"
    step = chance.choice(("a+a", "a*a", "ABS(a)-a"))
    for _ in range(chance.randint(2, 19)):
        end = chance.choice((f"GROUP BY {step}", f"ORDER BY {step}", f"GROUP BY {step} HAVING {step} > 1"))
        text = f"SELECT {step} AS a FROM ({text}) AS q {end}"
    return f"SELECT a FROM ({text}) AS q WHERE a > 1"


def _uniting(chance: random.Random) -> str:
    arms = chance.choice((2, 3, 8, 30))
    one = _nested("coord_ra", "a+a", chance.randint(1, 3))
    union = f" {chance.choice(('UNION ALL', 'UNION', 'EXCEPT ALL'))} ".join([one] * arms)
    sums = "+".join(["q.a"] * chance.choice((2, 20, 200, 900)))
    return f"SELECT {sums} AS b FROM ({union}) AS q WHERE {sums} > 1"


def _growing_text(chance: random.Random) -> str:
    base = chance.choice(("name", "'" + "y" * 20_000 + "'", "||".join(["name"] * 300)))
    return _nested(base, chance.choice(_TEXTS), chance.randint(1, 12))


def _growing_text_of_tables(chance: random.Random) -> str:
    base = chance.choice(("name", "'" + "y" * 20_000 + "'"))
    return _chain(base, chance.choice(_TEXTS), chance.randint(2, 40))


def _long_text(chance: random.Random) -> str:
    part = chance.choice(("name", "'x'", "CAST(name AS CHAR(1000000))", "epoch", "CAST(coord_ra AS VARCHAR)"))
    first = chance.choice(("name", "'" + "y" * 300_000 + "'"))
    return f"SELECT {'||'.join([first, *[part] * chance.randint(2, 1400)])} AS a FROM {_OBJECT}"


def _equal(chance: random.Random) -> str:
    condition = chance.choice(
        (
            "t{0}.objectId = t{1}.objectId",
            "t0.objectId = t{1}.objectId",
            "t{0}.coord_ra + t{0}.coord_dec = t{1}.coord_ra + t{1}.coord_dec",
            "t{0}.objectId = t{1}.objectId AND t{0}.name = t{1}.name AND t{0}.coord_ra = t{1}.coord_ra",
            "DISTANCE(t{0}.coord_ra, t{0}.coord_dec, t{1}.coord_ra, t{1}.coord_dec) < 0.01",
            "t{0}.objectId < t{1}.objectId",
        )
    )
    kind = chance.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
    if "=" not in condition:
        kind = "JOIN"
    return joined(chance.randint(6, 40), condition, kind)


def _commas(chance: random.Random) -> str:
    count = chance.randint(6, 40)
    tables = ", ".join(f"{_OBJECT} AS t{number}" for number in range(count))
    same = " AND ".join(f"t{number}.objectId = t{number + 1}.objectId" for number in range(count - 1))
    return f"SELECT COUNT(*) FROM {tables}" + chance.choice(("", f" WHERE {same}"))


def _joins_of_large_values(chance: random.Random) -> str:
    value = "+".join(["coord_ra"] * chance.randint(2, 150))
    one = f"(SELECT {value} AS a FROM {_OBJECT})"
    count = chance.randint(2, 16)
    joins = "".join(
        f" JOIN {one} AS q{number} ON q{number - 1}.a = q{number}.a" for number in range(1, count)
    )
    return f"SELECT q0.a FROM {one} AS q0{joins}"


def _existing(chance: random.Random) -> str:
    count = chance.randint(3, 60)
    side = " AND ".join(
        f"EXISTS (SELECT 1 FROM cat.Source AS s{number} WHERE s{number}.objectId = o.objectId)"
        for number in range(count)
    )
    if chance.random() < 0.5:
        return f"SELECT objectId FROM {_OBJECT} AS o WHERE {side}"
    inner = ""
    for number in range(min(count, 18), 0, -1):
        inner = (
            f" AND EXISTS (SELECT 1 FROM cat.Source AS s{number}"
            f" WHERE s{number}.objectId = s{number - 1}.objectId{inner})"
        )
    return f"SELECT s0.objectId FROM cat.Source AS s0 WHERE s0.ra > 1{inner}"


def _listing(chance: random.Random) -> str:
    choices = ", ".join(["coord_ra", "coord_dec"] * chance.choice((2, 10, 50, 400)))
    value = "+".join(["a"] * chance.choice((1, 5, 20, 200)))
    table = f"(SELECT coord_ra AS a, coord_ra, coord_dec FROM {_OBJECT}) AS q"
    return f"SELECT a FROM {table} WHERE {value} IN ({choices})"


def _patterns(chance: random.Random) -> str:
    pattern = "||".join(["name", "'%'"] * chance.randint(2, 500))
    return f"SELECT name FROM {_OBJECT} WHERE name {chance.choice(('LIKE', 'ILIKE'))} {pattern}"


_CLASSES: tuple[Callable[[random.Random], str], ...] = (
    _levels,
    _tables,
    _named_twice,
    _merging,
    _grouping,
    _uniting,
    _growing_text,
    _growing_text_of_tables,
    _long_text,
    _equal,
    _commas,
    _joins_of_large_values,
    _existing,
    _listing,
    _patterns,
)


def amplifiers(count: int = 200, seed: int = 1) -> list[str]:
    """Return generated queries, of all classes in turn."""
    chance = random.Random(seed)
    return [_CLASSES[number % len(_CLASSES)](chance) for number in range(count)]


# -- the second generator: classes that the first one does not have
# ----------------------------------------------------------------------------------------------------------

_TEN = (
    "objectId",
    "coord_ra",
    "coord_dec",
    "psfFlux",
    "psfFluxErr",
    "flux_count",
    "band",
    "name",
    "epoch",
    "uuid",
)


def _tables_of(count: int) -> str:
    return ", ".join(f"{_OBJECT} AS t{number}" for number in range(count))


def _of_sources(count: int, columns: int = 1) -> str:
    names = ("objectId", "ra", "dec", "psfFlux", "band")[:columns]
    tables = ", ".join(f"cat.Source AS s{number}" for number in range(count))
    same = [f"s{number}.{name} = s{number + 1}.{name}" for number in range(count - 1) for name in names]
    return f"{tables} WHERE {' AND '.join(same) or '1 = 1'}"


def _copied_subqueries(chance: random.Random) -> str:
    conditions = " OR ".join(f"psfFlux = {number}" for number in range(chance.choice((1, 20, 300, 1000))))
    inner = f"SELECT ra AS b FROM cat.Source WHERE {conditions}"
    joins = f"SELECT s0.ra AS b FROM {_of_sources(chance.randint(1, 9), chance.randint(1, 4))}"
    source = chance.choice((inner, joins))
    base = chance.choice(
        (
            f"(SELECT MAX(q.b) FROM ({source}) AS q)",
            f"CASE WHEN EXISTS ({source}) THEN coord_ra END",
            f"CASE WHEN coord_ra IN ({source}) THEN 1.5 ELSE coord_ra END",
        )
    )
    return _nested(base, chance.choice(("a+a", "a*a+a", "COALESCE(a, -a)")), chance.randint(1, 8))


def _correlated(chance: random.Random) -> str:
    value = "o.coord_ra"
    for number in range(chance.randint(1, 12)):
        value = f"(SELECT MAX(s{number}.ra) FROM cat.Source AS s{number} WHERE s{number}.dec > {value})"
    return f"SELECT {'+'.join([value] * chance.choice((1, 2, 5)))} AS a FROM {_OBJECT} AS o"


def _equations(chance: random.Random) -> str:
    count = chance.randint(2, 24)
    form = chance.choice(
        ("t{0}.coord_ra+{2} = t{1}.coord_ra+{2}", "t{0}.{3} = t{1}.{3}", "t0.{3} = t{1}.{3}")
    )
    each = chance.choice((1, 2, 3, 5, 10, 20, 50)) if "+" in form else chance.randint(1, 10)
    conditions = [
        " AND ".join(form.format(number - 1, number, of, _TEN[of % 10]) for of in range(each))
        for number in range(1, count)
    ]
    kind = chance.choice(("", "JOIN", "LEFT JOIN", "FULL JOIN"))
    if not kind:
        return f"SELECT COUNT(*) FROM {_tables_of(count)} WHERE {' AND '.join(conditions)}"
    joins = (f" {kind} {_OBJECT} AS t{number} ON {of}" for number, of in enumerate(conditions, 1))
    return f"SELECT t0.coord_ra FROM {_OBJECT} AS t0{''.join(joins)}"


def _merged_columns(chance: random.Random) -> str:
    kind = chance.choice(("JOIN", "LEFT JOIN", "FULL JOIN"))
    if chance.random() < 0.5:
        joins = "".join(
            f" NATURAL {kind} cat.Source AS t{number}" for number in range(1, chance.randint(2, 24))
        )
        return f"SELECT * FROM cat.Source AS t0{joins}"
    names = ", ".join(_TEN[: chance.randint(1, 10)])
    joins = "".join(
        f" {kind} {_OBJECT} AS t{number} USING ({names})" for number in range(1, chance.randint(2, 24))
    )
    return f"SELECT objectId FROM {_OBJECT} AS t0{joins}"


def _inequalities(chance: random.Random) -> str:
    count = chance.randint(2, 24)
    form = chance.choice(
        (
            "t{0}.coord_ra < t{1}.coord_ra",
            "t{0}.coord_ra + t{1}.coord_dec > {2}",
            "(t{0}.objectId = t{1}.objectId OR t{0}.coord_ra = t{1}.coord_ra)",
            "DISTANCE(t{0}.pos, t{1}.pos) < {2}",
            "t{0}.name LIKE t{1}.name",
        )
    )
    pairs = [(chance.randrange(count), chance.randrange(count)) for _ in range(chance.choice((10, 100, 400)))]
    conditions = (form.format(one, other, number) for number, (one, other) in enumerate(pairs))
    return f"SELECT COUNT(*) FROM {_tables_of(count)} WHERE {' AND '.join(conditions)}"


def _many_searches(chance: random.Random) -> str:
    count = chance.randint(2, 24)
    many = 96 // count
    one = f"SELECT s0.ra AS a FROM {_of_sources(count, chance.randint(1, 5))}"
    if chance.random() < 0.5:
        return f" {chance.choice(('UNION ALL', 'UNION', 'EXCEPT'))} ".join([one] * many)
    outputs = (f"(SELECT MAX(q.a) FROM ({one}) AS q) AS c{number}" for number in range(many))
    return f"SELECT {', '.join(outputs)} FROM {_OBJECT}"


def _many_terms(chance: random.Random) -> str:
    value = "+".join(["coord_ra"] * chance.choice((1, 2, 8)))
    terms = [f"{value}+{number}" for number in range(chance.choice((20, 100, 220, 800)))]
    text = ", ".join(terms)
    return chance.choice(
        (
            f"SELECT coord_ra FROM {_OBJECT} ORDER BY {text}",
            f"SELECT COUNT(*) FROM {_OBJECT} GROUP BY {text}",
            f"SELECT DISTINCT {text} FROM {_OBJECT}",
            f"SELECT {text} FROM {_OBJECT} UNION SELECT {text} FROM {_OBJECT}",
            f"SELECT {', '.join(f'SUM({of})' for of in terms)} FROM {_OBJECT}",
            f"SELECT {value} AS a FROM {_OBJECT} ORDER BY {'+'.join(['a'] * len(terms))}",
        )
    )


def _conditions(chance: random.Random) -> str:
    many = chance.choice((50, 300, 700))
    form = chance.choice(
        (
            "objectId = {0}",
            "objectId = {0} AND coord_ra = {0}",
            "(objectId = {0} OR coord_ra = {0} OR name = '{0}')",
            "name LIKE '%n%{0}%'",
            "objectId > coord_ra + {0}",
            "NOT (objectId = {0} AND (coord_ra < {0} OR NOT coord_dec > {0}))",
        )
    )
    word = chance.choice((" OR ", " AND "))
    conditions = [f"({form})".format(number) for number in range(many)]
    text, deep = word.join(conditions), word.join(conditions[:40])
    for number in range(chance.randint(1, 40)):
        deep = f"(NOT ({deep}) AND coord_dec = {number} OR objectId = {number})"
    return f"SELECT objectId FROM {_OBJECT} WHERE {chance.choice((text, deep))}"


def _shapes(chance: random.Random) -> str:
    long = "+".join(["coord_ra"] * chance.choice((1, 10, 60)))
    shape = chance.choice(
        (
            f"CIRCLE({long}, coord_dec, 1)",
            f"POINT({long}, {long})",
            f"BOX(1, {long}, 1, {long})",
            f"POLYGON({long}, 1, 1, 2, {long}, 4)",
            f"CENTROID(BOX({long}, {long}, 1, 1))",
        )
    )
    outer = chance.choice(
        (
            ", ".join(f"a AS c{number}" for number in range(chance.choice((2, 20, 80, 200)))),
            "+".join(["AREA(a)"] * chance.choice((1, 5, 50))),
            "+".join(["INTERSECTS(a, CIRCLE(1, 2, AREA(a)))"] * chance.choice((1, 5, 50))),
        )
    )
    return f"SELECT {outer} FROM (SELECT {shape} AS a FROM {_OBJECT}) AS q"


def _boxes(chance: random.Random) -> str:
    step = chance.choice(
        (
            "AREA(BOX(1, a, 1, 1))",
            "AREA(BOX(1, 1, a, a))",
            "CONTAINS(POINT(1, a), BOX(1, a, 1, a))",
            "COORD2(CENTROID(BOX(a, a, 1, 1)))",
            "DISTANCE(POINT(a, a), CENTROID(CIRCLE(POINT(a, a), a)))",
            "INTERSECTS(BOX(1, a, a, 1), BOX(a, 1, 1, a))",
        )
    )
    return _nested("+".join(["coord_ra"] * chance.choice((1, 5, 40, 300))), step, chance.randint(1, 5))


def _lists_in_joins(chance: random.Random) -> str:
    count = chance.randint(1, 12)
    name = chance.choice(("objectId", "coord_ra", "name"))
    many = 9_000 // count
    values = ", ".join(f"'{number}'" if name == "name" else str(number) for number in range(many))
    conditions = (
        f"t{number}.{name} = t0.{name} AND t{number}.{name} IN ({values})" for number in range(count)
    )
    return f"SELECT COUNT(*) FROM {_tables_of(count)} WHERE {' AND '.join(conditions)}"


def _repeated_inside(chance: random.Random) -> str:
    value = "flux_count"
    form = chance.choice(
        (
            "tap_double({0})",
            "CASE WHEN {0} IN (1, 1.5) THEN 1 END",
            "CASE WHEN {0} BETWEEN 1 AND 2 THEN 1 ELSE 2 END",
            "CASE WHEN DISTANCE({0}, 1, 2, 3) < 4 THEN 1 ELSE 2 END",
            "POWER({0}, {0})",
            "MOD({0}, 3)",
            "CAST(CAST({0} AS REAL) AS INTEGER)",
            "COALESCE({0}, 1, 2.5)",
        )
    )
    for _ in range(chance.randint(1, 40)):
        if len(value) < 30_000:
            value = form.format(value)
    return f"SELECT {value} AS a FROM {_OBJECT}"


def _texts_of_rows(chance: random.Random) -> str:
    step = chance.choice(
        (
            "MIN(a)||MAX(a)",
            "UPPER(a||a)",
            "CAST(a||a AS VARCHAR(9000000))",
            "COALESCE(UPPER(a), a||a)||LOWER(a)",
        )
    )
    text = f"SELECT name AS a FROM {_OBJECT}"
    for _ in range(chance.randint(2, 18)):
        text = f"SELECT {step} AS a FROM ({text}) AS q"
    if "MIN" in step or chance.random() < 0.5:
        return text
    return f"SELECT a FROM ({text}) AS q GROUP BY a, a||'x' ORDER BY a||'y'"


_OTHER_CLASSES: tuple[Callable[[random.Random], str], ...] = (
    _copied_subqueries,
    _correlated,
    _equations,
    _merged_columns,
    _inequalities,
    _many_searches,
    _many_terms,
    _conditions,
    _shapes,
    _boxes,
    _lists_in_joins,
    _repeated_inside,
    _texts_of_rows,
)


def other_amplifiers(count: int = 130, seed: int = 1) -> list[str]:
    """Return generated queries of other classes than `amplifiers`, of all of them in turn."""
    chance = random.Random(seed)
    return [_OTHER_CLASSES[number % len(_OTHER_CLASSES)](chance) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A server whose processes get no more than some memory, with the tables of the small service.

    Parameters
    ----------
    url
        Its database.
    """

    url: sa.URL

    def cost(
        self, compiled: CompiledQuery, *, run: bool = False, timeout_ms: int = 20_000
    ) -> tuple[float, float]:
        """Return the megabytes above an idle backend and the milliseconds of EXPLAIN, or of running a query.

        Raises
        ------
        QueryFailedError
            Raised if the database refuses the query, or has no memory or time for it.
        """
        session = Session(timeout_ms=timeout_ms)
        with psycopg.connect(_target(self.url)) as driver:
            process = Path(f"/proc/{driver.info.backend_pid}/status")
            idle = _peak(process)
            start = time.perf_counter()
            if run:
                fetch(driver, compiled, max_rows=10, session=session)
            else:
                explain(driver, compiled, analyze=False, session=session)
            return _peak(process) - idle, 1000 * (time.perf_counter() - start)

    def fails(self, compiled: CompiledQuery, *, run: bool = False) -> str | None:
        """Return the SQLSTATE with which the database gives a query up, or None."""
        try:
            self.cost(compiled, run=run)
        except QueryFailedError as error:
            return error.sqlstate
        return None


@contextmanager
def laboratory(megabytes: int) -> Iterator[Laboratory]:
    """Start a server each of whose processes gets so much memory, shared memory included."""
    server = EphemeralServer(settings={"shared_buffers": "16MB"})
    with server:
        assert server.directory is not None
        (pid_file,) = server.directory.rglob("postmaster.pid")
        # As ulimit -v does, for the processes that this one starts from here on; its owner may set it.
        limit = ["prlimit", "--pid", pid_file.read_text().split()[0], f"--as={megabytes << 20}:"]
        owner = pid_file.owner()
        subprocess.run(limit if os.geteuid() else ["runuser", "-u", owner, "--", *limit], check=True)
        with checked_connection(server.url()) as connection:
            install_extensions(connection)
            connection.commit()
            driver = driver_connection(connection)
            create_published_tables(driver)
            driver.execute(_ROWS)
            driver.commit()
        yield Laboratory(server.url())


_ROWS = """
INSERT INTO cat."Object" ("objectId", coord_ra, coord_dec, "psfFlux", name)
SELECT n, n, n, n, repeat('n', 20) FROM generate_series(1, 20) AS n;
CREATE INDEX ON cat."Object" ("objectId");
CREATE INDEX ON cat."Object" ("objectId", coord_ra);
CREATE INDEX ON cat."Object" ("objectId", "psfFlux");
CREATE INDEX ON cat."Object" ("objectId", band);
CREATE INDEX ON cat."Object" (band, "objectId");
CREATE INDEX ON cat."Object" (coord_ra);
CREATE INDEX ON cat."Object" (name, "objectId");
CREATE INDEX ON cat."Source" ("objectId");
ANALYZE;
"""


def _target(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _peak(process: Path) -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB", process.read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
