"""The second half of the demonstration: a PPDB that follows an APDB, and queries that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from ppdb_replay import RecordedResult, ReplayRecord, capture, diff, replay
from ppdb_replay.replication.replicate import replicate

from ..apdb import make_apdb, withdraw_sources
from ..database import observe
from .ask import Answer
from .lake import refresh_files, replay_from_files, write_files
from .light_curve import draw_light_curves
from .show import Stage

__all__ = ["demonstrate_replay"]

_VISITS = 20
_OBJECTS = 40
_QUERIES = {
    "objects": "SELECT diaObjectId, ra, dec, nDiaSources FROM DiaObject "
    "WHERE nDiaSources > 3 AND validityEndMjdTai IS NULL",
    "bands": "SELECT band, COUNT(*) AS n, MAX(psfFlux) AS brightest FROM DiaSource "
    "WHERE timeWithdrawnMjdTai IS NULL GROUP BY band",
}
_LIGHT_CURVE = (
    "SELECT s.midpointMjdTai, s.band, s.psfFlux, s.psfFluxErr "
    "FROM DiaObject AS o JOIN DiaSource AS s ON s.diaObjectId = o.diaObjectId "
    "WHERE o.diaObjectId = {object_id} AND o.validityEndMjdTai IS NULL AND s.timeWithdrawnMjdTai IS NULL "
    "ORDER BY midpointMjdTai"
)


def demonstrate_replay(
    stage: Stage, url: sa.URL, output: Path, *, visits: int = _VISITS, lake: Path | None = None
) -> None:
    """Replicate visits, capture queries, replicate more, and repeat the queries.

    Parameters
    ----------
    stage
        Where to show it.
    url
        Database with the tables of a PPDB; the APDB is made in it too.
    output
        Directory for the records and the light curves.
    visits
        Visits before the queries are captured, and as many after.
    lake
        Folder for the history in files, from which the records are replayed too; none if not given.
    """
    output.mkdir(exist_ok=True)
    with _connection(url) as writer, _connection(url, role="tapdb_reader") as reader:
        with stage.step("8. A PPDB that follows an APDB"):
            survey = make_apdb(url, objects=_OBJECTS)
            observe(survey, writer, visits)
            stage.say(f"{visits} visits are stored by dax_apdb and copied by tapdb, a chunk a transaction.")
        with stage.step("9. Queries with no thought of versions, captured"):
            object_id = max(survey.histories, key=lambda one: len(survey.histories[one]))
            queries = _QUERIES | {"light curve": _LIGHT_CURVE.format(object_id=object_id)}
            stage.say(queries["light curve"])
            captured = {name: capture(reader, query) for name, query in queries.items()}
            stage.show(_summary(captured))
            for name, result in captured.items():
                path = output / f"{name.replace(' ', '-')}.json"
                path.write_text(result.record.to_json(), encoding="utf-8")
        if lake is not None:
            with stage.step("9a. All versions in files"):
                write_files(stage, url, lake)
        with stage.step(f"10. {visits} more visits: sources are reassociated and withdrawn, objects closed"):
            published = survey.histories[object_id][:2]
            observe(survey, writer, visits, updates=True)
            withdraw_sources(survey, detections=published)
            replicate(survey.replica, writer)
            later = {name: capture(reader, query) for name, query in queries.items()}
            stage.say("The same queries find something else now:")
            stage.show(_changes(reader, captured, later))
        with stage.step("11. The records are replayed"):
            replayed = {
                name: replay(reader, ReplayRecord.from_json(result.record.to_json()))
                for name, result in captured.items()
            }
            stage.show(_comparison(captured, replayed))
            stage.say("What any TAP client can send for the first, in plain ADQL:")
            stage.say(captured["objects"].record.repeatable)
            curves = {
                "as published": captured["light curve"].rows,
                "the same query, now": later["light curve"].rows,
                "replayed": replayed["light curve"].rows,
            }
            draw_light_curves(curves, output / "light-curve.png")
            stage.say(f"{output}/light-curve.png: the light curve, before, after, and replayed")
        if lake is not None:
            with stage.step("11a. The records are replayed from the files, by DuckDB"):
                refresh_files(stage, url, lake)
                stage.show(_comparison(captured, replay_from_files(lake, captured)))


@contextmanager
def _connection(url: sa.URL, role: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        if role is not None:
            connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(role)))
        yield connection


def _summary(captured: dict[str, RecordedResult]) -> Answer:
    rows = tuple(
        (
            name,
            len(one.rows),
            one.record.snapshot.snapshot_id,
            repr(one.record.snapshot.t_mjd_tai),
            one.record.guarantee.level.value,
            _short(one.digest),
        )
        for name, one in captured.items()
    )
    columns = ("query", "rows", "snapshot", "TAI [MJD]", "guarantee", "digest")
    return Answer("Rows and record, from one transaction", columns, rows)


def _changes(
    connection: psycopg.Connection[Any], captured: dict[str, RecordedResult], later: dict[str, RecordedResult]
) -> Answer:
    rows = []
    for name, one in captured.items():
        difference = diff(connection, one.record)
        counts = (len(difference.added), len(difference.removed), len(difference.changed))
        rows.append((name, len(one.rows), len(later[name].rows), *counts, _short(later[name].digest)))
    columns = ("query", "rows then", "rows now", "added", "gone", "changed", "digest now")
    return Answer("What has become of the results", columns, tuple(rows))


def _comparison(captured: dict[str, RecordedResult], replayed: dict[str, RecordedResult]) -> Answer:
    rows = tuple(
        (
            name,
            _short(one.digest),
            _short(replayed[name].digest),
            "yes" if one.rows == replayed[name].rows and one.digest == replayed[name].digest else "NO",
        )
        for name, one in captured.items()
    )
    return Answer("Replays", ("query", "digest then", "digest of the replay", "identical"), rows)


def _short(digest: str) -> str:
    return digest[:19] + "…"
