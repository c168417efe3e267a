"""STILTS: what the client tools of the VO say of our documents, with the IVOA's schemas that it carries."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["Stilts", "stilts"]


class Stilts:
    """The command ``stilts``, which ``make test`` installs; it asks no network.

    Parameters
    ----------
    program
        Path of the command.
    """

    def __init__(self, program: str) -> None:
        self._program = program

    def schema_errors(self, document: Path, root: str) -> list[str]:
        """Return what XML Schema has against a document whose root element is to be ``{namespace}name``."""
        return self._complaints("xsdvalidate", f"doc={document}", f"topel={root}", "uselocals=true")

    def votable_errors(self, document: Path) -> list[str]:
        """Return what ``votlint`` has against a VOTable: by its schema, and of cells and references."""
        return self._complaints("votlint", f"votable={document}", "validate=true")

    def datalink_errors(self, document: Path) -> list[str]:
        """Return what ``datalinklint`` has against a document of links: errors, warnings and failures."""
        lines = self._complaints("datalinklint", f"votable={document}", "report=EWF", "maxrepeat=1000")
        about = ("This is the STILTS", "Totals:")
        assert any(line.startswith(about[1]) for line in lines)
        return [line for line in lines if line.strip() and not line.startswith(about)]

    def rows(self, document: Path, form: str = "votable") -> list[list[str]]:
        """Return the rows of a VOTable, or of a file in another format, as STILTS reads them, as texts."""
        done = subprocess.run(
            [self._program, "tpipe", f"in={document}", f"ifmt={form}", "ofmt=csv"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))[1:]

    def query(self, url: str, adql: str, *, sync: bool, upload: Path | None = None) -> list[list[str]]:
        """Return names and rows of a query of a service, whose upload is ``TAP_UPLOAD.mine``, as texts."""
        options = [f"tapurl={url}", f"adql={adql}", f"sync={sync}".lower(), "ofmt=csv"]
        options += [] if sync else ["poll=100"]
        if upload is not None:
            options += ["nupload=1", f"upload1={upload}", "ufmt1=votable", "upname1=mine"]
        done = subprocess.run([self._program, "tapquery", *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))

    def identifiers(self, document: Path) -> list[str]:
        """Return the IDs of the columns of a VOTable as STILTS reads them, empty for none."""
        done = subprocess.run(
            [
                *(self._program, "tpipe", f"in={document}", "ifmt=votable"),
                *("cmd=meta 'VOTable ID'", "omode=out", "ofmt=csv"),
            ],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return [row[0] if row else "" for row in csv.reader(io.StringIO(done.stdout.decode(), newline=""))][
            1:
        ]

    def taplint(self, url: str, *stages: str) -> list[str]:
        """Return what ``taplint`` reports of a TAP service in some of its stages, or all, a line each."""
        options = [f"tapurl={url}", "report=EWF", "maxrepeat=20"]
        options += [f"stages={' '.join(stages)}"] if stages else []
        return self._complaints("taplint", *options)

    def _complaints(self, *arguments: str) -> list[str]:
        done = subprocess.run([self._program, *arguments], capture_output=True, text=True, check=False)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("INFO")]
        assert lines or done.returncode == 0, "stilts failed and does not say why"
        return lines


@pytest.fixture(scope="session")
def stilts() -> Stilts:
    """Return STILTS."""
    program = shutil.which("stilts")
    if program is None:
        pytest.fail("the command stilts is missing: run make setup-tests", pytrace=False)
    return Stilts(program)
