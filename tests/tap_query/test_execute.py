"""The one executor: rows as they come, limits of the session, and whose fault a failure is."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adql import CompiledQuery, OutputColumn, Search
from tap_query.errors import QueryFailedError
from tap_query.execute import Session, execute, execute_async, explain, fetch

Driver = psycopg.Connection[Any]


def compiled(sql: str, *parameters: Any, types: tuple[str, ...] = ()) -> CompiledQuery:
    return CompiledQuery(sql, parameters, types, (OutputColumn("x", "int"),))


SERIES = compiled("SELECT n FROM generate_series(1, 5) AS n")


@pytest.fixture
def dsn(database_url: sa.URL) -> str:
    return database_url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def driver(dsn: str) -> Any:
    with psycopg.connect(dsn) as connection:
        yield connection


@pytest.mark.parametrize(
    ("max_rows", "wanted", "overflow"), [(None, 5, False), (5, 5, False), (4, 4, True), (0, 0, True)]
)
def test_all_ways_give_the_same_rows_and_say_whether_there_are_more(
    max_rows: int | None, wanted: int, *, overflow: bool, driver: Driver, dsn: str
) -> None:
    expected = ([(number,) for number in range(1, wanted + 1)], overflow)
    result = fetch(driver, SERIES, max_rows=max_rows)
    assert (result.rows, result.overflow) == expected
    with execute(driver, SERIES, max_rows=max_rows) as stream:
        assert (list(stream), stream.overflow) == expected

    async def collect() -> tuple[list[tuple[Any, ...]], bool]:
        async with (
            await psycopg.AsyncConnection.connect(dsn) as connection,
            execute_async(connection, SERIES, max_rows=max_rows) as rows,
        ):
            return [row async for row in rows], rows.overflow

    assert asyncio.run(collect()) == expected


def test_the_first_rows_are_there_before_the_last_are_computed(driver: Driver) -> None:
    slow = compiled("SELECT n FROM generate_series(1, 100000) AS n WHERE n <= 5000 OR pg_sleep(0.01) IS NULL")
    start = time.monotonic()
    with execute(driver, slow, max_rows=None) as stream:
        assert next(iter(stream)) == (1,)
    # The rest would take a quarter of an hour: leaving the block has stopped it.
    assert time.monotonic() - start < 30
    driver.rollback()
    assert driver.execute("SELECT 1").fetchone() == (1,)


def test_a_large_result_takes_no_memory(driver: Driver) -> None:
    wide = compiled("SELECT repeat('x', 1000) || n FROM generate_series(1, 100000) AS n")
    tracemalloc.start()
    with execute(driver, wide, max_rows=None) as stream:
        assert sum(1 for _ in stream) == 100_000
    streamed = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    # The control: all rows at once are a hundred megabytes.
    assert len(fetch(driver, wide, max_rows=None).rows) == 100_000
    fetched = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert streamed < 10_000_000
    assert fetched > 90_000_000


def test_settings_hold_for_the_query_and_end_with_its_transaction(driver: Driver) -> None:
    shown = compiled(
        "SELECT current_setting(name) FROM unnest(ARRAY['transaction_read_only', 'TimeZone', "
        "'statement_timeout', 'join_collapse_limit']) AS name"
    )
    session = Session(timeout_ms=7000, settings={"join_collapse_limit": "3"})
    rows = fetch(driver, shown, max_rows=None, session=session).rows
    assert [value for (value,) in rows] == ["on", "UTC", "7s", "3"]
    driver.rollback()
    rows = driver.execute(shown.sql).fetchall()
    assert rows[0] == ("off",)
    assert rows[3] == ("8",)


def test_a_transaction_that_is_open_can_go_on_to_write(driver: Driver) -> None:
    fetch(driver, SERIES, max_rows=None, session=Session(read_only=False))
    driver.execute("CREATE TABLE made_afterwards (n int)")
    with pytest.raises(QueryFailedError, match="read-only"):
        fetch(driver, compiled("DELETE FROM made_afterwards RETURNING 1"), max_rows=None)


@pytest.mark.parametrize(
    ("text", "fault", "sqlstate"),
    [
        ("SELECT 1 / (n - 1) FROM generate_series(1, 2) AS n", "user", "22012"),
        ("SELECT ln(-n) FROM generate_series(1, 2) AS n", "user", "2201E"),
        ("SELECT pg_sleep(20)", "time", "57014"),
        ("SELECT n FROM no_such_table", "service", "42P01"),
        ("SELECT rolpassword FROM pg_authid", "service", "42501"),
    ],
)
def test_a_failure_says_whose_it_is(text: str, fault: str, sqlstate: str, driver: Driver) -> None:
    if sqlstate == "42501":
        driver.execute("SET ROLE pg_monitor")
    with (
        pytest.raises(QueryFailedError) as caught,
        execute(driver, compiled(text), max_rows=None, session=Session(timeout_ms=200)) as stream,
    ):
        list(stream)
    assert (caught.value.fault, caught.value.sqlstate) == (fault, sqlstate)
    assert len(str(caught.value).splitlines()) == 1


def test_a_constant_keeps_the_type_that_was_promised(driver: Driver) -> None:
    types = compiled(
        "SELECT pg_typeof($1)::text, pg_typeof($2)::text", 7, 7, types=("bigint", "double precision")
    )
    assert fetch(driver, types, max_rows=None).rows == [("bigint", "double precision")]


def test_a_query_is_stopped_from_another_thread(driver: Driver) -> None:
    timer = threading.Timer(0.3, driver.cancel_safe)
    timer.start()
    start = time.monotonic()
    with pytest.raises(QueryFailedError) as caught:
        fetch(driver, compiled("SELECT pg_sleep(60)"), max_rows=None)
    timer.join()
    assert caught.value.sqlstate == "57014"
    assert time.monotonic() - start < 30


RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(59.5)' AND state = 'active'"


def test_a_cancelled_task_stops_its_query_in_the_database(dsn: str) -> None:
    async def ask() -> None:
        async with (
            await psycopg.AsyncConnection.connect(dsn) as connection,
            execute_async(connection, compiled("SELECT pg_sleep(59.5)"), max_rows=None) as rows,
        ):
            async for _ in rows:
                pass

    async def becomes(watcher: psycopg.AsyncConnection[Any], wanted: int) -> bool:
        for _ in range(200):
            if await (await watcher.execute(RUNNING)).fetchone() == (wanted,):
                return True
            await asyncio.sleep(0.1)
        return False

    async def start_and_cancel() -> tuple[bool, bool]:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watcher:
            task = asyncio.create_task(ask())
            started = await becomes(watcher, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return started, await becomes(watcher, 0)

    assert asyncio.run(start_and_cancel()) == (True, True)


def test_a_plan_is_text_or_json(driver: Driver) -> None:
    assert explain(driver, SERIES, analyze=False).startswith("Function Scan")
    assert '"Actual Rows": 5' in explain(driver, SERIES, analyze=True, as_json=True)


@pytest.mark.parametrize(
    ("search", "threshold"), [(Search.FULL, "12"), (Search.SOME, "4"), (Search.FEW, "2")]
)
def test_the_planner_tries_few_orders_where_all_cost_too_much(
    search: Search, threshold: str, driver: Driver
) -> None:
    shown = replace(compiled("SELECT current_setting('geqo_threshold')"), search=search)
    assert fetch(driver, shown, max_rows=None).rows == [(threshold,)]
    driver.rollback()
    session = Session(settings={"geqo_threshold": "20"})
    assert fetch(driver, shown, max_rows=None, session=session).rows == [("20",)]
