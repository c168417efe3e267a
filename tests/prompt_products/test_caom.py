"""CAOM2 over an ObsCore view: as many rows as it has, and valid documents that are read back as written."""

# ruff: noqa: S608 - our own texts

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import caom2
import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from caom2.obs_reader_writer import ObservationReader
from click.testing import CliRunner, Result
from lxml import etree

from adql import parse, to_postgres
from examples.lsstcam import Pair
from obscore_view.view.make import find_stored_view, refresh_view
from prompt_products.caom.caom_objects import ChosenObservations, read_observations
from prompt_products.over_obscore import read_publication
from tap_query.metadata import read_metadata
from tap_schema.assemble import assemble
from tapdb.cli.root import main
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import driver_connection
from tests.plugins.view_fixtures import open_engine

VIEW = "ivoa.obscore"
SCHEMA = etree.XMLSchema(etree.parse(str(Path(caom2.__file__).parent / "data" / "CAOM-2.4.xsd")))


@pytest.fixture(scope="module")
def url(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database with ObsCore views; the tests below publish CAOM2 over one, in their order."""
    return clone_for_session(str(view_template.url.database))


@pytest.fixture(scope="module")
def run(url: sa.URL) -> Callable[..., Result]:
    def invoke(*words: str, code: int = 0) -> Result:
        found = url.render_as_string(hide_password=False)
        done = CliRunner().invoke(main, ["caom2", *words, "--url", found])
        assert done.exit_code == code, (done.output, done.stderr, done.exception)
        return done

    return invoke


@pytest.fixture(scope="module")
def published(run: Callable[..., Result]) -> str:
    return run("publish", "ivoa.ObsCore").stderr


@pytest.fixture
def connection(url: sa.URL, published: str) -> Iterator[sa.Connection]:
    assert published == "Publishes ivoa.obscore as caom2.\n"
    with open_engine(url) as engine, engine.connect() as connection:
        yield connection


def number(connection: sa.Connection, query: str) -> int:
    return int(connection.scalar(sa.text(query)) or 0)


def documents(written: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_nothing_is_published_until_it_is_asked_for(run: Callable[..., Result]) -> None:
    assert "tapdb caom2 publish SCHEMA.NAME" in run("drop", code=1).stderr
    assert "there is no ObsCore view ivoa.nothing" in run("publish", "ivoa.nothing", code=2).stderr


def test_there_are_as_many_rows_as_the_view_has(connection: sa.Connection) -> None:
    datasets = number(connection, f"SELECT count(*) FROM {VIEW}")
    assert number(connection, "SELECT count(DISTINCT planeid) FROM caom2.plane") == datasets > 100
    stored = number(connection, f"SELECT count(*) FROM {VIEW} WHERE access_url IS NOT NULL")
    assert number(connection, "SELECT count(DISTINCT artifactid) FROM caom2.artifact") == stored > 0
    grouped = (
        "SELECT count(*) FROM "
        "(SELECT DISTINCT obs_collection, coalesce(instrument_name || lsst_visit, obs_id)"
        f" FROM {VIEW}) v"
    )
    assert number(connection, "SELECT count(DISTINCT obsid) FROM caom2.observation") == number(
        connection, grouped
    )
    orphans = (
        "SELECT count(*) FROM caom2.plane p LEFT JOIN caom2.observation o USING (obsid) WHERE o.obsid IS NULL"
    )
    assert number(connection, orphans) == 0


def test_a_plane_says_what_obscore_says(connection: sa.Connection) -> None:
    differ = f"""
    SELECT count(*) FROM caom2.plane p JOIN {VIEW} o ON o.registry_dataset_id = p.planeid
    WHERE (p.publisherid, p.calibrationlevel, p.time_bounds_lower, p.time_bounds_upper, p.energy_bounds_lower,
      p.time_exposure, p.position_dimension_naxis1, p.position_bounds_area)
    IS DISTINCT FROM (o.obs_publisher_did, o.calib_level, o.t_min, o.t_max, o.em_min, o.t_exptime, o.s_xel1,
      area(o.pgs_region) * (180 / pi()) ^ 2)
    """
    assert number(connection, differ) == 0
    assert number(connection, differ.replace("o.calib_level", "o.calib_level + 1")) > 0


def test_tap_schema_describes_all_of_it_without_a_fault(connection: sa.Connection) -> None:
    found = [one for one in assemble(connection).findings if "caom2" in str(one)]
    assert [str(one) for one in found if one.severity == "error"] == []
    names = sa.text("SELECT column_name FROM tap_schema.columns WHERE table_name = 'caom2.Plane'")
    described = set(connection.scalars(names))
    assert {"planeURI", "energy_bounds_lower", "position_bounds"} <= described
    assert "position_bounds_points" not in described


def test_it_is_asked_by_adql(connection: sa.Connection) -> None:
    query = parse(
        "SELECT COUNT(*) FROM caom2.Observation AS o JOIN caom2.Plane AS p ON p.obsID = o.obsID "
        "WHERE o.intent = 'science' AND p.calibrationLevel = 2 "
        "AND 1 = INTERSECTS(p.position_bounds, CIRCLE(30, -10, 90))"
    )
    made = to_postgres(query, read_metadata(connection))
    with psycopg.RawCursor(driver_connection(connection)) as cursor:
        cursor.execute(made.sql, made.parameters)
        assert cursor.fetchall()[0][0] > 0


def test_a_plane_is_found_by_its_index(connection: sa.Connection) -> None:
    some = connection.scalar(sa.text(f"SELECT registry_dataset_id FROM {VIEW} LIMIT 1"))
    connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
    plan = "\n".join(
        connection.scalars(sa.text("EXPLAIN SELECT * FROM caom2.plane WHERE planeid = :id"), {"id": some})
    )
    assert "Index" in plan
    assert "Function Scan" not in plan


def test_documents_are_valid_and_hold_what_the_views_hold(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "all.zip"
    said = run("export", "-o", str(file)).stderr
    written = documents(file.read_bytes())
    count = number(connection, "SELECT count(*) FROM caom2.observation")
    assert said == f"Wrote {count} observations.\n"
    assert len(written) == count
    planes, artifacts = 0, 0
    for content in written.values():
        SCHEMA.assertValid(etree.fromstring(content))
        read = ObservationReader().read(io.BytesIO(content))
        planes += len(read.planes)
        artifacts += sum(len(plane.artifacts) for plane in read.planes.values())
    assert planes == number(connection, "SELECT count(*) FROM caom2.plane")
    assert artifacts == number(connection, "SELECT count(*) FROM caom2.artifact")


def test_what_is_read_back_is_what_was_written(
    connection: sa.Connection, run: Callable[..., Result], tmp_path: Path
) -> None:
    name = (
        "SELECT collection, observationid FROM caom2.observation WHERE typecode = '{}' ORDER BY 2, 1 LIMIT 1"
    )
    for kind in "SD":
        collection, wanted = connection.execute(sa.text(name.format(kind))).one()
        file = tmp_path / f"{kind}.xml"
        run("export", wanted, "--collection", collection, "--format", "xml", "-o", str(file))
        text = file.read_bytes()
        chosen = ChosenObservations(collection=collection, observations=(wanted,))
        (built,) = read_observations(connection, chosen)
        read = ObservationReader().read(io.BytesIO(text))
        assert (read.observation_id, read.collection, read._id) == (wanted, built.collection, built._id)
        assert read.planes.keys() == built.planes.keys()
        for product, plane in built.planes.items():
            other = read.planes[product]
            for part in ("position", "energy", "time"):
                ours, theirs = getattr(plane, part), getattr(other, part)
                assert (ours is None) == (theirs is None)
                if ours is not None and ours.bounds is not None and part != "position":
                    assert (theirs.bounds.lower, theirs.bounds.upper) == (
                        ours.bounds.lower,
                        ours.bounds.upper,
                    )
        assert type(read).__name__ == {"S": "SimpleObservation", "D": "DerivedObservation"}[kind]


def test_a_document_is_of_one_observation(run: Callable[..., Result], tmp_path: Path) -> None:
    assert "name one" in run("export", "--format", "xml", "-o", str(tmp_path / "x"), code=2).stderr


def test_an_observation_that_is_not_there_is_an_error(run: Callable[..., Result], tmp_path: Path) -> None:
    assert "no such observation" in run("export", "nothing", "-o", str(tmp_path / "x"), code=1).stderr
    assert not (tmp_path / "x").exists()


def test_inputs_are_those_of_loaded_provenance_and_empty_before(
    connection: sa.Connection, url: sa.URL, run: Callable[..., Result], tmp_path: Path
) -> None:
    assert number(connection, "SELECT count(*) FROM caom2.provenanceinput") == 0
    rows = connection.execute(
        sa.text(f"SELECT registry_dataset_id FROM {VIEW} WHERE lsst_dataset_type = 'visit_image' LIMIT 2")
    ).all()
    (made,), (used,) = rows
    unseen = "00000000-0000-0000-0000-00000000dead"
    connection.execute(
        sa.text(
            f"""
            INSERT INTO tapdb.provenance_run VALUES ('u/run', 'demo', 'run_provenance', true, '0');
            INSERT INTO tapdb.provenance_quantum VALUES ('{unseen}', 'u/run', 'calibrate', '{{}}', 'success',
              NULL);
            INSERT INTO tapdb.provenance_dataset VALUES ('{made}', 'u/run', 'visit_image', '{{}}', true,
              NULL);
            INSERT INTO tapdb.provenance_edge VALUES ('{unseen}', '{made}', false),
              ('{unseen}', '{used}', true), ('{unseen}', '{unseen}', true);
            """
        )
    )
    connection.commit()
    uri = connection.scalar(sa.text("SELECT planeuri FROM caom2.plane WHERE planeid = :id"), {"id": used})
    found = connection.execute(sa.text("SELECT outputid, inputid FROM caom2.provenanceinput")).all()
    assert [tuple(row) for row in found] == [(made, uri)]
    name = (
        "SELECT collection, observationid FROM caom2.observation o JOIN caom2.plane p USING (obsid) "
        "WHERE planeid = :id"
    )
    collection, wanted = connection.execute(sa.text(name), {"id": made}).one()
    file = tmp_path / "one.xml"
    run("export", wanted, "--collection", collection, "--format", "xml", "-o", str(file))
    plane = ObservationReader().read(io.BytesIO(file.read_bytes())).planes[str(made)]
    assert (plane.provenance.name, plane.provenance.run_id) == ("calibrate", "u/run")
    assert [one.uri for one in plane.provenance.inputs] == [uri]


def test_a_reader_sees_of_it_what_the_view_shows_the_reader(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
    assert number(connection, "SELECT count(*) FROM caom2.plane") > 0
    connection.execute(
        sa.text(f"RESET ROLE; REVOKE SELECT ON {VIEW} FROM tapdb_reader; SET LOCAL ROLE tapdb_reader")
    )
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        number(connection, "SELECT count(*) FROM caom2.plane")


def test_the_view_below_is_made_again_without_being_stopped(connection: sa.Connection, url: sa.URL) -> None:
    before = number(connection, "SELECT count(*) FROM caom2.plane")
    connection.rollback()
    with open_engine(url) as engine, engine.begin() as other:
        refresh_view(other, find_stored_view(other, VIEW))
        assert number(other, "SELECT count(*) FROM caom2.plane") == before


@pytest.mark.parametrize(("revision", "stays"), [("0015", True), ("0014", False)])
def test_a_migration_keeps_it_unless_its_tables_go(
    connection: sa.Connection, url: sa.URL, revision: str, *, stays: bool
) -> None:
    before = number(connection, "SELECT count(*) FROM caom2.plane")
    connection.rollback()
    with open_engine(url) as engine, engine.connect() as other:
        command.downgrade(alembic_config(other, obscore="off"), revision)
        command.upgrade(alembic_config(other, obscore="off"), "head")
    assert (read_publication(connection, "caom2") is not None) == stays
    if stays:
        assert number(connection, "SELECT count(*) FROM caom2.plane") == before


def test_at_the_end_nothing_is_left(run: Callable[..., Result], connection: sa.Connection) -> None:
    run("publish", VIEW)
    run("drop")
    left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'caom2'::regnamespace"
    assert number(connection, left) == 0
    assert number(connection, "SELECT count(*) FROM tap_schema.tables WHERE schema_name = 'caom2'") == 0
