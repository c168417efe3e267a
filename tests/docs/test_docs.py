"""The documentation is complete, current, and does what it shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from examples.lsstcam import OBSCORE_CONFIG, TINY, make_repository
from tapdb.databases import create_database, drop_database
from tapdb.engine import create_engine
from tapdb.errors import TapdbError
from tapdb.extensions import install_extensions
from tapdb.server import EphemeralServer
from tests.docs.pages import ROOT, anchors, blocks, links, pages, run_block, runnable
from tests.tapdb.test_project import modules
from tools import generate_docs
from tools.generate_docs import CONFIG_SECTIONS, DOCS, PACKAGES, PARTS, commands, generate, settings_variables

_REMOTE = ("https://", "http://", "mailto:")
_TEMPLATE, _DATABASE = "archive_template", "archive"
_ROLES = "DROP ROLE IF EXISTS tapdb_owner, tapdb_reader, tap"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def docs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EphemeralServer]:
    """Return a server with a template database that holds the demonstration's repository, schema butler."""
    with EphemeralServer() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSWORD", server.password)
        url = create_database(server.url("postgres"), _TEMPLATE, template="template0")
        engine = create_engine(url)
        with engine.begin() as connection:
            install_extensions(connection)
        engine.dispose()
        make_repository(url, tmp_path_factory.mktemp("butler"), content=replace(TINY, edges=False))
        yield server


@pytest.fixture
def run_page(
    docs_server: EphemeralServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path], list[str]]]:
    """Return a function that runs all that a page shows, in a database and a directory of its own."""
    for name in ("alembic.ini", "migrations", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "obscore.yaml").write_text(OBSCORE_CONFIG.read_text())
    create_database(docs_server.url("postgres"), _DATABASE, template=_TEMPLATE)
    environment = docs_server.environment(_DATABASE)
    # What a reader sees who has not set it: output and errors must come in their order by themselves.
    environment.pop("PYTHONUNBUFFERED", None)
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "HOME": str(tmp_path),
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "PSQL_PAGER": "",
    }
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(page: Path) -> list[str]:
        names: dict[str, Any] = {}
        shown = [block for block in blocks(page) if block.language in {"console", "python"}]
        return [problem for block in shown for problem in run_block(block, names, environment, tmp_path)]

    yield run
    drop_database(docs_server.url("postgres"), _DATABASE)
    engine = create_engine(docs_server.url("postgres"))
    with engine.begin() as connection:
        connection.execute(sa.text(_ROLES))
    engine.dispose()


@pytest.mark.parametrize("page", runnable(), ids=name_of)
def test_what_a_page_shows_is_what_happens(page: Path, run_page: Callable[[Path], list[str]]) -> None:
    problems = run_page(page)
    assert not problems, "\n".join(problems)


def test_a_page_that_shows_something_else_is_found(
    tmp_path: Path, run_page: Callable[[Path], list[str]]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo one\ntwo\n$ false\n$ echo '1 2'\n1 ...\n```\n```python\n>>> 1 + 1\n3\n```\n"
    )
    assert len(run_page(page)) == 3


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
        ["12.3", "10", "missed |"],
        ["0.001", "0.02", "reached |"],
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
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert documented == {one.__name__ for one in errors()}


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
    assert count > 60
    assert missing == []


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
