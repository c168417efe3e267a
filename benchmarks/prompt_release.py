"""Cones of what is released beside the same cones of all rows, in one database."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

import psycopg
import sqlalchemy as sa
import yaml
from psycopg import sql

from benchmarks.obscore.archive import connect
from benchmarks.results_file import Reach, say
from obscore_view import create_view, parse_config
from obscore_view.view.make import find_stored_view
from tapdb.postgres.engine import create_engine

__all__ = ["REACHES", "measure_release"]

REACHES = (Reach("release_ratio", 1.2, "cone of what is released / of all rows, median"),)

_ALL, _RELEASED, _ROLE = "released_of.obscore", "ivoa.released", "tapdb_reader"
_CONES, _RADIUS_DEG, _SEED = 200, 0.1, 20_261_130
_CONE = """
SELECT obs_id, s_ra, s_dec, t_min, t_max, obs_publisher_did FROM {view}
WHERE pgs_region && public.scircle(public.spoint(radians(%s), radians(%s)), radians(%s))
"""


def measure_release(url: sa.URL, repeats: int = 3, view: str | None = None) -> dict[str, float]:
    """Return times of cones, in milliseconds, and their ratio: ``release_ratio``.

    A view of what is released is made beside the one that is there, with the same configuration; all that has
    a time is released, so that both sides return much the same.

    Parameters
    ----------
    url
        Database with an ObsCore view, as a superuser.
    repeats
        How often each cone is searched; the fastest counts.
    view
        Name of the view that is there, if there are several.
    """
    _make_released(url, view)
    with connect(url) as connection:
        connection.execute("VACUUM ANALYZE")
        places = _places(connection)
        sides = {name: sql.SQL(_CONE).format(view=_identifier(name)) for name in (_ALL, _RELEASED)}
        rows = dict.fromkeys(sides, 0)
        times: dict[str, list[float]] = {name: [] for name in sides}
        for ra, dec in places:
            for name, query in sides.items():
                _become(connection, name)
                found = [_timed(connection, query, (ra, dec, _RADIUS_DEG)) for _ in range(repeats)]
                times[name].append(min(took for took, _ in found))
                rows[name] += found[0][1]
        connection.execute("RESET ROLE")
    if not 0 < rows[_RELEASED] <= rows[_ALL]:
        # Coadds have no time, and so no release.
        raise AssertionError(f"cones find {rows[_ALL]} rows of all, {rows[_RELEASED]} of what is released")
    figures = {
        "release_all_cone_ms": median(times[_ALL]),
        "release_cone_ms": median(times[_RELEASED]),
    }
    figures["release_ratio"] = figures["release_cone_ms"] / figures["release_all_cone_ms"]
    took, ratio = figures["release_cone_ms"], figures["release_ratio"]
    say(f"{took:8.2f} ms  cone of what is released, {ratio:.2f} of that of all rows")
    return figures


def _make_released(url: sa.URL, view: str | None) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        stored = find_stored_view(connection, view)
        content = yaml.safe_load(stored.config_yaml)
        content["tapdb"] = {
            **(content.get("tapdb") or {}),
            "view": _ALL,
            "release": {"view": _RELEASED, "embargo": [{"hours": 80.0}]},
        }
        text = yaml.safe_dump(content, sort_keys=False)
        create_view(connection, parse_config(text), registry_schema=stored.registry_schema, config_yaml=text)
    engine.dispose()


def _places(connection: psycopg.Connection[Any]) -> list[tuple[float, float]]:
    """Return places where images are, the same at every run."""
    found = connection.execute(
        sql.SQL("SELECT s_ra, s_dec FROM {} WHERE s_ra IS NOT NULL AND t_max IS NOT NULL LIMIT 20000").format(
            _identifier(_ALL)
        )
    ).fetchall()
    return random.Random(_SEED).sample(found, min(_CONES, len(found)))


def _become(connection: psycopg.Connection[Any], name: str) -> None:
    role = (
        sql.SQL("SET ROLE {}").format(sql.Identifier(_ROLE)) if name == _RELEASED else sql.SQL("RESET ROLE")
    )
    connection.execute(role)


def _timed(
    connection: psycopg.Connection[Any], query: sql.Composed, values: tuple[float, float, float]
) -> tuple[float, int]:
    started = time.perf_counter()
    rows = connection.execute(query, values).fetchall()
    return (time.perf_counter() - started) * 1000, len(rows)


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
