"""As-of queries are planned as if the subqueries were not there: they use the indexes of both partitions."""

# ruff: noqa: S608  queries are the subject here

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from adql import Server, parse, to_postgres
from benchmarks.ppdb.capturing import capturing_figures
from ppdb_replay.rewriting.as_of import as_of
from tests.ppdb_replay.changing_ppdb import Archive

IDS = ", ".join(str(1000 * number) for number in range(1, 101))
NEAR = "CONTAINS(POINT(o.ra, o.dec), CIRCLE(11, -4, 0.1)) = 1"


def scans(archive: Archive, text: str) -> dict[str, set[str]]:
    """Return which sorts of scan a plan has, by relation, if PostgreSQL avoids reading whole tables."""
    query = as_of(parse(text), archive.copies[2].snapshot, archive.catalog)
    compiled = to_postgres(query, archive.catalog.metadata, server=Server(inline=True))
    with archive.connection.transaction(force_rollback=True):
        archive.connection.execute("SET LOCAL enable_seqscan = off")
        cursor = psycopg.RawCursor(archive.connection)
        ((plan,),) = cursor.execute(f"EXPLAIN (FORMAT JSON) {compiled.sql}").fetchall()
    found: dict[str, set[str]] = {}
    waiting: list[dict[str, Any]] = [plan[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if "Relation Name" in node:
            found.setdefault(node["Relation Name"], set()).add(node["Node Type"])
    return found


@pytest.mark.parametrize(
    ("text", "relations"),
    [
        ("SELECT o.ra FROM DiaObject AS o WHERE o.diaObjectId = 10000", {"DiaObject", "DiaObject_closed"}),
        (
            f"SELECT midpointMjdTai, psfFlux FROM DiaSource WHERE diaObjectId IN ({IDS})",
            {"DiaSource", "DiaSource_closed"},
        ),
        (f"SELECT o.diaObjectId FROM DiaObject AS o WHERE {NEAR}", {"DiaObject", "DiaObject_closed"}),
        (
            (
                "SELECT o.diaObjectId, s.psfFlux FROM DiaObject AS o JOIN DiaSource AS s"
                f" ON s.diaObjectId = o.diaObjectId WHERE {NEAR}"
            ),
            {"DiaObject", "DiaObject_closed", "DiaSource", "DiaSource_closed"},
        ),
    ],
    ids=["by id", "light curves of 100 objects", "cone", "light curves in a cone"],
)
def test_no_table_is_read_whole(text: str, relations: set[str], ppdb_archive: Archive) -> None:
    found = scans(ppdb_archive, text)
    assert set(found) == relations
    assert not any("Seq Scan" in kinds for kinds in found.values()), found


def test_a_cone_reads_only_those_ended_versions_at_its_place_that_a_snapshot_saw(
    ppdb_archive: Archive,
) -> None:
    query = as_of(
        parse(f"SELECT o.diaObjectId FROM DiaObject AS o WHERE {NEAR}"),
        ppdb_archive.copies[2].snapshot,
        ppdb_archive.catalog,
    )
    compiled = to_postgres(query, ppdb_archive.catalog.metadata, server=Server(inline=True))
    with ppdb_archive.connection.transaction(force_rollback=True):
        ppdb_archive.connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        # Where no index has both, the one over snap_to alone may be chosen.
        ppdb_archive.connection.execute('DROP INDEX ppdb_history."DiaObject_closed_snap_to_idx"')
        cursor = psycopg.RawCursor(ppdb_archive.connection)
        plan = "\n".join(line for (line,) in cursor.execute(f"EXPLAIN {compiled.sql}").fetchall())
    assert re.search(r"DiaObject_closed_position.*\n\s*Index Cond: .*<@.*snap_to > ", plan), plan


def test_an_object_by_its_number_is_never_looked_for_in_the_index_over_places(ppdb_archive: Archive) -> None:
    """GiST would read all of it for an end alone; the planner takes that for cheap."""
    newest = ppdb_archive.copies[-1].snapshot
    query = as_of(
        parse("SELECT o.ra FROM DiaObject AS o WHERE o.diaObjectId = 10000"), newest, ppdb_archive.catalog
    )
    compiled = to_postgres(query, ppdb_archive.catalog.metadata, server=Server(inline=True))
    with ppdb_archive.connection.transaction(force_rollback=True):
        ppdb_archive.connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        for index in ("snap_to", "diaObjectId_validityStartMjdTai"):
            ppdb_archive.connection.execute(
                f'DROP INDEX ppdb_history."DiaObject_closed_{index}_idx"'.encode()
            )
        cursor = psycopg.RawCursor(ppdb_archive.connection)
        plan = "\n".join(line for (line,) in cursor.execute(f"EXPLAIN {compiled.sql}").fetchall())
    assert "DiaObject_closed" in plan
    assert "DiaObject_closed_position" not in plan, plan


def test_what_a_record_costs_can_be_measured(ppdb_archive: Archive) -> None:
    figures = capturing_figures(ppdb_archive.connection, repeats=2)
    assert set(figures) == {"capture_overhead_ms", "replay_overhead_ms"}
