"""A fresh machine: what a plain installation weighs, and how soon a DBA who has docs/dba.md alone sees rows.

The checkout is cloned, and the commands of the page are run in the clone up to the first rows, as they stand
there, beside a private server with a Butler repository. The environment that they have made is then measured,
after ``tapdb obscore create`` and ``check`` have run in it. Packages come from where pip takes them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.results_file import Reach, add_results, missed, print_table, say
from examples.database import add_repository
from tapdb.postgres.engine import checked_connection, create_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer
from tests.docs.pages import ROOT, Block, blocks, steps

__all__ = ["REACHES", "commands_to_first_rows", "main"]

REACHES = (
    Reach("install_mb", 150, "MB of site-packages in which a view was created and checked"),
    Reach("dba_minutes", 3, "minutes from the clone to the first rows, by docs/dba.md alone"),
)

_NAME = "fresh"
_PAGE = ROOT / "docs" / "dba.md"
_FROM, _TO = "## Install", "## Make the view"
_VENV = "venv"
_ROWS = "lsst.raw"
_CHECKED = """
tapdb obscore create -c obscore.yaml --view other.ObsCore
tapdb obscore check
python -I -c "import sys, tapdb; sys.exit(not tapdb.__file__.startswith(sys.prefix))"
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write ``results/fresh.json``; return 1 if something was not reached."""
    argparse.ArgumentParser(prog="python -m benchmarks fresh", description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapdb-fresh-") as folder, EphemeralServer() as server:
        url = create_database(server.url(), "archive", template="template0")
        with checked_connection(url) as connection:
            install_extensions(connection)
            connection.commit()
        files = Path(folder) / "files"
        files.mkdir()
        os.environ["PGPASSWORD"] = server.password
        add_repository(url, files)
        figures = _measure(Path(folder) / "clone", files / "obscore.yaml", client_environment(url))
    # What other machines have measured stays.
    say(f"written to {add_results(_NAME, figures)}")
    print_table(figures, REACHES)
    return 1 if missed(figures, REACHES) else 0


def commands_to_first_rows(page: Path = _PAGE) -> list[str]:
    """Return the commands of the page for DBAs, from the installation to the first rows of the view."""
    lines = page.read_text(encoding="utf-8").splitlines()
    first, last = (lines.index(heading) + 1 for heading in (_FROM, _TO))
    shown = [block for block in blocks(page) if block.language in {"sh", "console"} and block.line > first]
    until_rows = next(number for number, block in enumerate(shown, 1) if block.line > last)
    return [command for block in shown[:until_rows] for command in _commands(block)]


def _commands(block: Block) -> Iterator[str]:
    if block.language == "sh":
        yield block.text.rstrip()
    else:
        yield from (step.command for step in steps(block))


def _measure(clone: Path, config: Path, environment: Mapping[str, str]) -> dict[str, float]:
    begin = time.monotonic()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    shutil.copy(config, clone)
    printed = _run("\n".join(commands_to_first_rows()), clone, environment)
    minutes = (time.monotonic() - begin) / 60
    if _ROWS not in printed:
        raise SystemExit(f"the commands of {_PAGE.name} have shown no rows:\n{printed}")
    say(f"first rows after {minutes:.2f} minutes")
    path = f"{clone / _VENV / 'bin'}:{environment['PATH']}"
    _run(_CHECKED, clone, {**environment, "PATH": path})
    (packages,) = (clone / _VENV).glob("lib/python*/site-packages")
    return {"dba_minutes": minutes, "install_mb": _megabytes(packages)}


def _run(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run commands in one shell that stops at the first that fails; return what they print."""
    own = str(Path(sys.prefix) / "bin")
    # The commands must not find what is installed here.
    path = [entry for entry in environment["PATH"].split(os.pathsep) if entry != own]
    variables = {name: value for name, value in environment.items() if not name.startswith("TAPDB_")}
    variables |= {"PATH": os.pathsep.join([*path, str(Path(sys.base_prefix) / "bin")]), "PIP_QUIET": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"exit {done.returncode} of\n{script}\n{done.stdout}")
    return done.stdout


def _megabytes(folder: Path) -> float:
    """Return the room that files take on the disk, as ``du -sm`` tells it."""
    return sum(path.lstat().st_blocks for path in folder.rglob("*")) * 512 / 2**20
