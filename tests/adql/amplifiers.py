"""Short queries that become large in the database: the reported ones, and generated members of each class."""

# Queries are the subject here; they are run only after translation.
# ruff: noqa: S608

from __future__ import annotations

import random
import re
import resource
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

__all__ = ["DIALECT", "REPORTED", "Laboratory", "amplifiers", "joined", "laboratory"]

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
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    server = EphemeralServer(settings={"shared_buffers": "16MB"})
    # As ulimit -v does: processes that are started from here on inherit it.
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    try:
        with checked_connection(server.url()) as connection:
            install_extensions(connection)
            connection.commit()
            driver = driver_connection(connection)
            create_published_tables(driver)
            driver.execute(_ROWS)
            driver.commit()
        yield Laboratory(server.url())
    finally:
        server.stop()


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
