"""The house: small folders, deep modules, one direction, and names where a stranger looks for them."""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.pages import written_pages
from tests.docs.test_recipes import ADDED
from tools.structure import (
    PACKAGES,
    PROJECT,
    Module,
    class_chains,
    import_cycles,
    lone_subclasses,
    minutes_of,
    modules_in_folders,
    read_modules,
    repeated_lines,
)

LONGEST, SHORTEST, LARGEST_FOLDER, DEEPEST_CHAIN = 600, 40, 16, 3

LONG_WITH_A_REASON = {
    "adql/parser.py": "one class: what it reads calls what it reads, down to literals and up again",
}
SHORT_WITH_A_REASON = {
    "tapdb/collecting.py": "for readers of Felis and writers of TAP_SCHEMA, with nothing else in common",
}
# File names that may stand in several folders of a package: roles of every job, and stages of ADQL that both
# the check and each back end have.
ROLES = {"cli", "errors", "derived"}
STAGES = {"query", "values", "functions", "geometry"}
REPEATED_WITH_A_REASON = {
    # adql is pure and knows no VOTable; a column of a result is described in both in the same words.
    "adql/metadata.py": {"tapdb/votable/fields.py"},
    "adql/types.py": {"tapdb/hooks/descriptions.py", "tapdb/votable/fields.py"},
}

LONGEST_PAGE = 40

# Words that hide who does what.
UNCLEAR = re.compile(
    r"\b([Ww]hoever|[Ww]hatever|(is|are|was|were) asked|anew|for ever|[Tt]old the number|[Nn]othing stands in"
    r"|(?<!there )(?<!given )is none|without_nothing|textual_null)\b"
)
PLAIN_FOLDERS = (*PACKAGES, "benchmarks", "examples", "migrations", "tools")
# Packages whose folders are read from the lowest layer up.
READ_UPWARDS = {*PACKAGES} - {"adql"}

MODULES = read_modules()
FOLDERS = sorted({module.path.parent for module in MODULES})


def test_a_module_is_deep_and_not_too_long() -> None:
    sizes = {
        module.path.as_posix(): len(module.lines) for module in MODULES if module.path.stem != "__init__"
    }
    assert {path for path, size in sizes.items() if size > LONGEST} == LONG_WITH_A_REASON.keys()
    assert {path for path, size in sizes.items() if size < SHORTEST} == SHORT_WITH_A_REASON.keys()


def test_a_folder_holds_few_modules() -> None:
    counts = modules_in_folders(MODULES)
    assert sum(counts.values()) > 150
    counts |= modules_in_folders(read_modules(("examples",)))
    assert {path: count for path, count in counts.items() if count > LARGEST_FOLDER} == {}


def test_classes_stand_on_few_others() -> None:
    chains = class_chains(MODULES)
    assert len(chains) > 100
    assert {name: chain for name, chain in chains.items() if len(chain) > DEEPEST_CHAIN} == {}


def test_no_abstract_class_has_a_single_subclass() -> None:
    assert lone_subclasses(class_chains(MODULES)) == {}


def class_places(modules: Sequence[Module]) -> dict[str, list[str]]:
    """Return the modules that define each class, and each name for a type."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module.path.as_posix())
            # A name for a type has capitals and small letters; a private one stays in its module.
            elif isinstance(node, ast.Assign) and re.fullmatch(
                r"[A-Z]+[a-z]\w*", name := ast.unparse(node.targets[0])
            ):
                places[name].append(module.path.as_posix())
    return places


def test_a_class_name_has_one_meaning() -> None:
    places = class_places(MODULES)
    assert len(places) > 250
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_class_name_with_two_meanings_would_be_seen() -> None:
    text = "class Rows:\n    pass\n"
    pair = [Module(Path("one.py"), text), Module(Path("two.py"), "Rows = list[int]\n_Rows = 1\nROWS = 2\n")]
    assert class_places(pair) == {"Rows": ["one.py", "two.py"]}


def test_only_packages_list_what_is_public() -> None:
    """Elsewhere an underscore says what is private."""
    assert [module.name for module in MODULES if module.public and module.path.stem != "__init__"] == []


def test_what_a_package_lists_is_used_elsewhere() -> None:
    others = [*read_modules(("tests", "benchmarks", "examples", "tools", "migrations")), *MODULES]
    used: dict[str, set[str]] = defaultdict(set)
    for module in others:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module != module.name:
                used[node.module] |= {alias.name for alias in node.names}
    pages = "\n".join(file.read_text(encoding="utf-8") for file in PROJECT.glob("docs/*.md"))
    listed = [(module.name, name) for module in MODULES for name in module.public]
    assert len(listed) > 20
    assert [
        f"{module}.{name}" for module, name in listed if name not in used[module] and name not in pages
    ] == []


def test_a_file_name_stands_in_one_folder_of_a_package_unless_it_is_a_role() -> None:
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in MODULES:
        allowed = ROLES | {"__init__"} | (STAGES if module.package == "adql" else set())
        # A command is called as its users call it, whatever module does the work.
        if module.path.stem not in allowed and module.path.parent.name != "cli":
            places[module.package, module.path.stem].append(module.path.parent.as_posix())
    assert {name: folders for name, folders in places.items() if len(folders) > 1} == {}


@pytest.mark.parametrize("folder", [one for one in FOLDERS if one != Path("adql")], ids=str)
def test_a_folder_says_in_which_order_to_read_it(folder: Path) -> None:
    tree = ast.parse((PROJECT / folder / "__init__.py").read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    parts = [module.path.stem for module in MODULES if module.path.parent == folder]
    parts += [other.name for other in FOLDERS if other.parent == folder]
    missing = [name for name in parts if not name.startswith("__") and not re.search(rf"`{name}`", text)]
    assert missing == []


def layers() -> dict[str, list[set[str]]]:
    """Return the layers of each folder that import-linter checks, lowest first."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        container: [set(re.findall(r"\w+", layer)) for layer in reversed(contract["layers"])]
        for contract in settings["tool"]["importlinter"]["contracts"]
        for container in contract.get("containers", ())
    }


@pytest.mark.parametrize("folder", [one for one in FOLDERS if one.parts[0] in READ_UPWARDS], ids=str)
def test_a_folder_has_a_contract_on_all_its_modules_and_is_read_from_below(folder: Path) -> None:
    parts = {module.path.stem for module in MODULES if module.path.parent == folder} - {"__init__"}
    parts |= {other.name for other in FOLDERS if other.parent == folder}
    found = layers()[".".join(folder.parts)]
    assert set().union(*found) == parts
    tree = ast.parse((PROJECT / folder / "__init__.py").read_text(encoding="utf-8"))
    named = [one for one in re.findall(r"`(\w+)`", ast.get_docstring(tree) or "") if one in parts]
    ranks = {name: rank for rank, layer in enumerate(found) for name in layer}
    order = [ranks[name] for name in dict.fromkeys(named) if name not in ROLES]
    assert order == sorted(order), named


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert import_cycles() == []


def test_packages_have_no_six_lines_in_common() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for first, second in repeated_lines(MODULES):
        found[first.partition(":")[0]].add(second.partition(":")[0])
    assert dict(found) == REPEATED_WITH_A_REASON


def test_what_is_repeated_would_be_seen() -> None:
    text = "".join(f"line_{number} = {number}\n" for number in range(6))
    pair = [Module(Path(name, "one.py"), text) for name in ("first", "second")]
    assert repeated_lines(pair) == [("first/one.py:1", "second/one.py:1")]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_a_short_page_with_a_picture_an_order_and_recipes_that_are_tested(package: str) -> None:
    page = PROJECT.joinpath(package, "README.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= LONGEST_PAGE
    assert "```\n" in page, "a picture of the stages"
    assert "Read in this order: " in page
    recipes = page.split("\n## ")[1:]
    assert len(recipes) == 3
    assert all(re.search(r"^1\. ", one, re.MULTILINE) and "Run `" in one for one in recipes)
    assert len(ADDED[package]) >= len(recipes)


def unclear_lines(text: str) -> list[str]:
    """Return the lines that use words which a reader would have to decode."""
    return [line.strip() for line in text.splitlines() if UNCLEAR.search(line)]


@pytest.mark.parametrize("folder", PLAIN_FOLDERS)
def test_docstrings_help_errors_and_comments_are_in_plain_words(folder: str) -> None:
    modules = read_modules((folder,))
    assert len(modules) >= 3
    assert {
        module.path.as_posix(): found
        for module in modules
        # A revision keeps its text for good.
        if module.path.parent.name != "versions" and (found := unclear_lines("\n".join(module.lines)))
    } == {}


def test_pages_are_in_plain_words() -> None:
    assert {
        page.relative_to(PROJECT).as_posix(): found
        for page in written_pages()
        if (found := unclear_lines(page.read_text(encoding="utf-8")))
    } == {}


def test_sql_is_in_plain_words() -> None:
    files = sorted(PROJECT.joinpath("sql").rglob("*.sql"))
    assert len(files) > 50
    assert {
        file.relative_to(PROJECT).as_posix(): found
        for file in files
        if (found := unclear_lines(file.read_text(encoding="utf-8")))
    } == {}


@pytest.mark.parametrize(
    "line",
    [
        "Connection of whoever migrates.",
        "The text is the same, whatever it is.",
        "`None` if it is none; what is wrong is noted.",
        "What should be there is asked of PostgreSQL itself.",
        "Make a view anew.",
        "0 is for ever.",
        "Told the number of a statement.",
        "# Nothing stands in the way of anything.",
    ],
)
def test_unclear_words_would_be_seen(line: str) -> None:
    assert unclear_lines(f"Plain words.\n    {line}\n") == [line]
    assert unclear_lines("Raised if there is none, or more than one.\nMaximum number of rows.") == []


def test_minutes_of_the_tests_come_from_the_record_of_a_run_as_on_two_cores(tmp_path: Path) -> None:
    record = tmp_path / "make_test.json"
    run = {"seconds": 570, "workers": 2, "failed": 0}
    record.write_text(json.dumps(run))
    assert minutes_of(record) == 9.5
    for wrong in ({"failed": 1}, {"workers": 8}):
        record.write_text(json.dumps(run | wrong))
        with pytest.raises(ValueError, match="not a run of 2 workers in which all tests passed"):
            minutes_of(record)


@pytest.mark.parametrize("failed", [0, 1])
def test_make_test_writes_that_record(tmp_path: Path, failed: int) -> None:
    """The recipe of the Makefile runs, with programs that do nothing in place of setup, linters and tests."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    programs = [
        "tools/setup.sh",
        *(f".venv/bin/{name}" for name in ("ruff", "mypy", "lint-imports", "python")),
    ]
    for name in programs:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\nexit {failed if name.endswith('python') else 0}\n")
        program.chmod(0o755)
    # The tests themselves may run with more workers than are usual.
    environment = {name: value for name, value in os.environ.items() if name != "WORKERS"}
    done = subprocess.run(
        ["make", "test"], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert (done.returncode != 0) is bool(failed), done
    run = json.loads((tmp_path / ".cache" / "make_test.json").read_text())
    assert run == {"seconds": run["seconds"], "workers": 2, "failed": failed}
    assert 0 <= run["seconds"] < 60
