"""The project as a whole: what is installed, what is pinned, and rules that no linter knows."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tapdb.errors import TapdbError
from tests.conftest import LONGEST
from tests.plugins.wheel_fixtures import package_folders
from tools.lock import LOCK, locked_versions

ROOT = Path(__file__).parent.parent.parent
LONGEST_MODULE = 600
LONGER_MODULES = {"adql.parser": 964}
"""The parser is one class: what it reads calls what it reads, down to literals and up again."""


def code_packages() -> list[str]:
    """Return the installed packages that hold code under the name of their folder."""
    return [name for name, folder in package_folders().items() if folder == ROOT.joinpath(*name.split("."))]


def modules() -> list[str]:
    return [
        module.name
        for package in code_packages()
        for module in pkgutil.iter_modules([str(package_folders()[package])], f"{package}.")
    ]


def test_the_test_files_that_run_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []


def test_the_wheel_has_every_file_of_every_package(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        f"{package.replace('.', '/')}/{file.relative_to(folder)}"
        for package, folder in package_folders().items()
        if "." not in package
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    # Under the GPL: `make setup` puts it in place, and no wheel passes it on.
    apart = {name for name in expected if name.startswith("services/page/vendor/aladin/")}
    assert packed == expected - apart
    assert any(name.startswith("tapdb_sql/functions/") for name in packed)
    assert any(name.startswith("tapdb_migrations/versions/") for name in packed)


def test_sql_and_migrations_are_found_in_an_installed_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    program = (
        "from importlib.resources import files; import tapdb_sql, tapdb_migrations; "
        "import tapdb.postgres.extensions; "
        "print(tapdb_sql.__file__); print(files('tapdb_migrations').joinpath('env.py').is_file()); "
        "print(len(tapdb.postgres.extensions.mend_statement()) > 1000)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "tapdb_sql" / "__init__.py"), "True", "True"]


def test_an_installed_wheel_makes_the_example(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")
    program = [sys.executable, "-c", "from tapdb.cli.root import main; main()"]
    reader = "import os, tapdb_examples; print(tapdb_examples.__file__, *sorted(os.listdir()))"
    done = subprocess.run(
        [*program, "ephemeral", "--repository", "--", sys.executable, "-c", reader],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where = tmp_path / "installed" / "tapdb_examples" / "__init__.py"
    # Alembic's own files are in a checkout alone.
    assert done.stdout.split() == [
        *(str(where), "butler", "environment.sh", "obscore.yaml", "repositories.yaml")
    ]


def test_every_package_in_the_tree_is_installed() -> None:
    present = {
        ".".join([top, *file.parent.relative_to(ROOT / top).parts])
        for top in {package.partition(".")[0] for package in code_packages()}
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert present == set(code_packages())


def test_every_package_says_that_it_is_typed() -> None:
    assert [
        name for name in code_packages() if not ROOT.joinpath(name.partition(".")[0], "py.typed").exists()
    ] == []


def test_the_lock_names_exact_versions_and_nothing_else() -> None:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.+]*", line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(names)


def test_the_lock_is_what_the_declared_packages_need() -> None:
    pinned = dict(line.split("==") for line in LOCK.read_text(encoding="utf-8").splitlines())
    assert set(pinned) == set(locked_versions())


def test_every_locked_version_can_be_installed_on_the_oldest_debian() -> None:
    """Pip here takes what this Python can have, which that of Debian 12 may not."""
    needed = {
        name: distribution(name).metadata.get_all("Requires-Python", [">=3"]) for name in locked_versions()
    }
    assert {name: text for name, (text,) in needed.items() if not SpecifierSet(text).contains("3.11.2")} == {}


def test_every_exception_to_a_static_check_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rules = re.findall(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert rules
    listed = [line for block in rules for line in block.splitlines()]
    assert [line for line in listed if not re.search(r",\s+# \w", line)] == []


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_is_for_and_stays_short(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))
    assert module.__file__ is not None
    lines = len(Path(module.__file__).read_text(encoding="utf-8").splitlines())
    assert lines <= LONGER_MODULES.get(name, LONGEST_MODULE)


@pytest.mark.parametrize("name", modules())
def test_every_example_in_a_docstring_does_what_it_shows(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_error_is_in_the_one_tree() -> None:
    outside = {
        f"{name}.{thing.__name__}"
        for name in modules()
        for thing in vars(importlib.import_module(name)).values()
        if isinstance(thing, type)
        and issubclass(thing, Exception)
        and thing.__module__ == name
        and not thing.__name__.startswith("_")
        and not issubclass(thing, TapdbError)
    }
    assert outside == set()


def test_no_file_names_a_path_of_the_machine_that_it_was_written_on() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    here = re.compile("|".join(rf"{re.escape(str(place))}/\w" for place in (ROOT, Path.home())).encode())
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 10
    assert [file for file in files if here.search(file.read_bytes())] == []


def test_make_says_what_there_is_to_make() -> None:
    # The options of a make that runs these tests (such as -n) are not meant for this one.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert {"setup", "demo", "test", "lint", "bench"} <= {
        line.split()[1] for line in done.stdout.splitlines()
    }
