"""The recipes of tap_query/README.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

from pathlib import Path

from tests.recipes import copy_tree, follow, passed, read_recipes

NEW = ("[2201G-user-", "[25P04-time-", "[IntervalStyle-iso_8601]")
"""Part of the name of a test that each recipe adds."""


def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(tmp_path: Path) -> None:
    recipes = read_recipes("tap_query")
    printed = follow(copy_tree(tmp_path, "tap_query"), recipes)
    assert [passed(printed, name) for name in NEW] == [True] * len(recipes)
