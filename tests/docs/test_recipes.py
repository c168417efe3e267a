"""The recipes of the packages' pages, followed to the letter in one copy of the tree."""

from __future__ import annotations

import pytest

from adql import AdqlNameError, AdqlSyntaxError, parse, to_postgres
from adql.units import UnitError, read_unit
from tests.adql.published_tables import METADATA
from tests.recipes import Followed, copy_tree, follow, passed, read_recipes

ADDED: dict[str, tuple[str, ...]] = {
    "adql": ("[CBRT(1)]", "WHERE CBRT(objectId * 8) = 2", "astropy_says[Ba]", "GLOB 'a*'"),
    "obscore_view": ("test_every_ucd_and_unit_is_one[lsst_seeing]", "[SuprimeCam-Subaru]", "[sky_mosaic-3-"),
    "ppdb_replay": ("[table_count-2]", "[ppdb_row_count-1]", "[date-char-10-None]"),
    "prompt_products": ("[deepCoadd_template]", "[lsst_night]", "[white]"),
    "services": ("[cors_seconds-20-20]", "[UnknownDatasetError-404]", "[adql-conditional-COALESCE]"),
    "tap_query": ("[2201G-user-", "[25P04-time-", "[IntervalStyle-iso_8601]"),
    "tap_schema": (
        "[ltree-",
        "test_a_column_that_is_wrong_is_found[values2-unit]",
        "goes_with_some_type[json]",
    ),
    "tapdb": ("[42704-ObjectMissingError]", "[votable_frame-votable:frame]", "[page_rows-20-20]"),
}
"""Parts of the names of tests that the recipes of each package add."""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Return the copy with the edits of all recipes, and what their commands printed."""
    copy = copy_tree(tmp_path_factory.mktemp("recipes"), tuple(ADDED))
    return follow(copy, [recipe for package in ADDED for recipe in read_recipes(package)])


def test_without_the_recipes_there_is_none_of_it() -> None:
    with pytest.raises(AdqlNameError, match='no function "CBRT"'):
        to_postgres(parse("SELECT CBRT(psfFlux) AS v FROM cat.Object"), METADATA)
    with pytest.raises(UnitError):
        read_unit("Ba")
    with pytest.raises(AdqlSyntaxError) as caught:
        parse("SELECT x FROM t WHERE y GLOB 'a*'")
    assert "use LIKE" not in str(caught.value)


@pytest.mark.parametrize("package", ADDED)
def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(
    followed: Followed, package: str
) -> None:
    assert [name for name in ADDED[package] if not passed(followed.printed, name)] == []


def test_the_pages_that_the_recipes_generate_have_what_they_add(followed: Followed) -> None:
    page = (followed.copy / "docs" / "adql-grammar.md").read_text(encoding="utf-8")
    assert "| `CBRT` | 1 | numeric |" in page


def test_a_test_that_did_not_pass_is_seen(followed: Followed) -> None:
    assert not passed(followed.printed, "a test that nobody has written")
