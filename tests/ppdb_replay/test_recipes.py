"""The recipes of ppdb_replay/README.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

from pathlib import Path

from tests.recipes import copy_tree, follow, passed, read_recipes

NEW = ("[table_count-2]", "[ppdb_row_count-1]", "[date-char-10-None]")
"""Part of the name of a test that each recipe adds."""


def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(tmp_path: Path) -> None:
    recipes = read_recipes("ppdb_replay")
    printed = follow(copy_tree(tmp_path, "ppdb_replay"), recipes)
    assert [passed(printed, name) for name in NEW] == [True] * len(recipes)
