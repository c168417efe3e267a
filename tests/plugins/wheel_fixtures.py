"""Fixtures with the built wheel, and with an environment in which nothing of tapdb but the wheel is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tools.lock import needed_versions

__all__ = [
    "Done",
    "Installation",
    "installation",
    "package_folders",
    "project",
    "wheel",
]

ROOT = Path(__file__).parents[2]

_DEPENDENCIES = "TAPDB_TEST_DEPENDENCIES"
# The tree is installed beside its dependencies, by a .pth file: which does not count in a folder added so.
_PTH = f"import os, sys; sys.path.append(os.environ[{_DEPENDENCIES!r}])\n"

_COMMAND_LINE = """
import json, sys
from click.testing import CliRunner
from tapdb.cli.root import main

answers = sys.stdout
for line in sys.stdin:
    done = CliRunner().invoke(main, json.loads(line), prog_name="tapdb")
    bug = None if done.exception is None or isinstance(done.exception, SystemExit) else repr(done.exception)
    print(json.dumps([done.exit_code, done.stdout, done.stderr, bug]), file=answers, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to.

    Attributes
    ----------
    exit_code
        Its exit code.
    stdout, stderr
        What it wrote.
    bug
        An exception that came through to the top; `None` if there was no such.
    """

    exit_code: int
    stdout: str
    stderr: str
    bug: str | None


def project() -> dict[str, Any]:
    """Return what pyproject.toml says."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def package_folders() -> dict[str, Path]:
    """Return the folder of each package that is installed."""
    renamed = project()["tool"]["setuptools"]["package-dir"]
    return {
        name: ROOT.joinpath(renamed.get(name.partition(".")[0], name.partition(".")[0]), *name.split(".")[1:])
        for name in project()["tool"]["setuptools"]["packages"]
    }


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment with the wheel, outside of the tree.

    Attributes
    ----------
    folder
        The environment.
    plain
        Whether only what a plain installation brings can be imported, not what extras install.
    """

    folder: Path
    plain: bool = False

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @contextmanager
    def commands(self, *, cwd: Path, environment: dict[str, str]) -> Iterator[Callable[[list[str]], Done]]:
        """Give a function that runs commands of ``tapdb`` one after the other, in one process."""
        with subprocess.Popen(
            [self.python, "-c", _COMMAND_LINE],
            cwd=cwd,
            env=self._variables(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            questions, answers = process.stdin, process.stdout

            def run(arguments: list[str]) -> Done:
                print(json.dumps(arguments), file=questions, flush=True)
                return Done(*json.loads(answers.readline()))

            yield run

    def run(
        self, *command: str, cwd: Path, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment.

        Parameters
        ----------
        command
            Name of the program, and its arguments.
        cwd
            Where to run it.
        environment
            Its environment, if not that of the test.
        """
        program, *arguments = command
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=cwd,
            env=self._variables(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        others = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        found = self.folder / "plain" if self.plain else sysconfig.get_path("purelib")
        return others | {_DEPENDENCIES: str(found)}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel, built from a copy of the tree because a build leaves files behind."""
    copy, target = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in {folder.relative_to(ROOT).parts[0] for folder in package_folders().values()}:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    site = copy / "services" / "site"
    if not site.exists():
        # As `make site` would leave it.
        (site / "_static").mkdir(parents=True)
        for name in ("index.html", "_static/site.css"):
            (site / name).touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={target}", str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = target.iterdir()
    return zipfile.ZipFile(file)


@pytest.fixture(scope="session")
def installation(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an environment with the wheel; what it depends on is that of the tests."""
    made = Installation(tmp_path_factory.mktemp("installed") / "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made.folder], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--python",
        str(made.python),
    ]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel.filename)], check=True)
    (packages,) = made.folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(_PTH)
    plain = made.folder / "plain"
    plain.mkdir()
    for name in needed_versions({("tapdb", frozenset())}):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top != ".." and not (plain / top).exists():
                (plain / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return made
