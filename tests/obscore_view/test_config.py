"""The configuration against the models of daf_butler and dax_obscore, and what follows from it."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Config
from lsst.daf.butler.registry.obscore import ObsCoreManagerConfig
from lsst.dax.obscore import ExporterConfig
from pydantic import BaseModel

from examples.lsstcam import OBSCORE_CONFIG
from obscore_view.config.model import CollectionRule, ObsCoreConfig, Section, TapdbOptions
from obscore_view.config.parse import keep_options, parse_config, read_config, with_options
from tests.obscore_view.minimal_config import MINIMAL, with_keys
from tests.plugins.view_fixtures import view_config_text

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _files() -> Iterator[Path]:
    """Yield our own examples, and those in TAPDB_DAX_OBSCORE_CONFIGS (dax_obscore's ``configs/``)."""
    yield from sorted(_EXAMPLES.glob("configs/*.yaml"))
    yield _EXAMPLES / "lsstcam" / "obscore.yaml"
    if directory := os.environ.get("TAPDB_DAX_OBSCORE_CONFIGS"):
        yield from sorted(Path(directory).glob("*.yaml"))


def _plain(model: BaseModel, names: set[str]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(model.model_dump_json(include=names))
    lists = plain.get("dataset_type_constraints", {}).values()
    for bound in [plain.get("where", {}), *itertools.chain.from_iterable(lists)]:
        bound.get("extra_dims", []).sort()
    return plain


@pytest.mark.parametrize("path", list(_files()), ids=lambda path: path.stem)
def test_a_file_says_to_us_what_it_says_to_butler(path: Path) -> None:
    ours = read_config(path)
    theirs: list[BaseModel] = [ExporterConfig.model_validate(Config(path))]
    if ours.collection_type is not None:
        theirs.append(ObsCoreManagerConfig.model_validate(Config(path)))
    for model in theirs:
        names = set(type(model).model_fields)
        assert names <= set(ObsCoreConfig.model_fields)
        assert _plain(ours, names) == _plain(model, names)


def test_the_comparison_with_butler_sees_a_changed_number(tmp_path: Path) -> None:
    text = (_EXAMPLES / "configs" / "dp1.yaml").read_text()
    changed = tmp_path / "dp1.yaml"
    changed.write_text(text.replace("393.2e-9", "393.3e-9"))
    names = set(ExporterConfig.model_fields)
    theirs = _plain(ExporterConfig.model_validate(Config(changed)), names)
    assert _plain(parse_config(text), names) != theirs
    assert _plain(read_config(changed), names) == theirs


def test_every_key_of_butler_and_of_the_exporter_is_known() -> None:
    def keys(model: type[BaseModel], place: str) -> set[str]:
        return {f"{place}.{name}" for name in model.model_fields}

    theirs = keys(ExporterConfig, "") | keys(ObsCoreManagerConfig, "")
    ours = keys(ObsCoreConfig, "")
    assert ours - theirs == {".use_butler_uri", ".tapdb"}
    assert theirs <= ours


def _sections(model: type[Section]) -> Iterator[type[Section]]:
    yield model
    for inner in Section.__subclasses__():
        if inner is not model:
            yield inner


@pytest.mark.parametrize("section", list(_sections(ObsCoreConfig)), ids=lambda section: section.__name__)
def test_every_key_has_a_description(section: type[Section]) -> None:
    assert section.model_fields
    for name, field in section.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_annotated_example_has_every_key() -> None:
    text = (_EXAMPLES / "configs" / "annotated.yaml").read_text()
    for section in _sections(ObsCoreConfig):
        for name in section.model_fields:
            assert re.search(rf"\b{name}:", text), name


# --- what follows from a configuration --------------------


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ((), CollectionRule("find-first", ("test",))),
        (("collection_type: RUN",), CollectionRule("run-regex", ("test",))),
        (("collection_type: RUN", "collections: null"), CollectionRule("run-regex", ())),
        (("collection_type: RUN", "collections: []"), CollectionRule("run-regex", ())),
        (("collection_type: TAGGED",), CollectionRule("tagged", ("test",))),
        (
            ("collection_type: RUN", "collections: ['.*']", "tapdb: {find_first: [b, a]}"),
            CollectionRule("find-first", ("b", "a")),
        ),
    ],
)
def test_collections_are_read_as_the_collection_type_says(
    changes: tuple[str, ...], rule: CollectionRule
) -> None:
    assert parse_config(with_keys(*changes)).collection_rule == rule


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ("", "test"),
        ("obs_publisher_did_fmt: butler://dp02/{id}", "dp02"),
        ("obs_publisher_did_fmt: ivo://org.example/x?id={id}&repo=a-b", "a-b"),
        ("obs_publisher_did_fmt: ivo://org.example/x?id={id}", None),
        ("tapdb: {repo_label: given}", "given"),
    ],
)
def test_the_label_of_the_repository_comes_from_the_identifiers(change: str, label: str | None) -> None:
    assert parse_config(with_keys(change) if change else MINIMAL).repository_label == label


def test_the_view_is_ivoa_obscore_in_lower_case_unless_named() -> None:
    default = parse_config(MINIMAL)
    assert (default.view_schema, default.view_name) == ("ivoa", "obscore")
    named = parse_config(with_keys("tapdb: {view: Embargo.ObsCore}"))
    assert (named.view_schema, named.view_name) == ("embargo", "obscore")


@pytest.mark.parametrize(
    ("plugin", "columns"),
    [
        ("", ("pgs_region", "pgs_center")),
        ("{cls: PgSphereObsCorePlugin}", ("pgsphere_region", "pgsphere_position")),
        (
            "{cls: a.b.PgSphereObsCorePlugin, config: {region_column: shape}}",
            ("shape", "pgsphere_position"),
        ),
    ],
)
def test_pgsphere_columns_are_named_as_the_plugin_names_them(plugin: str, columns: tuple[str, str]) -> None:
    text = with_keys(f"spatial_plugins: {{any: {plugin}}}") if plugin else MINIMAL
    assert parse_config(text).pgsphere_columns == columns


def test_a_dataset_types_own_columns_win_over_those_for_all() -> None:
    config = parse_config(
        with_keys(
            "extra_columns: {a: 1, b: text}",
            """
        dataset_types:
          raw: {dataproduct_type: image, calib_level: 1, extra_columns: {b: mine, c: true}}
    """,
        )
    )
    assert config.extra_columns_of("raw") == {"a": 1, "b": "mine", "c": True}
    assert [type(value) for value in config.extra_columns_of("raw").values()] == [int, str, bool]


def test_constraints_of_a_dataset_type_replace_the_one_for_all() -> None:
    config = parse_config(
        with_keys(
            "where: {where: visit > 1}",
            """
        dataset_types:
          a: &one {dataproduct_type: image, calib_level: 1}
          b: *one
          c: *one
          d: *one
        """,
            """
        dataset_type_constraints:
          b: [{where: visit > 2}, {where: visit < 1, extra_dims: [visit]}]
          c: []
          d: [{where: visit > 2}, {where: ""}]
        """,
        )
    )
    assert [part.where for part in config.constraints_of("a")] == ["visit > 1"]
    assert [part.where for part in config.constraints_of("b")] == ["visit > 2", "visit < 1"]
    assert config.constraints_of("c") == ()
    assert config.constraints_of("d") == (), "one of them demands nothing"


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-06-30", "2026-06-30 00:00:00"),
        ("2026-06-30T12:00:00", "2026-06-30 12:00:00"),
        ("2026-06-30T12:00:00+02:00", "2026-06-30 10:00:00"),
        ("'2026-06-30 12:00:00'", "2026-06-30 12:00:00"),
    ],
)
def test_a_release_date_is_a_utc_time_without_zone(written: str, time: str) -> None:
    found = parse_config(with_keys(f"tapdb: {{obs_release_date: {written}}}")).tapdb.obs_release_date
    assert str(found) == time


def test_json_is_read_too() -> None:
    config = parse_config(with_keys("tapdb: {embargo_hours: 80}"))
    again = parse_config(config.model_dump_json())
    assert again == config
    assert again.digest == config.digest


# --- digest --------------------


@pytest.mark.parametrize(
    "same",
    [
        f"# a comment\n{MINIMAL}",
        MINIMAL.replace("[test]", "\n  - test"),
        with_keys("fallback_instrument: null", "tapdb: {geometry: table}"),
        # What revision 0002 and before made of it is no more; such views have kept tables too.
        with_keys("tapdb: {geometry: index}"),
        with_keys("version: 3", "namespace: other", "batch_size: 5", "indices: {a: t_min}"),
        "\n".join([*MINIMAL.splitlines()[1:], MINIMAL.splitlines()[0]]),
    ],
)
def test_the_digest_ignores_what_does_not_change_the_view(same: str) -> None:
    assert parse_config(same).digest == parse_config(MINIMAL).digest


@pytest.mark.parametrize(
    "other",
    [
        MINIMAL.replace("calib_level: 1", "calib_level: 2"),
        with_keys("collections: [test, more]"),
        with_keys("spectral_ranges: {r: [null, null]}"),
        with_keys("tapdb: {geometry: none}"),
        with_keys("extra_columns: {a: 1, b: 2}"),
    ],
)
def test_the_digest_changes_with_what_the_view_shows(other: str) -> None:
    assert parse_config(other).digest != parse_config(MINIMAL).digest


def test_the_digest_knows_the_order_of_columns() -> None:
    digests = {
        parse_config(with_keys(f"extra_columns: {{{order}}}")).digest
        for order in ("a: 1, b: 2", "b: 2, a: 1")
    }
    assert len(digests) == 2


def test_the_digest_does_not_depend_on_the_order_of_a_set() -> None:
    dims = ["visit", "detector", "tract", "patch", "band"]
    texts = [json.dumps(order) for order in (dims, dims[::-1])]
    one, other = (
        parse_config(with_keys(f"where: {{where: visit > 0, extra_dims: {text}}}")) for text in texts
    )
    assert one.digest == other.digest


def test_options_have_the_documented_defaults() -> None:
    assert TapdbOptions() == parse_config(MINIMAL).tapdb
    assert TapdbOptions().geometry == "table"


def test_the_mode_that_was_counts_as_kept_tables() -> None:
    then = parse_config(view_config_text(geometry="index"))
    assert then.tapdb.geometry == "table"
    assert then.digest == parse_config(view_config_text(geometry="table")).digest


GEOMETRIES = (None, "table", "none")


@pytest.mark.parametrize("option", GEOMETRIES[1:])
@pytest.mark.parametrize("said", GEOMETRIES)
@pytest.mark.parametrize("says", GEOMETRIES)
def test_an_option_stays_until_the_file_says_something_else(
    says: str | None, said: str | None, option: str
) -> None:
    """Three ways meet: what the file said when the view was made, the option, and what the file says now."""
    then, now = (view_config_text(**({} if one is None else {"geometry": one})) for one in (said, says))
    recorded = with_options(then, geometry=option)
    assert parse_config(recorded).tapdb.geometry == option
    kept = parse_config(keep_options(now, recorded))
    if says == said:
        assert kept.digest == parse_config(recorded).digest
        assert kept.tapdb.geometry == option
    else:
        assert keep_options(now, recorded) == now
    # A later option goes before all of it.
    for later in GEOMETRIES[1:]:
        assert parse_config(keep_options(with_options(now, geometry=later), recorded)).tapdb.geometry == later
    # What was kept once is kept again.
    again = keep_options(then, keep_options(then, recorded))
    assert parse_config(again).digest == parse_config(recorded).digest


def test_who_gave_a_value_does_not_count_in_the_digest() -> None:
    for text in (OBSCORE_CONFIG.read_text(), view_config_text(geometry="table")):
        by_option = with_options(text, geometry="table")
        assert by_option != text
        assert parse_config(by_option).digest == parse_config(text).digest
