"""The observing log on the schemas that lsst-sdm-schemas ships: absent, partly there, on another server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from matplotlib.image import imread

from examples.lsstcam import Pair
from obscore_view.view.make import find_stored_view, refresh_view
from prompt_products.observing_log.log_columns import DATASETS, EXPOSURES, NAMES
from tap_schema.assemble import assemble
from tapdb.cli.root import main
from tapdb.sources import execute_text
from tests.plugins.view_fixtures import open_engine

FILL = """
INSERT INTO cdb_lsstcam.exposure (exposure_id, exposure_name, day_obs, seq_num, physical_filter, band,
  img_type, exp_time, obs_start_mjd, airmass, dimm_seeing, target_name, controller)
SELECT e.id, e.obs_id, e.day_obs, e.seq_num, e.physical_filter, f.band, e.observation_type, e.exposure_time,
  61000 + e.seq_num / 1000.0, 1 + e.seq_num / 1000.0, 0.8, e.target_name, 'O'
FROM {registry}.exposure e
JOIN {registry}.physical_filter f ON f.instrument = e.instrument AND f.name = e.physical_filter
WHERE e.instrument = 'LSSTCam';
"""
QUICKLOOK = """
INSERT INTO cdb_lsstcam.visit1_quicklook (visit_id, day_obs, seq_num, seeing_zenith_500nm_median)
SELECT exposure_id, day_obs, seq_num, 0.5 + seq_num / 1000.0 FROM cdb_lsstcam.exposure;
"""
EFD = """
INSERT INTO efd_lsstcam.exposure_efd (day_obs, seq_num, exposure_id, mt_salindex110_sonic_temperature_mean)
SELECT day_obs, seq_num, exposure_id, 10 FROM cdb_lsstcam.exposure;
"""
MESSAGES = """
CREATE SCHEMA exposurelog;
CREATE TYPE exposurelog.flag AS ENUM ('none', 'junk', 'questionable');
CREATE TABLE exposurelog.message (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), instrument text, obs_id text,
  message_text text, exposure_flag exposurelog.flag, is_valid boolean, date_added timestamp);
INSERT INTO exposurelog.message (instrument, obs_id, message_text, exposure_flag, is_valid, date_added)
SELECT 'LSSTCam', e.exposure_name, m.text, m.flag::exposurelog.flag, m.is_valid, m.day::timestamp
FROM (SELECT exposure_name FROM cdb_lsstcam.exposure ORDER BY day_obs DESC, seq_num LIMIT 1) e, (VALUES
  ('clouds; "thick"', 'questionable', true, '2026-03-02'), ('first', 'none', true, '2026-03-01'),
  ('withdrawn', 'junk', false, '2026-03-03')) AS m (text, flag, is_valid, day);
"""
GRANTS = "GRANT USAGE ON SCHEMA {0} TO tapdb_owner; GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO tapdb_owner"


def make_schema(url: sa.URL, name: str) -> None:
    """Let Felis make a schema of the Rubin data model."""
    file = files("lsst.sdm.schemas").joinpath(f"{name}.yaml")
    shown = url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    program = str(Path(sys.executable).with_name("felis"))
    done = subprocess.run(
        [program, "create", "--engine-url", shown, "--initialize", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr


def execute(url: sa.URL, text: str) -> None:
    with open_engine(url) as engine, engine.begin() as connection:
        execute_text(connection, text)


@pytest.fixture(scope="module")
def url(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database with ObsCore views and no ConsDB; the tests below bring it step by step."""
    return clone_for_session(str(view_template.url.database))


@pytest.fixture(scope="module")
def run(url: sa.URL) -> Callable[..., Result]:
    def invoke(*words: str, code: int = 0) -> Result:
        found = url.render_as_string(hide_password=False)
        done = CliRunner().invoke(main, ["log", *words, "--url", found])
        assert done.exit_code == code, (done.output, done.stderr, done.exception)
        return done

    return invoke


@pytest.fixture
def connection(url: sa.URL) -> Iterator[sa.Connection]:
    with open_engine(url) as engine, engine.connect() as connection:
        yield connection


def test_without_consdb_there_is_no_log_and_the_message_says_what_is_absent(
    run: Callable[..., Result],
) -> None:
    said = run("publish", "ivoa.obscore", code=2).stderr
    assert "no exposures of ConsDB: cdb_lsstcam.exposure" in said
    assert "not published" in run("last-night", code=1).stderr


def test_a_log_of_exposures_alone_says_what_else_is_absent(
    run: Callable[..., Result], url: sa.URL, connection: sa.Connection
) -> None:
    make_schema(url, "cdb_lsstcam")
    execute(url, FILL.format(registry="plain"))
    assert "tapdb_owner may not read cdb_lsstcam.exposure" in run("publish", "ivoa.obscore", code=2).stderr
    execute(url, GRANTS.format("cdb_lsstcam"))
    said = run("publish", "ivoa.ObsCore").stderr
    assert said == (
        "Publishes the log of LSSTCam over ivoa.obscore.\nAbsent, so NULL or left out: exposurelog.message, "
        "efd_lsstcam.exposure_efd, cdb_latiss.exposure, cdb_lsstcomcam.exposure.\n"
    )
    rows = connection.execute(sa.text("SELECT * FROM ivoa.observing_log")).mappings().all()
    exposures = connection.scalar(sa.text("SELECT count(*) FROM plain.exposure WHERE instrument = 'LSSTCam'"))
    assert len(rows) == exposures
    assert {tuple(row) for row in rows} == {NAMES}
    assert {row["seeing"] for row in rows} == {row["exposure_flag"] for row in rows} == {None}
    assert {round(row["dimm_seeing"], 6) for row in rows} == {0.8}


def test_the_whole_log_has_quicklook_efd_and_messages(
    run: Callable[..., Result], url: sa.URL, connection: sa.Connection
) -> None:
    make_schema(url, "efd_lsstcam")
    execute(url, QUICKLOOK + EFD + MESSAGES)
    for schema in ("efd_lsstcam", "exposurelog"):
        execute(url, GRANTS.format(schema))
    said = run("publish", "ivoa.ObsCore").stderr
    assert said.endswith("Absent, so NULL or left out: cdb_latiss.exposure, cdb_lsstcomcam.exposure.\n")
    rows = connection.execute(
        sa.text("SELECT * FROM ivoa.observing_log ORDER BY day_obs DESC, seq_num")
    ).all()
    first, *others = rows
    assert (first.message_count, first.exposure_flag) == (2, "questionable")
    assert first.messages == 'first\nclouds; "thick"'
    assert {(row.message_count, row.exposure_flag, row.messages) for row in others} == {(0, None, None)}
    assert all(row.seeing == pytest.approx(0.5 + row.seq_num / 1000) for row in rows)
    assert {row.sonic_temperature for row in rows} == {10}


def test_datasets_are_joined_with_their_exposures(connection: sa.Connection) -> None:
    differ = """
    SELECT count(*) FROM ivoa.dataset_log l FULL JOIN (
      SELECT o.registry_dataset_id, e.seq_num, e.airmass::real FROM ivoa.obscore o JOIN cdb_lsstcam.exposure e
      ON e.exposure_id = o.lsst_visit WHERE o.instrument_name = 'LSSTCam'
    ) w ON w.registry_dataset_id = l.dataset_id
    WHERE (l.seq_num, l.airmass::real) IS DISTINCT FROM (w.seq_num, w.airmass)
    """
    assert connection.scalar(sa.text(differ)) == 0
    types = set(connection.scalars(sa.text("SELECT dataproduct_subtype FROM ivoa.dataset_log")))
    assert {"lsst.raw", "lsst.visit_image"} <= types


def test_the_last_night_is_a_table_and_a_picture(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "night.png"
    rows = json.loads(run("last-night", "--format", "json", "--picture", str(file)).stdout)
    last = connection.scalar(sa.text("SELECT max(day_obs) FROM cdb_lsstcam.exposure"))
    assert {row["day_obs"] for row in rows} == {last}
    assert [row["seq_num"] for row in rows] == sorted(row["seq_num"] for row in rows)
    datasets = sa.text("SELECT count(*) FROM ivoa.dataset_log WHERE day_obs = :night")
    assert sum(row["datasets"] for row in rows) == connection.scalar(datasets, {"night": last})
    # Points in the colours of bands, not an empty frame.
    assert len(set(map(tuple, imread(io.BytesIO(file.read_bytes())).reshape(-1, 4)))) > 10
    assert "no exposures of 20010101" in run("last-night", "--night", "20010101", code=1).stderr


def test_tap_schema_describes_it_without_a_fault(connection: sa.Connection) -> None:
    found = [one for one in assemble(connection).findings if "_log" in str(one)]
    assert [str(one) for one in found if one.severity == "error"] == []
    for table in (EXPOSURES, DATASETS):
        names = sa.text("SELECT column_name FROM tap_schema.columns WHERE table_name = :name")
        assert set(NAMES) <= set(connection.scalars(names, {"name": f"ivoa.{table}"}))


def test_the_view_below_is_made_again_and_the_log_stays(url: sa.URL, connection: sa.Connection) -> None:
    count = sa.text("SELECT count(*) FROM ivoa.dataset_log")
    before = connection.scalar(count)
    connection.rollback()
    with open_engine(url) as engine, engine.begin() as other:
        refresh_view(other, find_stored_view(other, "ivoa.obscore"))
        assert other.scalar(count) == before


def test_a_reader_sees_the_log_of_what_the_reader_sees(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
    assert connection.scalar(sa.text("SELECT count(*) FROM ivoa.dataset_log"))
    execute_text(
        connection, "RESET ROLE; REVOKE SELECT ON ivoa.obscore FROM tapdb_reader; SET LOCAL ROLE tapdb_reader"
    )
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        connection.scalar(sa.text("SELECT count(*) FROM ivoa.dataset_log"))


def test_consdb_on_another_server_is_the_same_log(
    run: Callable[..., Result],
    url: sa.URL,
    connection: sa.Connection,
    view_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
) -> None:
    before = connection.execute(sa.text("SELECT * FROM ivoa.observing_log ORDER BY exposure")).all()
    connection.rollback()
    run("drop")
    other = clone_for_session(str(view_template.url.database))
    make_schema(other, "cdb_lsstcam")
    execute(other, FILL.format(registry="plain") + QUICKLOOK)
    execute(url, "DROP SCHEMA cdb_lsstcam CASCADE; CREATE SCHEMA cdb_lsstcam; CREATE EXTENSION postgres_fdw")
    options = f"host '{url.host}', port '{url.port}', dbname '{other.database}'"
    user = f"user '{url.username}'" + (f", password '{url.password}'" if url.password else "")
    execute(
        url,
        f"""
        CREATE SERVER consdb FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options});
        CREATE USER MAPPING FOR PUBLIC SERVER consdb OPTIONS ({user}, password_required 'false');
        IMPORT FOREIGN SCHEMA cdb_lsstcam LIMIT TO (exposure, visit1_quicklook)
          FROM SERVER consdb INTO cdb_lsstcam;
        {GRANTS.format("cdb_lsstcam")}
        """,
    )
    run("publish", "ivoa.obscore")
    assert connection.execute(sa.text("SELECT * FROM ivoa.observing_log ORDER BY exposure")).all() == before


def test_at_the_end_nothing_is_left(run: Callable[..., Result], connection: sa.Connection) -> None:
    run("drop")
    run("drop", code=1)
    left = sa.text("SELECT count(*) FROM tap_schema.tables WHERE table_name LIKE 'ivoa.%log'")
    assert connection.scalar(left) == 0
