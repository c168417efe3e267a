"""The functions of the language: each has a row, a form of its arguments, a check, and SQL."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adql import forms, parse, to_postgres
from adql.backends.postgres import functions as written
from adql.check import functions as checked
from adql.words import FUNCTIONS
from tests.adql.published_tables import METADATA

PAGE = Path(__file__).parent.parent.parent / "docs" / "adql-grammar.md"

# An argument of each sort; coordinates and sizes are columns, so that none is out of range.
CALLS = {
    "numbers": ("1", "psfFlux"),
    "rand": ("",),
    "round": ("psfFlux", "psfFlux, 2"),
    "texts": ("name", "'a'"),
    "coalesce": ("name, 'a'", "psfFlux, 1"),
    "in_unit": ("coord_ra, 'arcsec'",),
    "one_geometry": ("pos", "cone"),
    "one_point": ("pos", "POINT(coord_ra, coord_dec)"),
    "two_geometries": ("pos, cone",),
    "distance": ("pos, POINT(1, 2)", "coord_ra, coord_dec, 1, 2"),
    "point": ("coord_ra, coord_dec",),
    "circle": ("pos, 0.1", "coord_ra, coord_dec, 0.1"),
    "box": ("pos, 1, 1", "coord_ra, coord_dec, 1, 1"),
    "polygon": ("1, 1, 2, 1, 2, 2", "pos, POINT(1, 2), POINT(2, 2)"),
    "region": ("'CIRCLE ICRS 10 20 1'",),
}


def calls() -> list[str]:
    """Return calls of every function, each sort of argument as often as the function takes it."""
    return [
        f"{name}({', '.join([arguments] * form.least) if form.arguments == 'numbers' else arguments})"
        for name, form in FUNCTIONS.items()
        for arguments in CALLS[form.arguments]
    ]


def test_each_function_has_a_form_a_check_and_a_writer() -> None:
    sorts = {form.arguments for form in FUNCTIONS.values()}
    assert sorts == forms._CHECKS.keys() == checked._CHECKS.keys() == CALLS.keys()
    # The check puts the geometry in the place of REGION: one of ADQL, or a range of positions.
    assert written._WRITERS.keys() == (FUNCTIONS.keys() - {"REGION"}) | {"RANGE"}


@pytest.mark.parametrize("call", calls())
def test_each_function_is_parsed_checked_and_written_with_arguments_of_each_sort(call: str) -> None:
    compiled = to_postgres(parse(f"SELECT {call} AS v FROM cat.Object"), METADATA)
    assert [column.name for column in compiled.columns] == ["v"]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_page_on_the_grammar_names_each_function(name: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"'{name}'" in text
    assert re.search(rf"^\| `{name}` \| ", text, re.MULTILINE)
