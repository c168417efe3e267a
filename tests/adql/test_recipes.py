"""The recipes of adql/README.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from adql import AdqlNameError, AdqlSyntaxError, parse, to_postgres
from adql.units import UnitError, read_unit
from tests.adql.published_tables import METADATA
from tests.recipes import copy_tree, follow, passed, read_recipes

NEW = ("[CBRT(1)]", "WHERE CBRT(objectId * 8) = 2", "astropy_says[Ba]", "GLOB 'a*'")
"""Parts of the names of tests that the recipes add."""


def test_without_the_recipes_there_is_none_of_it() -> None:
    with pytest.raises(AdqlNameError, match='no function "CBRT"'):
        to_postgres(parse("SELECT CBRT(psfFlux) AS v FROM cat.Object"), METADATA)
    with pytest.raises(UnitError):
        read_unit("Ba")
    with pytest.raises(AdqlSyntaxError) as caught:
        parse("SELECT x FROM t WHERE y GLOB 'a*'")
    assert "use LIKE" not in str(caught.value)


def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(tmp_path: Path) -> None:
    copy = copy_tree(tmp_path, "adql")
    printed = follow(copy, read_recipes("adql"))
    assert [passed(printed, name) for name in NEW] == [True] * len(NEW)
    assert "| `CBRT` | 1 | numeric |" in (copy / "docs" / "adql-grammar.md").read_text(encoding="utf-8")
