"""Format strings against Python's own `str.format`."""

from __future__ import annotations

import re
import string
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from obscore_view.config.template import (
    Attribute,
    DatasetId,
    DatasetTypeName,
    DimensionKey,
    EarlierColumn,
    FormatSpec,
    Index,
    Literal,
    RecordField,
    ReplacementField,
    RunName,
    Template,
    parse_template,
)
from obscore_view.errors import ConfigError, TemplateError

_TIME = SimpleNamespace(utc=SimpleNamespace(isot="2025-11-02T05:19:02.876000", mjd=60981.22155))
_VALUES: dict[str, Any] = {
    "records": {
        "visit": SimpleNamespace(name="MC_O_1", exposure_time=30.0, timespan=SimpleNamespace(begin=_TIME)),
        "exposure": SimpleNamespace(obs_id="MC_O_1", seq_num=7),
        "detector": SimpleNamespace(full_name="R22_S11"),
    },
    "instrument": "LSSTCam",
    "visit": 2025110200123,
    "detector": 94,
    "band": "r",
    "physical_filter": "r_57",
    "tract": 9813,
    "patch": 5,
    "skymap": "lsst_cells_v1",
    "id": UUID("5d1d7d4e-0f3c-4f3d-8e0c-111111111111"),
    "run": "LSSTCam/runs/a",
    "dataset_type": "visit_image",
    "dataproduct_type": "image",
    "calib_level": 2,
    "s_xel1": 4072,
    "obs_id": "MC_O_1",
    "obs_collection": None,
}


def _fill(template: Template) -> str:
    """Return what the parts say the string is, without the help of `str.format`."""
    return "".join(part.text if isinstance(part, Literal) else _filled(part) for part in template.parts)


def _filled(field: ReplacementField) -> str:
    value: Any
    match field.reference:
        case RecordField(element, path):
            value = attrgetter(".".join(path))(_VALUES["records"][element])
        case DatasetId():
            value = _VALUES["id"]
        case RunName():
            value = _VALUES["run"]
        case DatasetTypeName():
            value = _VALUES["dataset_type"]
        case DimensionKey(name) | EarlierColumn(name):
            value = _VALUES[name]
    for step in field.steps:
        value = getattr(value, step.name) if isinstance(step, Attribute) else value[step.key]
    if field.conversion is not None:
        value = string.Formatter().convert_field(value, field.conversion)
    return format(value, "" if field.spec is None else field.spec.text)


_REAL = [
    "{records[exposure].obs_id}",
    "{records[visit].name}",
    "{skymap}-{tract}-{patch}",
    "{band} {records[visit].name}-{records[detector].full_name}{records[visit].timespan.begin.utc.isot}",
    "ivo://org.rubinobs/usdac/lsst-dp1?repo=dp1&id={id}",
    "https://x.example/links?ID=ivo%3A%2F%2Forg%2Flsst%3Frepo%3Ddp1%26id%3D{id}",
    "butler%3A//embargo/{id}",
    "http://datalink.org/{obs_id}",
    "{visit}",
    "{run}",
    "{calib_level}{s_xel1}{dataproduct_type}{obs_collection}",
    "{{{visit}}}",
    "}}{{",
    "",
    "no field",
    "{visit:d} {detector:03d} {detector:x} {detector:#06x} {detector:>8} {band:<4}| {band:*^5}",
    "{records[visit].exposure_time:.3f}{records[visit].exposure_time:8.1e}{records[visit].exposure_time:+g}",
    "{visit:,} {visit:_} {tract!r} {band!r:>6} {band!s} {skymap!a} {band!s:}",
    "{id.hex} {id.version} {band[0]} {run:.7}",
    "it's 100 % 'quoted' :x",
    "é {band} ∆",
]


@pytest.mark.parametrize("text", _REAL)
def test_the_parts_mean_what_str_format_makes_of_the_text(text: str) -> None:
    template = parse_template(text)
    assert template.text == text
    assert _fill(template) == text.format(**_VALUES)


def test_every_kind_of_reference_is_told_apart() -> None:
    text = "{visit}/{records[visit].timespan.begin.utc.isot}/{calib_level}/{id}/{run}/{dataset_type}/{visit}"
    assert parse_template(text).references == (
        DimensionKey("visit"),
        RecordField("visit", ("timespan", "begin", "utc", "isot")),
        EarlierColumn("calib_level"),
        DatasetId(),
        RunName(),
        DatasetTypeName(),
    )


def test_fields_keep_their_steps_conversion_and_format() -> None:
    parts = parse_template("a{{b{id.hex!s:>40}{band[0]}{run[x y]}{detector:*=+#012,.3f}").parts
    assert parts == (
        Literal("a{b"),
        ReplacementField(DatasetId(), (Attribute("hex"),), "s", FormatSpec(">40", align=">", width=40), 4),
        ReplacementField(DimensionKey("band"), (Index(0),), position=18),
        ReplacementField(RunName(), (Index("x y"),), position=27),
        ReplacementField(
            DimensionKey("detector"),
            spec=FormatSpec(
                "*=+#012,.3f",
                "*",
                "=",
                "+",
                alternate=True,
                zero=True,
                width=12,
                grouping=",",
                precision=3,
                type="f",
            ),
            position=37,
        ),
    )


def test_literals_never_stand_side_by_side() -> None:
    assert parse_template("a{{}}b").parts == (Literal("a{}b"),)
    assert parse_template("").parts == ()


def _name(field: ReplacementField) -> str:
    """Return the name of a field as it was written."""
    match field.reference:
        case RecordField(element, path):
            return ".".join((f"records[{element}]", *path))
        case DimensionKey(name) | EarlierColumn(name):
            start = name
        case DatasetId():
            start = "id"
        case RunName():
            start = "run"
        case DatasetTypeName():
            start = "dataset_type"
    return start + "".join(f".{s.name}" if isinstance(s, Attribute) else f"[{s.key}]" for s in field.steps)


_pieces = st.one_of(
    st.sampled_from(
        ["{visit}", "{records[visit].name}", "{band:>5}", "{id.hex}", "{detector:04d}", "{run!r}", "{{", "}}"]
    ),
    st.text(st.characters(exclude_characters="{}"), max_size=5),
)


@given(pieces=st.lists(_pieces, max_size=8))
def test_any_mixture_of_text_and_fields_is_filled_as_by_str_format(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert _fill(parse_template(text)) == text.format(**_VALUES)


@given(text=st.text("{}[]!:. abvisit0", max_size=12))
def test_what_str_format_cannot_read_is_refused_and_what_is_accepted_it_reads_alike(text: str) -> None:
    try:
        theirs = list(string.Formatter().parse(text))
    except ValueError:
        theirs = None
    try:
        ours = parse_template(text)
    except TemplateError:
        return
    assert theirs is not None
    # Fields: name, conversion and format as written.
    fields = [(name, conversion, spec) for _, name, spec, conversion in theirs if name is not None]
    assume(fields)
    written = [part for part in ours.parts if isinstance(part, ReplacementField)]
    assert len(written) == len(fields)
    for part, (name, conversion, spec) in zip(written, fields, strict=True):
        assert part.conversion == conversion
        assert ("" if part.spec is None else part.spec.text) == (spec or "")
        assert _name(part) == re.sub(r"\[0+(\d)", r"[\1", name)
    literals = "".join(part.text for part in ours.parts if isinstance(part, Literal))
    assert literals == "".join(literal for literal, *_ in theirs)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (
            "a{visit",
            1,
            r'format string "a\{visit", character 2: found a \{ without \}; write \{\{ for a brace',
        ),
        ("visit}", 5, r"character 6: found a single \}; write \}\} for a brace"),
        ("{visit{x}}", 6, r"character 7: found a \{ within a field; close the field"),
        ("{visit:{detector}}", 7, r"found a \{ within a field"),
        ("{}", 0, r'found "\{\}", a field without a name; write the name of a dimension'),
        ("{:d}", 0, r'found "\{:d\}", a field without a name'),
        ("{0}", 0, r'found the field "0"; write the name'),
        ("{a b}", 2, r'character 3: found " b"; write .name or \[key\] behind a name'),
        ("{visit.}", 6, r'found "."'),
        ("{visit[}", 6, r'found "\["'),
        ("{visit[0]x}", 9, r'found "x"'),
        ("{visit!x}", 0, r'found the conversion "!x"; write !s, !r or !a'),
        ("{visit!}", 0, r'found the conversion "!"'),
        ("{visit!rr}", 0, r'found the conversion "!r"'),
        ("{visit:q}", 0, r'found the format ":q"; write one of Python'),
        ("{visit:3.}", 0, r'found the format ":3."'),
        ("{records}", 0, r"found records that are not taken as records\[element\].field; write, for example"),
        ("{records.visit}", 0, r"found records that are not"),
        ("{records[visit]}", 0, r"found records that are not"),
        ("{records[visit][name]}", 0, r"found records that are not"),
        ("ok {band} {records[visit].a[0]}", 10, r"character 11: found records that are not"),
    ],
)
def test_a_format_string_that_means_nothing_is_refused_with_its_place(
    text: str, position: int, message: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text)
    assert isinstance(caught.value, ConfigError)
    assert (caught.value.template, caught.value.position) == (text, position)
    assert re.search(message, str(caught.value)), str(caught.value)
