"""What is wrong with a configuration is told with its place, the finding and the remedy."""

# Messages are long, and a table of them is read line by line.
# ruff: noqa: E501

from __future__ import annotations

import logging
import re

import pytest

from obscore_view.config.parse import parse_config, read_config
from obscore_view.errors import ConfigError
from tests.obscore_view.minimal_config import MINIMAL, with_keys

_WRONG = [
    # source:line:column, dotted path, what was found, what to do
    (with_keys("colections: [a]"), r'^t.yaml:10:1: colections: unknown key; did you mean "collections"\?$'),
    (
        MINIMAL.replace("calib_level", "calib_levl"),
        r'^t.yaml:8:5: dataset_types.raw.calib_levl: unknown key; did you mean "calib_level"\?$',
    ),
    (
        MINIMAL.replace("calib_level: 1", "fallback_instrument: HSC"),
        r"dataset_types.raw.fallback_instrument: unknown key; move it to the top level$",
    ),
    (with_keys("o_ucd: phot.flux"), r"^t.yaml:10:1: o_ucd: unknown key; move it into dataset_types$"),
    (with_keys("xyzzy: 1"), r"xyzzy: unknown key; known: batch_size, .*collections, "),
    (with_keys("tapdb: {geometri: none}"), r'tapdb.geometri: unknown key; did you mean "geometry"\?'),
    (with_keys("origin: {publishr: x}"), r'origin.publishr: unknown key; did you mean "publisher"\?'),
    (
        with_keys("dataset_type_constraints: {raw: [{were: x}]}"),
        r'^t.yaml:10:35: dataset_type_constraints.raw\[0\].were: unknown key; did you mean "where"\?',
    ),
    (
        with_keys("extra_columns: {a: {template: x, typ: int}}"),
        r'extra_columns.a.typ: unknown key; did you mean "type"\?',
    ),
    (
        with_keys("tapdb: {columns: {publisher_id: {template: x, type: int}}}"),
        r"tapdb.columns.publisher_id.type: unknown key; known: template$",
    ),
    (
        MINIMAL.replace("facility_name: Rubin:Simonyi\n", ""),
        r"^t.yaml:1:1: facility_name: required, but missing; add it: Value of ``facility_name`` for instruments",
    ),
    (
        MINIMAL.replace("    calib_level: 1\n", ""),
        r"^t.yaml:6:3: dataset_types.raw.calib_level: required, but missing; add it: Value of ``calib_level``",
    ),
    (MINIMAL.replace("calib_level: 1", "calib_level: two"), r'found text "two", expected a whole number$'),
    (
        MINIMAL.replace("calib_level: 1", "calib_level: 5"),
        r"t.yaml:8:5: .*found 5; ObsCore 1.1 has .* 0 to 4$",
    ),
    (with_keys("facility_name: 8.4"), r"facility_name: found a number 8.4, expected text; put it in quotes$"),
    (with_keys("collections: test"), r'collections: found text "test", expected a list$'),
    (with_keys("dataset_types: [raw]"), r"dataset_types: found a list \[\"raw\"\], expected a mapping"),
    (with_keys("dataset_types: {raw: null}"), r"dataset_types.raw: found nothing, expected a mapping"),
    (
        with_keys("extra_columns: {a: [1]}"),
        r"extra_columns.a: found a list \[1\], expected a constant or a mapping with a template$",
    ),
    (
        with_keys("extra_columns: {a: {template: x, type: integer}}"),
        r"extra_columns.a.type: found text \"integer\", expected 'bool', 'int', 'float' or 'string'$",
    ),
    (with_keys("spectral_ranges: {r: [1]}"), r"spectral_ranges.r\[1\]: required, but missing"),
    (
        with_keys("spectral_ranges: {r: [1.0e-7, 2.0e-7, 3.0e-7]}"),
        r"spectral_ranges.r: found a list .*a list of 2",
    ),
    (
        with_keys("spectral_ranges: {r: [6.0e-7, 5.0e-7]}"),
        r"spectral_ranges.r: found 6e-07 m to 5e-07 m; write",
    ),
    (
        MINIMAL.replace("obs_id_fmt", "s_xel: [0, 5]\n    obs_id_fmt"),
        r"dataset_types.raw.s_xel: found \[0, 5\]; write the two sizes in pixels",
    ),
    (with_keys("collection_type: CHAINED"), r"expected 'RUN' or 'TAGGED'$"),
    (
        with_keys("collection_type: TAGGED", "collections: [a, b]"),
        r"found 2 names with collection_type TAGGED; name one",
    ),
    (
        with_keys("collections: []"),
        r"collections: found no collection and no collection_type; name the collections",
    ),
    (with_keys("tapdb: {find_first: []}"), r"tapdb.find_first: found an empty list; name"),
    (
        with_keys("collection_type: RUN", "collections: [a, '(b']"),
        r'^t.yaml:10:18: collections\[1\]: found the pattern "\(b": no regular expression of Python: missing \)',
    ),
    (
        with_keys("collection_type: RUN", "collections: ['(?>a|ab)c']"),
        r"collections\[0\]: .*: PostgreSQL has nothing like Python's atomic group; write it more simply$",
    ),
    (
        with_keys("extra_columns: {'a b': 1}"),
        r'extra_columns.a b: "a b" is no column name; use letters, digits and _',
    ),
    (with_keys("extra_columns: {pgs_region: 1}"), r'"pgs_region" is a column that the view makes itself'),
    (
        with_keys("extra_columns: {a: {template: x, length: 0}}"),
        r"extra_columns.a.length: found 0; write a positive",
    ),
    (
        with_keys("extra_columns: {a: {template: '{visit', type: int}}"),
        r'^t.yaml:10:21: extra_columns.a.template: format string "\{visit", character 1: found a \{ without \}; write',
    ),
    (
        MINIMAL.replace("{records[exposure].obs_id}", "{obs_id}"),
        r"t.yaml:9:5: dataset_types.raw.obs_id_fmt: found the key obs_id, which this format string is to fill itself",
    ),
    (with_keys("obs_publisher_did_fmt: 'ivo://x?id={}'"), r"obs_publisher_did_fmt: .*a field without a name"),
    (
        with_keys("dataset_type_constraints: {rav: [{where: visit > 1}]}"),
        r'dataset_type_constraints.rav: no such dataset type in dataset_types; did you mean "raw"\?$',
    ),
    (
        with_keys("spatial_plugins: {x: {cls: my.Plugin}}"),
        r'spatial_plugins.x.cls: found "my.Plugin", whose columns the view cannot make; known: PgSphereObsCorePlugin',
    ),
    (
        with_keys("spatial_plugins: {x: {cls: PgSphereObsCorePlugin, config: {region: a}}}"),
        r'spatial_plugins.x.config.region: unknown key; did you mean "region_column"\?',
    ),
    (with_keys("indices: {a: [t_min, t_mx]}"), r'indices.a: no such column "t_mx"; did you mean "t_max"\?$'),
    (
        with_keys("where: {where: visit = }"),
        r'^t.yaml:10:9: where.where: expression "visit =", character 8: found the end, expected a name, a literal',
    ),
    (
        with_keys("dataset_type_constraints: {raw: [{where: visit > 1}, {where: 'visit = :x'}]}"),
        r'^t.yaml:10:55: dataset_type_constraints.raw\[1\].where: found the bind ":x", which has no value; give it',
    ),
    (
        with_keys("where: {where: visit.timespan.begin > T'2026-31-01'}"),
        r"^t.yaml:10:9: where.where: found T'2026-31-01'; 2026-31-01 is no time of format iso with scale utc$",
    ),
    (
        with_keys("where: {where: visit > one, bind: {oen: 1}}"),
        r"^t.yaml:10:36: where.bind.oen: no such name in the expression; use it there, or remove it$",
    ),
    (
        with_keys("tapdb: {view: ObsCore}"),
        r'tapdb.view: found "ObsCore"; write schema.name, as in ivoa.ObsCore$',
    ),
    (with_keys("tapdb: {view: a.b; DROP TABLE x}"), r"tapdb.view: found"),
    (
        with_keys("tapdb: {geometry: gist}"),
        r"tapdb.geometry: found text \"gist\", expected 'table' or 'none'$",
    ),
    (with_keys("tapdb: {columns: {t_min: 1}}"), r'tapdb.columns.t_min: "t_min" is filled from the registry'),
    (
        with_keys("tapdb: {columns: {publisher: x}}"),
        r'"publisher" is no column of ObsCore 1.1; did you mean "publisher_id"',
    ),
    (with_keys("tapdb: {embargo_hours: -1}"), r"tapdb.embargo_hours: found -1.0; write hours"),
    (with_keys("tapdb: {embargo_hours: .nan}"), r"tapdb.embargo_hours: found nan; write hours"),
    (
        with_keys("tapdb: {embargo_hours: 80, obs_release_date: 2026-01-01}"),
        r"tapdb.embargo_hours: found beside obs_release_date; keep one of the two$",
    ),
    (
        with_keys("tapdb: {obs_release_date: 2026}"),
        r"tapdb.obs_release_date: found a number 2026, expected a date or time",
    ),
    (
        with_keys("tapdb: {release: {embargo: [{hours: 80, date: 2026-01-01}]}}"),
        r"tapdb.release.embargo\[0\]: found neither or both of hours and date; write one of the two$",
    ),
    (with_keys("tapdb: {release: {embargo: [{}]}}"), r"tapdb.release.embargo\[0\]: found neither or both"),
    (
        with_keys("tapdb: {release: {embargo: [{hours: -1}]}}"),
        r"tapdb.release.embargo\[0\].hours: found -1.0",
    ),
    (
        with_keys("tapdb: {release: {embargo: [{hours: 1, dataset_type: none}]}}"),
        r'tapdb.release.embargo\[0\].dataset_type: no such dataset type "none"',
    ),
    (
        with_keys("tapdb: {embargo_hours: 1, release: {embargo: [{hours: 1}]}}"),
        r"tapdb.release.embargo: found beside embargo_hours",
    ),
    (
        with_keys("tapdb: {release: {view: ivoa.Other}}"),
        r"tapdb.release: found nothing that says when datasets are public; write rules of embargo$",
    ),
    (
        with_keys("tapdb: {release: {view: ivoa.obscore, embargo: [{hours: 1}]}}"),
        r"tapdb.release.view: found the name of the view with all rows; name",
    ),
    (
        with_keys("tapdb: {view: a.b, release: {view: c.d, embargo: [{hours: 1}]}}"),
        r'tapdb.release.view: found the schema "c"; name a view in schema ivoa or a$',
    ),
    (
        with_keys("tapdb: {release: {readers: ['a b']}}"),
        r'tapdb.release.readers\[0\]: "a b" is no name of a role',
    ),
    (
        with_keys("tapdb: {columns: {data_rights: x}, release: {embargo: [{hours: 1}], data_rights: {}}}"),
        r"tapdb.release.data_rights: found beside tapdb.columns.data_rights",
    ),
    (with_keys("tapdb: {presence: {none: {}}}"), r"tapdb.presence.none: no such dataset type"),
    # YAML itself
    (with_keys("where: {where: a: b}"), r"^t.yaml:10:\d+: not YAML: .*; mend the YAML text"),
    (MINIMAL + "\tx: 1\n", r"^t.yaml:10:1: not YAML: .*cannot start any token"),
    (
        with_keys("facility_map: {A: a, A: b}"),
        r"^t.yaml:10:22: facility_map.A: key given twice, first in line 10; keep one$",
    ),
    (
        MINIMAL + "facility_name: again\n",
        r"^t.yaml:10:1: facility_name: key given twice, first in line 1; keep one$",
    ),
    (
        with_keys("origin: {publisher: x, publication_date: 2025-13-45}"),
        r"^t.yaml:10:42: not YAML: month must be in",
    ),
    (
        with_keys("x: !include other.yaml"),
        r"^t.yaml:10:4: not YAML: could not determine a constructor .*include",
    ),
    ("", r"^t.yaml: found no content; write a configuration$"),
    ("# nothing\n", r"^t.yaml: found no content"),
    (f"{MINIMAL}---\n{MINIMAL}", r"^t.yaml:10:1: not YAML: expected a single document"),
    ("- a\n- b\n", r"^t.yaml:1:1: found a list .*expected a mapping"),
    ("a: \x00\n", r"^t.yaml: not YAML: .*special characters are not allowed"),
]


@pytest.mark.parametrize(("text", "message"), _WRONG)
def test_an_error_names_the_place_the_finding_and_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="t.yaml")
    assert re.search(message, str(caught.value), re.MULTILINE), str(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.problems[0].source == "t.yaml"


def test_a_mistyped_key_is_not_told_as_missing_too() -> None:
    text = MINIMAL.replace("calib_level", "calib_levl").replace("facility_name", "facility_nam")
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert [problem.path for problem in caught.value.problems] == [
        "dataset_types.raw.calib_levl",
        "facility_nam",
    ]


def test_all_problems_are_told_at_once_in_the_order_of_their_kind() -> None:
    text = with_keys(
        "tapdb: {view: x, embargo_hours: -1}", "indices: {a: b}", "spectral_ranges: {r: [2.0, 1.0]}"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert [problem.path for problem in caught.value.problems] == [
        "spectral_ranges.r",
        "indices.a",
        "tapdb.view",
        "tapdb.embargo_hours",
    ]


def test_a_column_has_one_type_for_all_dataset_types() -> None:
    text = with_keys(
        "extra_columns: {a: {template: '{visit}', type: int}}",
        """
        dataset_types:
          raw: {dataproduct_type: image, calib_level: 1, extra_columns: {a: text}}
    """,
    )
    with pytest.raises(
        ConfigError, match=r"dataset_types.raw.extra_columns.a: found the type string, but int at extra"
    ):
        parse_config(text)


def test_a_merged_key_is_found_where_it_is_written() -> None:
    text = with_keys("""
        dataset_types:
          raw: &raw {dataproduct_type: image, calib_level: 1, o_ucd: 5}
          calexp: {<<: *raw, calib_level: 2}
    """)
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert [(problem.path, problem.line, problem.column) for problem in caught.value.problems] == [
        ("dataset_types.raw.o_ucd", 6, 55),
        ("dataset_types.calexp.o_ucd", 6, 55),
    ]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no/such/file.yaml: cannot be read: No such file"):
        read_config("no/such/file.yaml")


def test_what_is_doubtful_is_a_warning_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    text = with_keys(
        "use_butler_uri: false",
        """
        dataset_types:
          raw: {dataproduct_type: picture, calib_level: 1}
    """,
    )
    text = re.sub("obs_collection.*\nobs_publisher_did_fmt.*\n", "", text)
    with caplog.at_level(logging.WARNING):
        parse_config(text, source="t.yaml")
    messages = [record.getMessage() for record in caplog.records]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert messages[0] == "t.yaml:3:1: use_butler_uri: without effect, here as in Butler; remove it"
    assert [re.search("no ([a-z_]+)", message)[1] for message in messages[1:]] == [  # type: ignore[index]
        "obs_publisher_did_fmt",
        "dataproduct_type",
        "obs_id_fmt",
        "obs_collection",
    ]


def test_an_ordinary_configuration_gives_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    parse_config(MINIMAL)
    assert not caplog.records
