"""Recipes of the README of a package, followed to the letter in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_EDIT = r"`([\w/.-]+)`, below `([^`]+)`: `([^`]+)`"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe adds (file, beginning of the line above, line), and what it runs."""

    title: str
    edits: tuple[tuple[str, str, str], ...]
    commands: tuple[str, ...]


def read_recipes(package: str) -> list[Recipe]:
    """Return the recipes of a package; each numbered step is an edit or a command."""
    found = []
    page = (ROOT / package / "README.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        steps = re.findall(r"^\d\. (.*)$", section, re.MULTILINE)
        edits = [(one[1], one[2], one[3]) for step in steps if (one := re.fullmatch(_EDIT, step))]
        commands = [one for step in steps for one in re.findall(r"`(python -m [^`]*)`", step)]
        assert len(steps) == len(edits) + sum("Run `" in step for step in steps)
        found.append(Recipe(section.partition("\n")[0], tuple(edits), tuple(commands)))
    return found


@dataclass(frozen=True, slots=True)
class Followed:
    """A copy of the tree in which recipes were followed, and what their commands printed."""

    copy: Path
    printed: str


def copy_tree(copy: Path, packages: tuple[str, ...]) -> Path:
    """Return a copy of the tree; what no recipe of the packages changes is a link."""
    for entry in ROOT.iterdir():
        if entry.is_file():
            shutil.copy(entry, copy)
        elif entry.name not in (*packages, "docs", "tests") and not entry.name.startswith("."):
            (copy / entry.name).symlink_to(entry)
    for name in (*packages, "docs", *(f"tests/{package}" for package in packages)):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for entry in (ROOT / "tests").iterdir():
        if entry.name not in packages:
            (copy / "tests" / entry.name).symlink_to(entry)
    return copy


def follow(copy: Path, recipes: list[Recipe]) -> Followed:
    """Make the edits of all recipes, and run what they say; all tests in one run."""
    for recipe in recipes:
        for name, above, line in recipe.edits:
            _add(copy / name, above, line)
    programs = dict.fromkeys(tuple(one.split()[1:]) for recipe in recipes for one in recipe.commands)
    tests = [program for program in programs if "pytest" in program]
    printed = "".join(run(copy, *program) for program in programs if program not in tests)
    files = dict.fromkeys(name for program in tests for name in program if name.endswith(".py"))
    printed += run(copy, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider", *files)
    return Followed(copy, printed)


def _add(file: Path, above: str, line: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert line not in map(str.strip, lines), f"{file.name} has it: {line}"
    places = [number for number, known in enumerate(lines) if known.lstrip().startswith(above)]
    assert len(places) == 1, f"{file.name}: {above}"
    indent = lines[places[0]][: -len(lines[places[0]].lstrip())]
    lines.insert(places[0] + 1, indent + line)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(copy: Path, *command: str) -> str:
    """Run Python in the copy, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def passed(printed: str, part: str) -> bool:
    """Return whether a test whose name has a part is among those that passed."""
    return bool(re.search(rf"^PASSED .*{re.escape(part)}", printed, re.MULTILINE))
