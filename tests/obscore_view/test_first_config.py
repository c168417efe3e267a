"""``tapdb obscore init``: what it writes works as it stands, whatever the registry holds."""

from __future__ import annotations

import re
from operator import itemgetter
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.daf.butler import (  # type: ignore[attr-defined]  # CollectionType is public, but in no __all__
    Butler,
    CollectionType,
)
from lsst.daf.butler.registry.obscore import ObsCoreConfig as ButlerConfig
from lsst.daf.butler.registry.obscore._config import ObsCoreManagerConfig

from examples.lsstcam import Pair
from examples.lsstcam.repository import butler_url
from obscore_view import parse_config
from obscore_view.first_config import RegisteredType, RegistryContent, first_config
from tapdb.cli.root import main
from tests.plugins.migration_fixtures import RunAlembic
from tests.plugins.view_fixtures import open_engine

RUNS = {CollectionType.RUN}
GOLDEN = Path(__file__).parent / "data" / "first_config.yaml"
IMAGE_SUBTYPES = {"lsst.raw", "lsst.visit_image", "lsst.difference_image", "lsst.deep_coadd"}


def run(url: sa.URL, *arguments: object) -> Result:
    text = url.render_as_string(hide_password=False)
    return CliRunner(env={"TAPDB_URL": text}).invoke(main, ["obscore", *map(str, arguments)])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def rows(url: sa.URL, query: str) -> list[tuple[object, ...]]:
    with open_engine(url) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def migrate_with(url: sa.URL, alembic: RunAlembic, config: Path) -> None:
    """Migrate with a configuration as it stands; the view has to pass its own check, warnings included."""
    migrated = alembic(url, "-x", f"obscore_config={config}", "upgrade", "head")
    assert migrated.returncode == 0, migrated.stderr
    done(run(url, "check", "--deep"))


def test_the_text_for_the_example_repository_is_the_golden_file(butler_database_readonly: sa.URL) -> None:
    first = done(run(butler_database_readonly, "init", "--registry-schema", "plain"))
    assert first.stdout == GOLDEN.read_text()
    assert run(butler_database_readonly, "init", "--registry-schema", "plain").stdout == first.stdout


def test_the_text_works_as_it_stands(butler_database: sa.URL, alembic: RunAlembic, tmp_path: Path) -> None:
    path = tmp_path / "obscore.yaml"
    path.write_text(GOLDEN.read_text())
    migrate_with(butler_database, alembic, path)
    found = rows(butler_database, "SELECT DISTINCT dataproduct_subtype, obs_collection FROM ivoa.obscore")
    assert {subtype for subtype, _ in found} >= IMAGE_SUBTYPES
    assert {collection for _, collection in found} == {"plain"}
    users = "SELECT count(*) FROM ivoa.obscore WHERE left(facility_name, 6) <> 'Rubin:' OR obs_id IS NULL"
    assert rows(butler_database, users) == [(0,)]
    ranges = "SELECT count(*) FROM ivoa.obscore WHERE lsst_band IN ('g', 'r', 'i') AND em_min IS NULL"
    assert rows(butler_database, ranges) == [(0,)]


def test_counts_are_those_of_butler(butler_pair_readonly: Pair) -> None:
    text = GOLDEN.read_text()
    with butler_pair_readonly.plain.butler() as butler:
        for name in ("raw", "visit_image", "deep_coadd", "object_table_tract", "run_manifest"):
            refs = butler.registry.queryDatasets(name, collections=butler.collections.query("*", RUNS))
            number = len({ref.id for ref in refs})
            assert f" {name}: # {number} dataset" in text or f"# {name}: {number} dataset" in text, name


def test_butler_reads_it_too() -> None:
    content = yaml.safe_load(GOLDEN.read_text())
    for model in (ButlerConfig, ObsCoreManagerConfig):
        theirs = model.model_validate(content)
        ours = parse_config(GOLDEN.read_text())
        assert set(theirs.dataset_types) == set(ours.dataset_types)
        assert theirs.spectral_ranges == ours.spectral_ranges
        assert list(theirs.collections or ()) == list(ours.collections or ())


def test_an_existing_file_is_only_written_over_by_force(
    butler_database_readonly: sa.URL, tmp_path: Path
) -> None:
    path = tmp_path / "obscore.yaml"
    arguments = ("init", "--registry-schema", "plain", "-o", path)
    path.write_text("mine\n")
    refused = run(butler_database_readonly, *arguments)
    assert refused.exit_code == 2
    assert f"{path} is there already" in refused.stderr
    assert path.read_text() == "mine\n"
    written = done(run(butler_database_readonly, *arguments, "--force"))
    assert (written.stdout, path.read_text()) == ("", GOLDEN.read_text())
    assert f"tapdb obscore create -c {path}" in written.stderr


def test_a_registry_with_nothing_in_it_has_a_first_configuration(
    database_url: sa.URL, alembic: RunAlembic, tmp_path: Path
) -> None:
    Butler.makeRepo(
        str(tmp_path / "repo"),
        config={"registry": {"db": butler_url(database_url), "namespace": "empty"}},  # type: ignore[arg-type]
    )
    path = tmp_path / "obscore.yaml"
    done(run(database_url, "init", "-o", path))
    assert ButlerConfig.model_validate(yaml.safe_load(path.read_text())).facility_name == "UNKNOWN"
    migrate_with(database_url, alembic, path)
    assert rows(database_url, "SELECT count(*) FROM ivoa.obscore") == [(0,)]


def kind(name: str, storage_class: str, *required: str, datasets: int = 1) -> RegisteredType:
    return RegisteredType(name, storage_class, required, is_calibration=False, datasets=datasets)


VISIT = ("instrument", "visit", "detector")
HSC = RegistryContent(
    schema="Rep: o#1",
    instruments=("HSC", "My 'Cam"),
    filters=(("HSC-G", "g"), ("HSC-I2", "i"), ("N921", "N921"), ("white: all", "white")),
    dataset_types=(
        kind("bias", "ExposureF", "instrument", "detector"),
        kind("calexp", "ExposureF", *VISIT, datasets=5),
        kind("calexp_metadata", "PropertySet", *VISIT),
        kind("cell_image", "CellCoadd", "skymap", "tract", "patch", "band"),
        kind("deepCoadd_calexp", "ExposureF", "skymap", "tract", "patch", "band"),
        kind("goodSeeingDiff_differenceExp", "ExposureF", *VISIT),
        kind("raw", "Exposure", "instrument", "detector", "exposure"),
        kind("sourceTable_visit", "DataFrame", "instrument", "visit"),
        kind("src", "SourceCatalog", *VISIT),
        kind("strange: type", "Odd", "instrument", "visit"),
    ),
    runs=(*((f"HSC/runs/w_{n}", {"calexp": 1}) for n in range(30)), ("u/me/x", {"calexp": 3})),
    chains=tuple((f"chain{n}", ("HSC/runs/w_1", "HSC/runs/w_2")) for n in range(60)),
)


def test_another_instrument_has_its_filters_its_facility_and_its_levels() -> None:
    text = first_config(HSC)
    config = parse_config(text)
    assert config.facility_map == {"HSC": "Subaru", "My 'Cam": "UNKNOWN"}
    assert {name: one.calib_level for name, one in config.dataset_types.items()} == {
        "calexp": 2,
        "cell_image": 3,
        "deepCoadd_calexp": 3,
        "goodSeeingDiff_differenceExp": 3,
        "raw": 1,
    }
    assert config.spectral_ranges["HSC-G"] == (406.0e-9, 545.0e-9)
    assert config.spectral_ranges["g"] == (402.6e-9, 548.3e-9)
    assert "N921" not in config.spectral_ranges
    assert '# "white: all": [null, null]' in text
    assert config.collections == ("HSC(/.*)?",)
    assert ButlerConfig.model_validate(yaml.safe_load(text)).facility_map == config.facility_map
    assert max(map(len, text.splitlines())) < 130


def test_what_is_off_works_when_it_is_switched_on() -> None:
    text = first_config(HSC)
    first = text.index("  # sourceTable_visit: #")
    last = text.index("  # Neither images nor tables")
    switched = (
        text[:first] + text[first:last].replace("\n  # ", "\n  ").replace("  # s", "  s", 1) + text[last:]
    )
    config = parse_config(switched)
    assert config.dataset_types["sourceTable_visit"].dataproduct_type == "measurements"
    assert config.dataset_types["src"].calib_level == 2


@pytest.mark.parametrize("command", ["plan", "create"])
def test_without_a_configuration_the_way_to_a_first_one_is_shown(
    butler_database_readonly: sa.URL, alembic: RunAlembic, command: str
) -> None:
    missing = run(butler_database_readonly, command)
    assert missing.exit_code == 2
    assert "tapdb obscore init -o" in missing.stderr
    migrated = alembic(butler_database_readonly, "-x", "registry_schema=plain", "upgrade", "head")
    assert migrated.returncode == 2
    assert "tapdb obscore init -o FILE" in migrated.stderr


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9) | (
    st.sampled_from(["on", "1e3", "~", "2026-01-01", "a: b", "# x", "{a}", "{", "%", "<<", " a", "a&b=c"])
)
DIMENSIONS = ("instrument", "detector", "exposure", "visit", "skymap", "tract", "patch", "band", "healpix9")
TYPES = st.builds(
    RegisteredType,
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,7}", fullmatch=True)
    | st.sampled_from(["raw", "on", "no", "a.b"]),
    st.sampled_from(["ExposureF", "DataFrame", "Odd\none"]),
    st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=4).map(tuple),
    st.booleans(),
    st.integers(0, 3),
)
CONTENTS = st.builds(
    RegistryContent,
    NAMES,
    st.lists(NAMES, unique=True, max_size=3).map(tuple),
    st.lists(st.tuples(NAMES, NAMES | st.sampled_from("gr")), max_size=3, unique_by=itemgetter(0)).map(tuple),
    st.lists(TYPES, max_size=4, unique_by=lambda one: one.name).map(tuple),
    st.lists(st.tuples(NAMES, st.just({"raw": 1})), max_size=3, unique_by=itemgetter(0)).map(tuple),
    st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=2).map(tuple)), max_size=2).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(CONTENTS)
def test_names_of_every_kind_come_through(content: RegistryContent) -> None:
    config = parse_config(first_config(content))
    assert config.tapdb.registry_schema == config.obs_collection == content.schema
    assert set(config.facility_map) == set(content.instruments)
    if "raw" in {one.name for one in content.dataset_types} & config.dataset_types.keys():
        published = [name for name, _ in content.runs if not name.startswith("u/")]
        patterns = config.collections or ()
        assert all(any(re.fullmatch(one, name) for one in patterns) for name in published)
