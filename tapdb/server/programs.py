"""Where PostgreSQL's server programs are, and as which account they can run."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tapdb.errors import ServerStartError

_TREES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_EXTENSION_FOLDER = "/usr/share/postgresql/{}/extension"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system that a server can run as."""

    name: str
    uid: int
    gid: int

    def command(self) -> tuple[str, ...]:
        """Return the words that go before a command, run by root, to run it as this account.

        Raises
        ------
        ServerStartError
            Raised if no program that changes the account is installed.
        """
        if setpriv := shutil.which("setpriv"):
            return (setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--")
        if runuser := shutil.which("runuser"):
            return (runuser, "-u", self.name, "--")
        raise ServerStartError(
            "PostgreSQL refuses to run as root; neither setpriv nor runuser is there to run it otherwise.",
            "Install util-linux, or run this as a plain user.",
        )


def find_account() -> Account | None:
    """Return the account that a server must run as, or None if it can run as the present user.

    PostgreSQL refuses to run as root: ``postgres`` takes its place, or else ``nobody``.

    Raises
    ------
    ServerStartError
        Raised if the present user is root and has neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServerStartError(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody.",
        "Run this as a plain user, or create a user with: useradd --system postgres",
    )


def find_pg_ctl() -> Path:
    """Return the path of ``pg_ctl``.

    ``PATH`` goes first. Distributions hide the server's programs from it, one folder for each version: of
    these the newest that has pg_sphere wins, else the newest. Last comes the answer of ``pg_config``.

    Raises
    ------
    ServerStartError
        Raised if there is none; the message names the places and the package.
    """
    looked: list[str] = []
    for place, candidate in _candidates():
        looked.append(place)
        if candidate is not None and os.access(candidate, os.X_OK):
            return candidate
    raise ServerStartError(
        "no PostgreSQL server is installed: pg_ctl was looked for in " + ", ".join(looked) + ".",
        "On Debian or Ubuntu: sudo apt-get install postgresql '^postgresql-[0-9]+-pgsphere$' "
        "(which also makes and starts a cluster on port 5432, for you to keep or drop).",
    )


def _candidates() -> Iterator[tuple[str, Path | None]]:
    """Yield each place that is looked at, in order, and the program there if there is one."""
    on_path = shutil.which("pg_ctl")
    yield "PATH", Path(on_path) if on_path else None
    for pattern in _TREES:
        folders = sorted(Path("/").glob(pattern.lstrip("/")), key=_rank, reverse=True)
        yield pattern, next((folder / "pg_ctl" for folder in folders if (folder / "pg_ctl").exists()), None)
    yield "pg_config --bindir", _from_pg_config()


def _rank(folder: Path) -> tuple[bool, int]:
    """Return what orders the folders of a distribution: with pg_sphere first, then by version."""
    digits = re.findall(r"\d+", str(folder))
    version = int(digits[-1]) if digits else 0
    return (Path(_EXTENSION_FOLDER.format(version), "pg_sphere.control").exists(), version)


def _from_pg_config() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    found = subprocess.run([program, "--bindir"], check=False, capture_output=True, text=True)
    return Path(found.stdout.strip(), "pg_ctl") if found.returncode == 0 else None
