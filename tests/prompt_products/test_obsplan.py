"""ObsLocTAP: the database holds to the standard, plans become what was performed, taplint is quiet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from astropy.time import Time
from click.testing import CliRunner, Result

from examples.lsstcam import Pair
from prompt_products.obsplan.plan_columns import CATEGORIES, NAMES, NOT_NULL, STATUSES, TRACKING
from tap_schema.assemble import assemble
from tapdb.cli.root import main
from tests.plugins.service_fixtures import service_process
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.view_fixtures import open_engine

GOOD: dict[str, object] = {
    "obs_id": "tonight-1",
    "facility_name": "Rubin:Simonyi",
    "instrument_name": "LSSTCam",
    "t_planning": 61100.5,
    "execution_status": "Scheduled",
    "t_min": 61101.0,
    "t_max": 61101.001,
    "t_exptime": 30,
    "s_ra": 30.5,
    "s_dec": -10,
    "s_region": "CIRCLE ICRS 30.5 -10 1.75",
    "em_min": 5.5e-7,
    "em_max": 6.9e-7,
}
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "a status of another spelling": ({"execution_status": "performed"}, "execution_status is Planned,"),
    "a category of an observatory": ({"category": "deep-drilling"}, "category is Fixed,"),
    "a priority that is too high": ({"priority": 3}, "priority is 0, 1 or 2"),
    "tracking in small letters": ({"tracking_type": "sidereal"}, "tracking_type is Sidereal"),
    "scheduled without times": ({"t_min": None}, "has t_min, t_max and t_exptime"),
    "a Julian date": ({"t_min": 2461101.5, "t_max": 2461101.6}, "t_min and t_max are MJD"),
    "an end before the start": ({"t_max": 61100.0}, "the first not after the second"),
    "wavelengths in nanometres": ({"em_min": 55000, "em_max": 69000}, "em_min and em_max are metres"),
    "a right ascension of a full turn": ({"s_ra": 360}, "s_ra is from 0"),
    "no observatory": ({"facility_name": ""}, "facility_name is missing"),
    "a region in another frame": ({"s_region": "CIRCLE FK5 1 2 3"}, "write POLYGON ICRS or CIRCLE ICRS"),
    "a number that is none": ({"t_exptime": "thirty"}, "t_exptime is 'thirty', not a number"),
    "infinity": ({"t_exptime": "inf"}, "not a number"),
    "a column of no standard": ({"filter": "r"}, "filter is no column of ObsLocTAP"),
}


@pytest.fixture(scope="module")
def url(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> sa.URL:
    """Return a database with ObsCore views; the tests below load plans, in their order."""
    return clone_for_session(str(view_template.url.database))


@pytest.fixture(scope="module")
def run(url: sa.URL) -> Callable[..., Result]:
    def invoke(*words: str, code: int = 0) -> Result:
        found = url.render_as_string(hide_password=False)
        done = CliRunner().invoke(main, ["obsplan", *words, "--url", found])
        assert done.exit_code == code, (done.output, done.stderr, done.exception)
        return done

    return invoke


@pytest.fixture
def connection(url: sa.URL) -> Iterator[sa.Connection]:
    with open_engine(url) as engine, engine.connect() as connection:
        yield connection


def schedule(folder: Path, *rows: dict[str, object]) -> str:
    file = folder / "schedule.json"
    file.write_text(json.dumps(rows))
    return str(file)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_the_standard_has_it_is_refused_with_its_place(
    run: Callable[..., Result], tmp_path: Path, what: str
) -> None:
    change, reason = WRONG[what]
    said = run("load", schedule(tmp_path, GOOD, {**GOOD, "obs_id": "2", **change}), code=2).stderr
    assert "schedule.json, line 2: " in said
    assert reason in said


def test_an_identifier_that_is_there_twice_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    assert "an obs_id is there once in a plan" in run("load", schedule(tmp_path, GOOD, GOOD), code=2).stderr


@pytest.mark.parametrize("text", ["", "obs_id\n", "obs_id,t_min\n1\n", 'obs_id\n"1\n', "[1]"])
def test_a_file_of_another_kind_is_an_error_or_an_empty_plan(
    run: Callable[..., Result], tmp_path: Path, text: str
) -> None:
    file = tmp_path / ("plan.json" if text.startswith("[") else "plan.csv")
    file.write_text(text)
    run("load", str(file), code=0 if text in {"", "obs_id\n"} else 2)
    run("load", str(tmp_path / "missing.csv"), code=2)


def test_a_plan_is_loaded_from_csv_and_replaced(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "plan.csv"
    for count in (3, 2):
        lines = [f"next-{number},{number},," for number in range(count)]
        file.write_text("\n".join(["obs_id,s_ra,s_dec,category", *lines]))
        assert (
            run("load", str(file), "--facility", "Rubin:Simonyi").stderr
            == f"Loaded {count} observations of plan.\n"
        )
    connection.rollback()
    rows = connection.execute(sa.text("SELECT * FROM ivoa.obsplan ORDER BY obs_id")).mappings().all()
    assert [row["obs_id"] for row in rows] == ["next-0", "next-1"]
    (first, _) = rows
    assert set(NAMES) <= first.keys()
    assert (first["category"], first["execution_status"], first["tracking_type"]) == (
        "Other",
        "Planned",
        "Sidereal",
    )
    assert abs(first["t_planning"] - Time.now().utc.mjd) < 0.1


def test_what_was_performed_is_what_the_registry_says(
    run: Callable[..., Result], connection: sa.Connection, tmp_path: Path
) -> None:
    exposure = connection.execute(
        sa.text(
            "SELECT id, obs_id, instrument, exposure_time, target_name, lower(timespan) AS begin "
            "FROM plain.exposure WHERE observation_type = 'science' AND instrument = 'LSSTCam' "
            "ORDER BY id LIMIT 1"
        )
    ).one()
    connection.rollback()
    plan = {**GOOD, "obs_id": exposure.obs_id, "t_plan_exptime": 31, "category": "Window", "priority": 2}
    run("load", schedule(tmp_path, plan, GOOD), "--plan", "night")
    assert "name one: --registry-schema" in run("update", code=2).stderr
    said = run("update", "--registry-schema", "plain").stderr
    wanted = int(
        connection.scalar(
            sa.text(
                # Two have no beginning or no end.
                "SELECT count(*) FROM plain.exposure WHERE observation_type = 'science' "
                "AND num_nulls(lower(timespan), upper(timespan)) = 0"
            )
        )
        or 0
    )
    assert said == f"Performed: 1 observations of plans, {wanted - 1} others.\n"
    assert run("update", "--registry-schema", "plain").stderr.startswith(
        "Performed: 0 observations of plans, 0 "
    )
    row = connection.execute(
        sa.text("SELECT * FROM ivoa.obsplan WHERE obs_id = :id"), {"id": exposure.obs_id}
    ).one()
    assert (row.execution_status, row.category, row.priority, row.t_plan_exptime) == (
        "Performed",
        "Window",
        2,
        31,
    )
    assert (row.t_exptime, row.target_name) == (exposure.exposure_time, exposure.target_name)
    assert row.t_min == pytest.approx(Time(exposure.begin / 1e9, format="unix_tai").utc.mjd, abs=1e-9)
    assert row.facility_name == "Rubin:Simonyi"
    assert row.s_region.startswith("POLYGON ICRS")
    # What ObsCore says of the same visit.
    band = connection.execute(
        sa.text("SELECT DISTINCT t_min, em_min, em_max FROM ivoa.obscore WHERE lsst_exposure = :id"),
        {"id": exposure.id},
    ).one()
    assert (row.t_min, row.em_min, row.em_max) == (band.t_min, band.em_min, band.em_max)
    # A plan that is loaded again keeps what was performed of it.
    connection.rollback()
    run("load", schedule(tmp_path, plan), "--plan", "night")
    status = connection.scalars(
        sa.text("SELECT execution_status FROM ivoa.obsplan WHERE obs_id = :id"), {"id": exposure.obs_id}
    ).all()
    assert status == ["Performed"]


def test_every_row_holds_to_the_standard(connection: sa.Connection) -> None:
    rows = connection.execute(sa.text("SELECT * FROM ivoa.obsplan")).mappings().all()
    assert len(rows) > 5
    for row in rows:
        assert [name for name in NOT_NULL if row[name] is None] == []
        assert row["category"] in CATEGORIES
        assert row["execution_status"] in STATUSES
        assert row["tracking_type"] in TRACKING
        if row["execution_status"] in {"Scheduled", "Performed"}:
            assert None not in (row["t_min"], row["t_max"], row["t_exptime"])
            assert 0 < row["t_max"] - row["t_min"] < 1
            assert row["t_exptime"] > 1, "seconds, not days"


def test_tap_schema_describes_it_without_a_fault(connection: sa.Connection) -> None:
    found = [one for one in assemble(connection).findings if "obsplan" in str(one)]
    assert [str(one) for one in found if one.severity == "error"] == []
    described = set(
        connection.scalars(
            sa.text("SELECT column_name FROM tap_schema.columns WHERE table_name = 'ivoa.obsplan'")
        )
    )
    assert described == set(NAMES)


def test_taplint_has_nothing_against_obsplan_and_obscore(url: sa.URL, stilts: Stilts) -> None:
    with service_process(url, "--jobs", "here") as (_, served):
        report = stilts.taplint(f"{served}/tap", "TMV", "TMS", "OBS", "LOC")
    assert any(line.startswith("Totals: ") for line in report), report
    assert [line for line in report if re.match(r"[EFW]-(OBS|LOC|TMV|TMS)-", line)] == []


def test_a_reader_may_read_it_and_change_nothing(connection: sa.Connection) -> None:
    connection.execute(sa.text("SET LOCAL ROLE tapdb_reader"))
    assert connection.scalar(sa.text("SELECT count(*) FROM ivoa.obsplan"))
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        connection.execute(sa.text("DELETE FROM ivoa.obsplan"))


def test_at_the_end_nothing_is_left(run: Callable[..., Result], connection: sa.Connection) -> None:
    run("drop", "--plan", "night")
    run("drop")
    run("drop", code=1)
    assert connection.scalar(sa.text("SELECT to_regclass('ivoa.obsplan')")) is None
    left = sa.text("SELECT count(*) FROM tap_schema.tables WHERE table_name = 'ivoa.obsplan'")
    assert connection.scalar(left) == 0
