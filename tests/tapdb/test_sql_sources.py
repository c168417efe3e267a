"""The SQL sources: how they are read, ordered and frozen, and that those of this project keep the rules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapdb.errors import FrozenSourceError
from tapdb.sources import (
    SqlSource,
    SqlSourceError,
    freeze,
    frozen_folder,
    in_dependency_order,
    newest_version,
    parse_source,
    read_all_current,
    read_current,
    read_frozen,
    sql_folder,
)

PROJECT = Path(__file__).parents[2]
SOURCES = read_all_current()
TEXT = """-- What it is for.
-- Why it is so.
-- requires: schemas/a, functions/a.f
-- drop
DROP FUNCTION IF EXISTS a.g();
-- create
CREATE FUNCTION a.g() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
-- drop
-- create
  RETURN 1;
END
$$;
"""


def source(name: str, *requires: str, text: str = TEXT) -> SqlSource:
    return SqlSource(name, Path(), text, "", "", "", requires)


def parsed(name: str, text: str = TEXT) -> SqlSource:
    return parse_source(name, Path("x.sql"), text)


def test_a_source_is_read_in_its_parts() -> None:
    found = parse_source("functions/a.g", Path("x.sql"), TEXT)
    assert found.purpose == "What it is for.\nWhy it is so."
    assert found.requires == ("schemas/a", "functions/a.f")
    assert found.drop == "DROP FUNCTION IF EXISTS a.g();"
    assert found.create.startswith("CREATE FUNCTION a.g()")
    assert found.create.endswith("$$;\n")


def test_headings_inside_of_a_function_body_are_text() -> None:
    assert "-- drop\n-- create\n  RETURN 1" in parse_source("functions/a.g", Path("x.sql"), TEXT).create


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected purpose lines, a line '-- drop'"),
        ("-- For it.\n-- create\nSELECT 1;\n-- drop\nSELECT 1;\n", "then '-- create' with SQL below it"),
        ("-- For it.\n-- drop\n-- create\nSELECT 1;\n", "with SQL below it"),
        ("-- For it.\n-- drop\nSELECT 1;\n-- create\n\n", "with SQL below it"),
        ("-- drop\nSELECT 1;\n-- create\nSELECT 1;\n", "the first line must be a comment"),
        ("-- For it.\nSELECT 0;\n-- drop\nSELECT 1;\n-- create\nSELECT 1;\n", "found 'SELECT 0;'"),
    ],
)
def test_a_file_in_another_form_is_refused_with_its_name(text: str, problem: str) -> None:
    with pytest.raises(SqlSourceError, match=f"functions/a.g: .*{re.escape(problem)}"):
        parse_source("functions/a.g", Path("x.sql"), text)


def test_a_source_that_does_not_exist_is_named() -> None:
    with pytest.raises(SqlSourceError, match=r"there is no sql/functions/tapdb\.nothing\.sql"):
        read_current("functions/tapdb.nothing")


def test_what_is_required_comes_first() -> None:
    given_order = (source("c", "a", "b"), source("b", "a"), source("a"))
    assert [s.name for s in in_dependency_order(given_order)] == ["a", "b", "c"]


def test_sources_that_require_each_other_are_refused() -> None:
    with pytest.raises(SqlSourceError, match=r"requires itself: (a <- b <- a|b <- a <- b)"):
        in_dependency_order((source("a", "b"), source("b", "a")))


def test_a_requirement_that_no_file_meets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "a.g.sql").write_text(TEXT)
    with pytest.raises(SqlSourceError, match=r"functions/a\.g: requires schemas/a, but there is no"):
        read_all_current(folder=tmp_path)


def test_freezing_writes_a_new_version_only_for_a_new_text(tmp_path: Path) -> None:
    first = freeze(parsed("functions/a.g"), folder=tmp_path)
    assert first == tmp_path / "functions" / "a.g@001.sql"
    assert freeze(parsed("functions/a.g"), folder=tmp_path) is None
    second = freeze(parsed("functions/a.g", text=TEXT + "-- more\n"), folder=tmp_path)
    assert second == tmp_path / "functions" / "a.g@002.sql"
    assert newest_version("functions/a.g", folder=tmp_path) == 2
    assert read_frozen("functions/a.g", 1, folder=tmp_path).text == TEXT


def test_better_words_for_the_purpose_need_no_new_version(tmp_path: Path) -> None:
    def freeze_text(text: str) -> Path | None:
        return freeze(parsed("functions/a.g", text), folder=tmp_path)

    assert freeze_text(TEXT)
    assert freeze_text(TEXT.replace("What it is for.", "What it is for, in more words.")) is None
    for number, part in enumerate(("schemas/a", "EXISTS a.g", "RETURN 1"), 2):
        assert freeze_text(TEXT.replace(part, f"{part}1")) == tmp_path / "functions" / f"a.g@00{number}.sql"


def test_versions_of_a_longer_name_do_not_count(tmp_path: Path) -> None:
    freeze(source("functions/a.g_more"), folder=tmp_path)
    assert newest_version("functions/a.g", folder=tmp_path) == 0
    assert newest_version('functions/"a/[b**', folder=tmp_path) == 0


def test_the_newest_version_can_be_replaced_before_a_release(tmp_path: Path) -> None:
    freeze(source("functions/a.g"), folder=tmp_path)
    freeze(source("functions/a.g", text=TEXT + "-- more\n"), folder=tmp_path, replace_newest=True)
    assert newest_version("functions/a.g", folder=tmp_path) == 1
    assert read_frozen("functions/a.g", 1, folder=tmp_path).text == TEXT + "-- more\n"


@pytest.mark.parametrize(
    "edit", [lambda text: text + "\n", lambda text: text.replace("RETURN 1", "RETURN 2")]
)
def test_a_frozen_text_that_was_edited_is_refused(tmp_path: Path, edit: Callable[[str], str]) -> None:
    path = freeze(source("functions/a.g"), folder=tmp_path)
    assert path is not None
    path.write_text(edit(path.read_text()))
    with pytest.raises(FrozenSourceError, match=r"functions/a\.g version 1: edited after it was frozen"):
        read_frozen("functions/a.g", 1, folder=tmp_path)
    with pytest.raises(FrozenSourceError):
        freeze(source("functions/a.g", text=TEXT + "-- more\n"), folder=tmp_path)


def test_a_frozen_text_without_its_digest_is_refused(tmp_path: Path) -> None:
    path = freeze(source("functions/a.g"), folder=tmp_path)
    assert path is not None
    path.write_text(TEXT)
    with pytest.raises(FrozenSourceError, match="the first line is not '-- sha256"):
        read_frozen("functions/a.g", 1, folder=tmp_path)


def test_a_version_that_was_never_frozen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrozenSourceError, match=r"functions/a\.g version 7: there is no such frozen text"):
        read_frozen("functions/a.g", 7, folder=tmp_path)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_freezing_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, body: str
) -> None:
    folder = tmp_path_factory.mktemp("frozen")
    text = f"{TEXT}-- {body}\nSELECT 1;\n"
    freeze(source("functions/a.g", text=text), folder=folder)
    assert read_frozen("functions/a.g", 1, folder=folder).text == text


# The sources of this project.


@pytest.mark.parametrize("name", [s.name for s in SOURCES])
def test_the_newest_frozen_text_has_todays_sql(name: str) -> None:
    assert read_frozen(name, newest_version(name)).has_same_sql(read_current(name))


def test_every_frozen_text_is_as_it_was_frozen() -> None:
    frozen = [
        path.relative_to(frozen_folder()).with_suffix("").as_posix()
        for path in frozen_folder().rglob("*.sql")
    ]
    assert len(frozen) >= len(SOURCES)
    for name, _, version in (path.partition("@") for path in frozen):
        read_frozen(name, int(version))


@pytest.mark.parametrize("found", SOURCES, ids=lambda s: s.name)
def test_a_source_says_what_it_is_for_and_whose_it_is(found: SqlSource) -> None:
    kind, _, name = found.name.partition("/")
    assert found.purpose.endswith(".")
    if kind != "grants":
        assert "COMMENT ON" in found.create
        assert name in found.create
    if kind in {"tables", "functions"}:
        assert "OWNER TO tapdb_owner;" in found.create
    if kind in {"tables", "functions", "schemas", "grants"}:
        assert re.search(r"\b(GRANT|REVOKE)\b", found.create)


REPLACED_IN_PLACE = {"functions/tapdb.footprint"}
"""Sources under which views of older revisions stay: their text says so."""


@pytest.mark.parametrize("found", SOURCES, ids=lambda s: s.name)
def test_a_source_neither_overwrites_nor_takes_with_it_what_others_made(found: SqlSource) -> None:
    statements = re.sub(r"--[^\n]*", "", found.text)
    replaces = re.search(r"\bCREATE\s+OR\s+REPLACE\b", statements, re.IGNORECASE) is not None
    assert replaces is (found.name in REPLACED_IN_PLACE)
    assert not replaces or "OR REPLACE: " in found.purpose
    assert not re.search(r"\bDROP\b[^;]*\bCASCADE\b", statements, re.IGNORECASE)


def test_every_file_below_sql_is_a_source_a_query_or_an_extension() -> None:
    folders = {path.relative_to(sql_folder()).parts[0] for path in sql_folder().rglob("*.sql")}
    assert folders <= {
        "roles",
        "schemas",
        "tables",
        "views",
        "functions",
        "grants",
        "queries",
        "extensions",
        "queue",
    }


def changed_frozen_texts(repository: Path) -> list[str]:
    """Return the frozen texts whose digest line is not the one that was committed, deleted ones too."""
    folder = "migrations/frozen"
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", folder],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    changed = []
    for name in listed.stdout.splitlines():
        shown = subprocess.run(
            ["git", "show", f"HEAD:{name}"], cwd=repository, capture_output=True, text=True, check=True
        )
        path = repository / name
        if not path.is_file() or path.read_text().splitlines()[:1] != shown.stdout.splitlines()[:1]:
            changed.append(name)
    return changed


def test_no_frozen_text_differs_from_the_one_that_was_committed() -> None:
    assert changed_frozen_texts(PROJECT) == []


def test_a_frozen_text_that_was_frozen_again_or_deleted_would_be_found(tmp_path: Path) -> None:
    folder = tmp_path / "migrations" / "frozen"
    for name in ("functions/a.f", "functions/a.g", "functions/a.h"):
        freeze(source(name), folder=folder)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    assert changed_frozen_texts(tmp_path) == []
    freeze(source("functions/a.g", text=TEXT + "-- more\n"), folder=folder, replace_newest=True)
    (folder / "functions" / "a.h@001.sql").unlink()
    assert changed_frozen_texts(tmp_path) == [
        "migrations/frozen/functions/a.g@001.sql",
        "migrations/frozen/functions/a.h@001.sql",
    ]
