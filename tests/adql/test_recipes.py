"""The recipes of adql/README.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from adql import AdqlNameError, AdqlSyntaxError, parse, to_postgres
from adql.units import UnitError, read_unit
from tests.adql.published_tables import METADATA

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "adql" / "README.md").read_text(encoding="utf-8")

EDIT = r"`([\w/.-]+)`, below `([^`]+)`: `([^`]+)`"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe adds (file, beginning of the line above, line), and what it runs."""

    title: str
    edits: tuple[tuple[str, str, str], ...]
    commands: tuple[str, ...]


def recipes() -> list[Recipe]:
    """Return the recipes of the page; each numbered step is one or the other."""
    found = []
    for section in README.split("\n## ")[1:]:
        steps = re.findall(r"^\d\. (.*)$", section, re.MULTILINE)
        edits = [(one[1], one[2], one[3]) for step in steps if (one := re.fullmatch(EDIT, step))]
        commands = [one for step in steps for one in re.findall(r"`(python -m [^`]*)`", step)]
        assert len(steps) == len(edits) + sum("Run `" in step for step in steps)
        found.append(Recipe(section.partition("\n")[0], tuple(edits), tuple(commands)))
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tree with the recipes followed; what no recipe changes is a link."""
    copy = tmp_path_factory.mktemp("tree")
    for entry in ROOT.iterdir():
        if entry.is_file():
            shutil.copy(entry, copy)
        elif entry.name not in ("adql", "docs", "tests") and not entry.name.startswith("."):
            (copy / entry.name).symlink_to(entry)
    without = shutil.ignore_patterns("__pycache__")
    for name in ("adql", "docs", "tests/adql"):
        shutil.copytree(ROOT / name, copy / name, ignore=without)
    for entry in (ROOT / "tests").iterdir():
        if entry.name != "adql":
            (copy / "tests" / entry.name).symlink_to(entry)
    for recipe in recipes():
        for name, above, line in recipe.edits:
            _add(copy / name, above, line)
    return copy


def _add(file: Path, above: str, line: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    places = [number for number, known in enumerate(lines) if known.lstrip().startswith(above)]
    assert len(places) == 1, f"{file.name}: {above}"
    indent = lines[places[0]][: -len(lines[places[0]].lstrip())]
    lines.insert(places[0] + 1, indent + line)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(copy: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_the_page_has_three_recipes_and_is_short() -> None:
    assert len(recipes()) == 3
    assert all(recipe.edits and recipe.commands for recipe in recipes())
    assert len(README.splitlines()) <= 40


def test_without_the_recipes_there_is_none_of_it() -> None:
    with pytest.raises(AdqlNameError, match='no function "CBRT"'):
        to_postgres(parse("SELECT CBRT(psfFlux) AS v FROM cat.Object"), METADATA)
    with pytest.raises(UnitError):
        read_unit("Ba")
    with pytest.raises(AdqlSyntaxError) as caught:
        parse("SELECT x FROM t WHERE y GLOB 'a*'")
    assert "use LIKE" not in str(caught.value)


def test_the_recipes_do_what_they_say_and_the_tests_that_they_name_pass(copy: Path) -> None:
    programs = [command.split()[1:] for recipe in recipes() for command in recipe.commands]
    tests = [name for program in programs if "pytest" in program for name in program[2:]]
    for program in programs:
        if "pytest" not in program:
            run(copy, *program)
    printed = run(copy, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider", *dict.fromkeys(tests))
    for new in ("[CBRT(1)]", "WHERE CBRT(objectId * 8) = 2", "astropy_says[Ba]", "GLOB 'a*'"):
        assert re.search(rf"^PASSED .*{re.escape(new)}", printed, re.MULTILINE), new
    assert "| `CBRT` | 1 | numeric |" in (copy / "docs" / "adql-grammar.md").read_text(encoding="utf-8")
