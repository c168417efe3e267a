"""``tapdb coverage`` from the first command to the last, and what TAP says of what it publishes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from matplotlib.image import imread
from mocpy import MOC

from adql import parse, to_postgres
from examples.lsstcam import Pair
from examples.lsstcam.layout import FIRST_RUN
from prompt_products.coverage.reading import Chosen, read_coverage, united
from tap_query.metadata import read_metadata
from tap_schema.assemble import assemble
from tapdb.cli.root import main
from tapdb.postgres.engine import driver_connection
from tests.plugins.view_fixtures import open_engine

VIEW = "ivoa.obscore"
COUNTED = "SELECT COUNT(*) AS n FROM ivoa.coverage WHERE CONDITION"


@pytest.fixture(scope="module")
def pair(
    view_template: Pair, clone_for_session: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories under views; the tests below begin and end coverage of one, in their order."""
    url = clone_for_session(str(view_template.url.database))
    return view_template.clone(url, tmp_path_factory.mktemp("butler") / "commands")


@pytest.fixture(scope="module")
def run(pair: Pair) -> Callable[..., Result]:
    def invoke(*words: str) -> Result:
        url = pair.url.render_as_string(hide_password=False)
        done = CliRunner().invoke(main, ["coverage", *words, "--url", url])
        assert done.exit_code == 0, (done.output, done.stderr, done.exception)
        return done

    return invoke


@pytest.fixture(scope="module")
def kept(run: Callable[..., Result]) -> str:
    return run("keep", VIEW, "--template", "deep_coadd", "--image", "visit_image").stderr


@pytest.fixture
def connection(pair: Pair, kept: str) -> Iterator[sa.Connection]:
    assert kept == f"Keeps the coverage of {VIEW}.\n"
    with open_engine(pair.url) as engine, engine.connect() as connection:
        yield connection


def test_coverage_is_described_in_tap_schema_without_a_fault(connection: sa.Connection) -> None:
    generated = assemble(connection)
    ours = [one for one in generated.findings if "coverage" in str(one) or "summary" in str(one)]
    assert [str(one) for one in ours if one.severity == "error"] == []
    published = sa.text("SELECT column_name FROM tap_schema.columns WHERE table_name = 'ivoa.coverage'")
    names = set(connection.scalars(published))
    assert {"day_obs", "covered_area", "moc"} <= names
    assert not names & {"moc_ranges", "pgs_moc", "kept"}


def test_a_point_is_looked_for_in_coverage_by_adql(connection: sa.Connection) -> None:
    place = sa.text("SELECT s_ra, s_dec FROM ivoa.obscore WHERE s_ra IS NOT NULL AND s_dec < 60 LIMIT 1")
    ra, dec = connection.execute(place).one()
    counts: list[int] = []
    for where in ((ra, dec), (ra, dec + 25)):
        # The text of ADQL has to have the numbers in it.
        contained = f"1 = CONTAINS(POINT({where[0]!r}, {where[1]!r}), moc)"
        query = parse(COUNTED.replace("CONDITION", contained))
        translated = to_postgres(query, read_metadata(connection))
        with psycopg.RawCursor(driver_connection(connection)) as cursor:
            cursor.execute(translated.sql, translated.parameters)
            counts += [number for (number,) in cursor.fetchall()]
    assert counts[0] > 0
    assert counts[0] > counts[1]


def test_what_is_exported_is_what_the_table_says(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "moc.fits"
    run("export", "--type", "visit_image", "--band", "r", "-o", str(file))
    rows = read_coverage(connection, Chosen(dataset_types=("visit_image",), bands=("r",)))
    found = [(int(lower), int(upper)) for lower, upper in MOC.load(file, format="fits").to_depth29_ranges]
    assert found == united(rows) != []
    assert MOC.from_string(run("export", "--format", "ascii").stdout, format="ascii").max_order == 11


@pytest.mark.parametrize("what", ["density", "growth", "last-night"])
def test_a_picture_is_drawn(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "sky.png"
    run("plot", what, "--type", "visit_image", "-o", str(file))
    assert len(set(map(tuple, imread(io.BytesIO(file.read_bytes())).reshape(-1, 4)))) > 3


def test_the_last_night_is_printed(run: Callable[..., Result], connection: sa.Connection) -> None:
    rows = json.loads(run("last-night", "--format", "json").stdout)
    latest = (
        "SELECT instrument_name, max(tapdb.night(t_min, 12)) FROM ivoa.obscore "
        "WHERE t_min IS NOT NULL GROUP BY 1"
    )
    expected = {tuple(row) for row in connection.exec_driver_sql(latest)}
    assert {(one["instrument"], one["day_obs"]) for one in rows} == expected


def test_growth_is_what_each_night_adds(connection: sa.Connection) -> None:
    rows = connection.exec_driver_sql(
        "SELECT dataset_type, band, instrument_name, day_obs, new_area, total_area, total_count, "
        "dataset_count "
        "FROM ivoa.coverage_growth ORDER BY 1, 2, 3, 4"
    ).all()
    seen: dict[tuple[str, ...], list[tuple[float, float, int]]] = {}
    for dataset_type, band, instrument, _, new, total, count, here in rows:
        before = seen.setdefault((dataset_type, band, instrument), [])
        area, so_far = (before[-1][1], before[-1][2]) if before else (0.0, 0)
        assert (new, count) == (pytest.approx(total - area, abs=1e-9), so_far + here)
        before.append((new, total, count))
    assert max(map(len, seen.values())) > 1


def test_visits_say_why_they_have_no_difference_images(pair: Pair, connection: sa.Connection) -> None:
    query = sa.text(
        "SELECT visit, image_count, difference_count, template_fraction_now, reason FROM ivoa.visit_templates"
    )
    before = {row.visit: row for row in connection.execute(query)}
    assert before
    assert all(one.reason is not None for one in before.values() if one.difference_count < one.image_count)
    visit = min(before)
    with pair.plain.butler(writeable=True) as butler:
        here = {"instrument": "LSSTCam", "visit": visit}
        found = {
            kind: {
                one.dataId["detector"]
                for one in butler.query_datasets(kind, "*", find_first=False, data_id=here, explain=False)
            }
            for kind in ("visit_image", "difference_image")
        }
        missing = sorted(found["visit_image"] - found["difference_image"])
        ids = [{**here, "detector": one} for one in missing]
        butler.registry.insertDatasets("difference_image", ids, run=FIRST_RUN)
    connection.rollback()
    after = {row.visit: row for row in connection.execute(query)}[visit]
    assert (after.difference_count, after.reason) == (after.image_count, None)


def test_folding_and_rebuilding_change_no_row(run: Callable[..., Result], connection: sa.Connection) -> None:
    query = (
        "SELECT dataset_type, instrument_name, band, day_obs, dataset_count, moc FROM ivoa.coverage "
        "ORDER BY 1, 2, 3, 4"
    )
    before = connection.exec_driver_sql(query).all()
    connection.rollback()
    assert "notes folded" in run("fold").stderr
    run("rebuild", "--view", VIEW)
    connection.rollback()
    assert connection.exec_driver_sql(query).all() == before


def test_at_the_end_nothing_is_left(run: Callable[..., Result], connection: sa.Connection) -> None:
    run("drop", VIEW)
    left = "SELECT count(*) FROM tap_schema.tables WHERE table_name LIKE 'ivoa.%%coverage%%'"
    assert connection.exec_driver_sql(left).scalar() == 0
