"""The recipes of obscore_view/README.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

from pathlib import Path

from tests.recipes import copy_tree, follow, passed, read_recipes

NEW = ("test_every_ucd_and_unit_is_one[lsst_seeing]", "[SuprimeCam-Subaru]", "[sky_mosaic-3-")
"""Part of the name of a test that each recipe adds."""


def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(tmp_path: Path) -> None:
    recipes = read_recipes("obscore_view")
    printed = follow(copy_tree(tmp_path, "obscore_view"), recipes)
    assert [passed(printed, name) for name in NEW] == [True] * len(recipes)
