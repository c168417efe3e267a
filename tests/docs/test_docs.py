"""The documentation is complete, current, and does what it shows."""

from __future__ import annotations

import gc
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.database import add_repository, make_example
from ppdb_replay import ReplayRecord, replay
from tap_query.metadata import read_metadata
from tapdb.errors import TapdbError
from tapdb.postgres.engine import checked_connection, create_database, driver_connection, drop_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tests.docs.notebooks import (
    CURVES,
    PATCHES,
    REGIONS,
    corners_of,
    from_plane,
    light_curve,
    read_notebook,
    run_notebook,
    shape,
    texts,
)
from tests.docs.pages import (
    ROOT,
    Session,
    anchors,
    broken_lines,
    links,
    pages,
    run_session,
    runnable,
    sessions,
    written_pages,
)
from tests.tapdb.test_project import modules
from tools import generate_docs
from tools.generate_docs import CONFIG_SECTIONS, DOCS, PACKAGES, PARTS, commands, generate, settings_variables

_REMOTE = ("https://", "http://", "mailto:")
_TEMPLATE, _DATABASE = "template", "archive"
_FILLED_BY: dict[str, Callable[[sa.URL, Path], object]] = {
    "tapdb ephemeral --": lambda _url, _files: None,
    "tapdb ephemeral --repository --": add_repository,
    "tapdb ephemeral --example --": lambda url, files: make_example(url, files, print),
}
_EXAMPLE = "tapdb ephemeral --example --"
_DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
_READER = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "COLUMNS": "110",
    "NO_COLOR": "1",
    "PSQL_PAGER": "",
}
# Those of the template stay.
_UNUSED_ROLES = """
    SELECT rolname FROM pg_roles AS role
    WHERE rolname IN ('tap', 'tapdb_owner', 'tapdb_reader', 'tapdb_service')
    AND NOT EXISTS (SELECT FROM pg_shdepend WHERE refobjid = role.oid AND deptype <> 'p')
    ORDER BY rolname
"""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


Run = Callable[[Session], list[str]]


@dataclass(frozen=True, slots=True)
class Original:
    """What a line of a page starts: a server with a template database, and the folder of its files."""

    server: EphemeralServer
    files: Path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Original]]:
    """Return a function that gives what a line starts; a server for each, for roles belong to all of it."""

    @cache
    def make(start: str) -> Original:
        server, files = stack.enter_context(EphemeralServer()), tmp_path_factory.mktemp("files")
        url = create_database(server.url(), _TEMPLATE, template="template0")
        with checked_connection(url) as connection:
            install_extensions(connection)
            connection.commit()
        with pytest.MonkeyPatch.context() as environment:
            # dax_apdb takes it from there.
            environment.setenv("PGPASSWORD", server.password)
            _FILLED_BY[start](url, files)
        # Butler and dax_apdb keep connections: a database with any cannot be copied.
        gc.collect()
        with checked_connection(server.url()) as connection:
            connection.execute(sa.text(_DISCONNECT), {"name": _TEMPLATE})
        return Original(server, files)

    with ExitStack() as stack:
        yield make


@pytest.fixture
def place(
    original: Callable[[str], Original], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that copies what a line starts, goes there, and returns the database."""
    for name, value in _READER.items():
        monkeypatch.setenv(name, value)
    # What a reader sees who has not set it: output and errors must come in their order by themselves.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    used: list[EphemeralServer] = []

    def place(start: str) -> sa.URL:
        files = tmp_path / "files"
        url = sa.make_url("postgresql://no-database-is-needed.invalid/")
        if not start:
            files.mkdir()
            monkeypatch.setenv("DATABASE_URL", str(url))
        else:
            given = original(start)
            used.append(given.server)
            shutil.copytree(given.files, files, symlinks=True)
            url = create_database(given.server.url(), _DATABASE, template=_TEMPLATE)
            for name, value in client_environment(url, files).items():
                monkeypatch.setenv(name, value)
        monkeypatch.chdir(files)
        return url

    yield place
    for server in used:
        drop_database(server.url(), _DATABASE)
        with checked_connection(server.url()) as connection:
            for role in connection.scalars(sa.text(_UNUSED_ROLES)).all():
                connection.execute(sa.text(f"DROP ROLE {role}"))
            connection.commit()


@pytest.fixture
def run(place: Callable[[str], sa.URL]) -> Run:
    """Return a function that runs a session as `tapdb ephemeral` would, in a copy of its database."""

    def run(session: Session) -> list[str]:
        place(session.start)
        return run_session(session)

    return run


# The README's blocks run below, as a newcomer types them.
@pytest.mark.parametrize(
    ("page", "session"),
    [
        pytest.param(page, one, id=f"{page.name} {one.start}")
        for page in runnable()
        if page != ROOT / "README.md"
        for one in sessions(page)
    ],
)
def test_what_a_page_shows_is_what_happens(page: Path, session: Session, run: Run) -> None:
    problems = run(session)
    assert not problems, "\n".join(problems)


def test_the_notebook_about_obscore_draws_what_the_database_holds(place: Callable[[str], sa.URL]) -> None:
    url = place(_EXAMPLE)
    content, drawn = run_notebook("obscore", PATCHES)
    # What is stored is what is printed today.
    assert texts(content) == texts(read_notebook("obscore"))
    with checked_connection(url) as connection:
        regions = connection.scalars(sa.text(REGIONS)).all()
    corners = {
        (round((ra + 180) % 360 - 180, 6), round(dec, 6))
        for region in regions
        for ra, dec in corners_of(region)
    }
    assert len(regions) == sum(len(polygons) for polygons in drawn.values()) > 20
    # Back from the plane that touches the sky at RA 0, Dec 0.
    found = {
        tuple(round(one, 6) for one in from_plane(x, y))
        for polygons in drawn.values()
        for polygon in polygons
        for x, y in polygon
    }
    assert found == corners


def test_the_notebook_about_a_figure_draws_it_again_from_its_record(place: Callable[[str], sa.URL]) -> None:
    url = place(_EXAMPLE)
    with checked_connection(url) as connection:
        before = light_curve(connection)
    content, drawn = run_notebook("figure", CURVES)
    assert shape(content) == shape(read_notebook("figure"))
    record = ReplayRecord.from_json(drawn["record"])
    with checked_connection(url) as connection:
        after = light_curve(connection)
        published_types = read_metadata(connection)
        connection.commit()
        replayed = replay(driver_connection(connection), record, published=published_types)
    published, now, again = drawn["panels"]
    assert published == again == sorted(before)
    assert now == sorted(after) != published
    assert len(published) == record.row_count == len(replayed.rows) > len(now) > 10
    assert replayed.digest == record.digest
    assert [line for line in texts(content) if "True" in line or "False" in line] == [
        f"{len(published)} rows then, {len(now)} now; the same digest: False\n",
        f"the same rows: True\n{record.repeatable}\n",
        "whole: True | identical in the database: True\n",
    ]


def test_a_page_that_shows_something_else_is_found(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo one\ntwo\n$ false\n$ echo '1 2'\n1 ...\n```\n```python\n>>> 1 + 1\n3\n```\n"
    )
    (session,) = sessions(page)
    assert len(run(session)) == 3


def test_a_page_that_does_not_say_which_database_it_needs_has_none(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ tapdb extensions check > /dev/null 2>&1\n```\n")
    (session,) = sessions(page)
    assert len(run(session)) == 1


def test_all_blocks_of_the_readme_have_a_database() -> None:
    assert len(sessions(ROOT / "README.md")) == 2
    assert all(session.start for session in sessions(ROOT / "README.md"))


@pytest.mark.parametrize("session", sessions(ROOT / "README.md"), ids=lambda one: one.start)
def test_a_newcomer_who_types_what_the_readme_says_sees_what_it_says(
    session: Session, tmp_path: Path
) -> None:
    """The line is run as it stands there, with what follows in place of the shell."""
    environment = os.environ | _READER | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    environment.pop("PYTHONUNBUFFERED", None)
    reader = shlex.join(["python", "-m", "tests.docs.pages", str(ROOT / "README.md"), session.start])
    done = subprocess.run(
        ["bash", "-c", f"{session.start} {reader}"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == [f"{len(session.blocks)} blocks, 0 problems"], done


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == generate(text), "run `make docs` and commit docs/"


def test_every_generated_part_is_in_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert set(re.findall(r"<!-- generated: ([a-z-]+) -->", text)) == set(PARTS)


def test_figures_of_a_benchmark_are_shown_with_what_they_were_to_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "obscore.json"
    results.write_text('{"uuid_ratio": 12.345, "did_ratio": 0.001, "rows": 1100000}')
    monkeypatch.setattr(generate_docs, "_RESULTS", results)
    text = generate("<!-- generated: figures -->\n<!-- end -->\n")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[2:] for row in rows] == [
        ["12.3", "3", "missed |"],
        ["0.001", "0.007", "reached |"],
    ]


@pytest.mark.parametrize("path", [path for path, _, _ in commands()], ids=" ".join)
def test_every_command_and_option_is_documented(path: tuple[str, ...]) -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert re.search(rf"^#+ `{' '.join(path)}`$", text, re.MULTILINE)
    (command,) = (one for words, one, _ in commands() if words == path)
    assert command.help, "a command without help"
    assert "not available" not in command.help
    for parameter in command.params:
        for option in parameter.opts:
            assert not option.startswith("-") or option in text


def test_every_setting_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in settings_variables() if f"`{name}`" not in text] == []


def test_every_key_of_a_configuration_is_documented_with_its_meaning() -> None:
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for section in CONFIG_SECTIONS.values():
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no description"
            assert f"| `{name}` |" in text
    annotated = (ROOT / "examples" / "configs" / "annotated.yaml").read_text(encoding="utf-8")
    keys = {name for section in CONFIG_SECTIONS.values() for name in section.model_fields}
    assert [name for name in keys if not re.search(rf"\b{name}:", annotated)] == []


def test_every_error_is_documented_with_what_to_do() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(one.__name__ for one in errors())


def test_exit_codes_of_errors_are_documented() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \| (\d) \|", text, re.MULTILINE))
    assert said == {one.__name__: str(one.exit_code) for one in errors()}


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_exports_is_documented(name: str) -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    public = [one for one in import_module(name).__all__ if not one.startswith("__")]
    assert public
    assert [one for one in public if not re.search(rf"^\| `{one}` \| \w", text, re.MULTILINE)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in links(page):
        if target.startswith(_REMOTE):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            dead.append(target)
    assert dead == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        here = {
            (page.parent / one.partition("#")[0]).resolve()
            for one in links(page)
            if not one.startswith(_REMOTE)
        }
        waiting += [one for one in here - reached if one.suffix == ".md" and one.exists()]
    assert [name_of(page) for page in pages() if page not in reached] == []


def test_decisions_are_named_by_a_number_of_their_own_and_a_title() -> None:
    found = sorted(path for path in (DOCS / "adr").iterdir() if path.name != "README.md")
    assert [path.name for path in found if not re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", path.name)] == []
    numbers = [path.name[:4] for path in found]
    assert len(numbers) == len(set(numbers))
    for path in found:
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. "), path.name


def test_every_module_that_contributors_are_sent_to_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folder, missing, count = ROOT, [], 0
    for line in text.splitlines():
        if heading := re.match(r"In(?:side)? (?:a job|`(\w+)/`)", line):
            folder = ROOT / (heading[1] or "obscore_view")
        for named in re.findall(r"`([\w/.*]+(?:\.py|\.sql|/))`", line) if line.startswith("|") else ():
            count += 1
            if not any(list(place.glob(named)) for place in (ROOT, folder)):
                missing.append(named)
    assert count > 40
    assert missing == []


def test_pages_have_one_sentence_a_line() -> None:
    assert len(written_pages()) > 80
    assert {
        name_of(page): found
        for page in written_pages()
        if (found := broken_lines(page.read_text(encoding="utf-8")))
    } == {}


@pytest.mark.parametrize(
    "line",
    [
        "One sentence. Another one.",
        "One sentence. tapdb begins the next.",
        "Is this one? `code` is another.",
        "* An item. And more of it.",
        "1. Edit the file. Run the test.",
        "It ends in `code`. Then it goes on.",
        "It ends in parentheses (with more). Then it goes on.",
        "**It is bold.** It is not.",
        "See [a link](page.md). Then read on.",
        "A sentence that does not end\nin its line.",
        "* An item that does not end\n  in its line.",
        "The control stands behind\n```text\nA block. Of text.\n```\nand goes on. Twice.",
    ],
)
def test_a_page_with_two_sentences_in_a_line_or_half_a_one_is_found(line: str) -> None:
    assert len(broken_lines(f"# A title\n\n{line}\n")) == 1


def test_what_is_no_end_of_a_sentence_is_told_from_one() -> None:
    text = """
# 1. A title
* [2. A link](page.md)

Versions 1.2 and 1.3, e.g. those (see it. There) of `a. b`, are read by "One. Two." and RFC 3986.
Columns DiaObject, DiaSource, ... are there:
1. Edit it.
   It is an [item](../a.b.md) that ends: "So. It is".

| a cell. Another | one |
> A quotation. Another one.
```sh
one. two
```
  ```text
  one. two
  ```
"""
    assert broken_lines(text) == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_page_names_a_place_on_somebody_s_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|Users|root|work|tmp)/[\w./-]+", text) == []


def errors() -> set[type[TapdbError]]:
    """Return all classes of errors that are public."""
    for name in modules():
        __import__(name)
    found: set[type[TapdbError]] = set()
    waiting: list[type[TapdbError]] = [TapdbError]
    while waiting:
        error = waiting.pop()
        found.add(error)
        waiting += error.__subclasses__()
    return {
        one
        for one in found
        if not one.__name__.startswith("_") and one.__module__.partition(".")[0] != "tests"
    }
