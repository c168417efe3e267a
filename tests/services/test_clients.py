"""Clients that astronomers have: TAP of STILTS, which TOPCAT has too, and of astroquery, on one service."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from astropy.table import Table

from tests.plugins.service_fixtures import service_process
from tests.plugins.stilts_fixtures import Stilts

NEWEST = "SELECT TOP 3 obs_id, s_ra FROM ivoa.ObsCore WHERE s_ra IS NOT NULL ORDER BY obs_id, s_ra"
UPLOADED = "SELECT m.n, m.name FROM TAP_UPLOAD.mine AS m ORDER BY m.n"
ROWS = [(1, "a"), (2, "é")]


@pytest.fixture(scope="module")
def url(served_database: sa.URL) -> Iterator[str]:
    with service_process(served_database, "--jobs", "here") as (_, address):
        yield f"{address}/tap"


@pytest.fixture(scope="module")
def expected(served_database: sa.URL) -> list[tuple[str, float]]:
    engine = sa.create_engine(served_database)
    with engine.connect() as connection:
        query = sa.text(
            "SELECT obs_id, s_ra FROM ivoa.obscore WHERE s_ra IS NOT NULL ORDER BY obs_id, s_ra LIMIT 3"
        )
        rows = [(str(name), float(ra)) for name, ra in connection.execute(query)]
    engine.dispose()
    assert len(rows) == 3
    return rows


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "mine.vot"
    Table(rows=ROWS, names=("n", "name")).write(path, format="votable")
    return path


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_stilts_asks_and_uploads(
    stilts: Stilts, url: str, expected: list[tuple[str, float]], upload: Path, *, sync: bool
) -> None:
    names, *rows = stilts.query(url, NEWEST, sync=sync)
    assert names == ["obs_id", "s_ra"]
    assert [(name, float(ra)) for name, ra in rows] == expected
    found = stilts.query(url, UPLOADED, sync=sync, upload=upload)
    assert found == [["n", "name"], ["1", "a"], ["2", "é"]]


@pytest.fixture(scope="module")
def tap_plus(url: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astroquery.utils.tap.core import TapPlus  # noqa: PLC0415  what it imports warns

    # Its reader of /tables wants an attribute of ESA's own, so that it reads no other service's.
    return TapPlus(url=url, verbose=False, use_names_over_ids=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_astroquery_asks_and_uploads(
    tap_plus: Any, expected: list[tuple[str, float]], upload: Path, *, sync: bool
) -> None:
    launch = tap_plus.launch_job if sync else tap_plus.launch_job_async
    found = launch(NEWEST, verbose=False).get_results()
    assert [(str(row["obs_id"]), float(row["s_ra"])) for row in found] == expected
    found = launch(
        UPLOADED, upload_resource=str(upload), upload_table_name="mine", verbose=False
    ).get_results()
    assert [(int(row["n"]), str(row["name"])) for row in found] == ROWS


@pytest.mark.parametrize(
    ("query", "least"),
    [
        ("SELECT * FROM TAP_SCHEMA.schemas", 2),
        ("SELECT * FROM TAP_SCHEMA.tables WHERE schema_name = 'ivoa'", 1),
        ("SELECT * FROM TAP_SCHEMA.columns WHERE table_name = 'ivoa.ObsCore'", 30),
        ("SELECT * FROM TAP_SCHEMA.keys", 1),
        ("SELECT * FROM TAP_SCHEMA.key_columns", 1),
        ("SELECT TOP 10000 * FROM ivoa.ObsCore WHERE (calib_level IN (1,2))", 1),
        (
            (
                "SELECT TOP 50000 * FROM ivoa.ObsCore WHERE (CONTAINS(POINT('ICRS', s_ra, s_dec),"
                "CIRCLE('ICRS', 0, 0, 180))=1) AND (dataproduct_type = 'image')"
            ),
            1,
        ),
        (
            (
                "SELECT TOP 50000 * FROM ivoa.ObsCore WHERE (INTERSECTS(POLYGON('ICRS', 0, 0, 1, 0, 1, 1), "
                "s_region)=1) AND (t_min <= 61130.5 AND 60000 <= t_max) "
                "AND (em_min <= 1e-6 AND em_max >= 3e-7)"
            ),
            0,
        ),
    ],
)
def test_queries_in_the_form_of_firefly_are_answered(url: str, query: str, least: int) -> None:
    form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "QUERY": query}
    answer = httpx.post(f"{url}/sync", data=form, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len(Table.read(io.BytesIO(answer.content), format="votable")) >= least
