"""``make setup`` where something is missing that it cannot or must not install."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapdb.server.programs import Account

SETUP = Path(__file__).parent.parent.parent / "tools" / "setup.sh"
PROGRAMS = (
    *("bash", "cat", "chmod", "cut", "dirname", "dpkg", "env", "find", "flock", "grep", "head", "id"),
    *("cp", "mkdir", "tail"),
    *("mktemp", "python3", "readlink", "rm", "sed", "sha256sum", "sort", "tee", "touch", "tr", "wc"),
)
UPGRADE = "-q -y -o Dpkg::Use-Pty=0 install --no-install-recommends --only-upgrade postgresql-15 libpq5"
# What the machine below lacks, whatever else it has.
PG_PROVE = "libtap-parser-sourcehandler-pgtap-perl"


class Machine:
    """A machine without pg_prove: a folder of programs, and a checkout that anybody can read."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.checkout = folder / "checkout"
        self.bin.mkdir()
        (self.checkout / "tools").mkdir(parents=True)
        text = SETUP.read_text(encoding="utf-8").replace("/usr/sbin/policy-rc.d", str(folder / "policy-rc.d"))
        self.checkout.joinpath("tools", "setup.sh").write_text(text, encoding="utf-8")
        self.checkout.joinpath("tools", "setup.sh").chmod(0o755)
        for name in PROGRAMS:
            self.bin.joinpath(name).symlink_to(str(shutil.which(name)))
        self.calls = self.checkout / "calls"

    def prepare(self, *, present: str, offered: str) -> None:
        """Give it all that is needed, and a PostgreSQL that apt-get could bring to another release."""
        self.bin.joinpath("python3").unlink()
        # A Python that is new enough; the one that runs these tests may be out of another user's reach.
        python = '[ "$1" != -V ] || echo Python 3.12.1'
        self.provide("python3", python)
        self.provide("pg_prove", "exit 0")
        self.provide("pg_ctl", "echo 'pg_ctl (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'")
        for name in ("pg_sphere", "pgtap"):
            control = self.bin.parent / "share" / "postgresql" / "extension" / f"{name}.control"
            control.parent.mkdir(parents=True, exist_ok=True)
            control.touch()
        self.provide(
            "dpkg-query",
            f'case "${{@: -1}}" in postgresql-15 | libpq5) echo "installed {present}" ;; *) exit 1 ;; esac',
        )
        self.provide("apt-cache", f"printf 'Installed: {present}\\n  Candidate: {offered}\\n'")
        self.provide("apt-get", f'echo "$*" >>{self.calls}')
        environment = self.checkout / ".venv"
        environment.joinpath("bin").mkdir(parents=True)
        environment.joinpath("bin", "python").write_text(f"#!/bin/bash\n{python}\n")
        environment.joinpath("bin", "python").chmod(0o755)
        inputs = b"pinned\n" + b"declared\n" + b"Python 3.12.1\n"
        self.checkout.joinpath("requirements.lock").write_text("pinned\n")
        self.checkout.joinpath("pyproject.toml").write_text("declared\n")
        environment.joinpath(".tapdb-setup").write_text(hashlib.sha256(inputs).hexdigest())

    def describe_page(self) -> None:
        """Give its checkout packages of npm to install, and a program that puts them into place."""
        for name in ("services/page/package.json", "services/page/package-lock.json"):
            self.checkout.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            self.checkout.joinpath(name).write_text("{}\n")
        self.checkout.joinpath("tools", "page_bundle").mkdir()
        self.checkout.joinpath("tools", "page_bundle", "build.mjs").touch()

    def provide(self, name: str, script: str) -> None:
        """Add a program."""
        self.bin.joinpath(name).write_text(f"#!/bin/bash\n{script}\n")
        self.bin.joinpath(name).chmod(0o755)

    def setup(self, *options: str, as_plain_user: bool) -> subprocess.CompletedProcess[str]:
        """Run what ``make setup`` runs."""
        command = [str(self.checkout / "tools" / "setup.sh"), *options]
        if as_plain_user and os.geteuid() == 0:
            command = [*Account(name="nobody", uid=65534, gid=65534).command(), *command]
        environment = {"PATH": str(self.bin)}
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True
        )


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Return a machine that lacks pg_prove, in a folder that other users can enter."""
    with tempfile.TemporaryDirectory(prefix="tapdb-setup-") as folder:
        Path(folder).chmod(0o755)
        yield Machine(Path(folder))


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_a_user_who_cannot_become_root_is_told_what_to_install_by_which_command(
    machine: Machine, sudo: str | None
) -> None:
    machine.provide("apt-get", "echo must not be called; exit 99")
    machine.provide("apt-cache", "exit 0")
    if sudo:
        machine.provide("sudo", sudo)
    done = machine.setup(as_plain_user=True)
    assert done.returncode == 2
    (command,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert command.startswith("setup:   sudo apt-get update && sudo apt-get install --no-install-recommends ")
    assert command.endswith(PG_PROVE)
    assert "must not be called" not in done.stdout + done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_what_only_tests_need_is_asked_for_by_an_option_alone(machine: Machine) -> None:
    machine.provide("apt-get", "exit 99")
    machine.provide("apt-cache", "exit 0")
    for options, asked in (((), False), (("--tests",), True)):
        done = machine.setup(*options, as_plain_user=True)
        assert done.returncode == 2
        assert (" stilts" in done.stderr) == asked
    assert "usage: tools/setup.sh [--tests]" in machine.setup("--test", as_plain_user=True).stderr


def test_a_system_without_apt_is_told_what_is_needed(machine: Machine) -> None:
    done = machine.setup(as_plain_user=True)
    assert done.returncode == 2
    assert "this system has no apt-get" in done.stderr
    assert "pgsphere" in done.stderr


def test_postgresql_is_brought_to_the_newest_minor_release_once_a_day(machine: Machine) -> None:
    machine.prepare(present="15.18-0+deb12u1", offered="15.20-0+deb12u1")
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    done = machine.setup(as_plain_user=False)
    assert done.returncode == 0, done.stderr
    assert machine.calls.read_text().splitlines() == ["-qq update", UPGRADE]
    assert "setup: upgrading postgresql-15 libpq5\n" in done.stderr
    # Which server it is now is said each time; whether there is a newer one is not looked for again today.
    again = machine.setup(as_plain_user=False)
    assert again.stderr.splitlines()[-1].startswith("setup: PostgreSQL 15.18 (Debian 15.18-0+deb12u1), ")
    assert len(machine.calls.read_text().splitlines()) == 2


def test_a_postgresql_that_is_the_newest_stays(machine: Machine) -> None:
    machine.prepare(present="15.20-0+deb12u1", offered="15.20-0+deb12u1")
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    done = machine.setup(as_plain_user=False)
    assert (done.returncode, machine.calls.read_text()) == (0, "-qq update\n")


def test_a_user_who_cannot_become_root_is_told_of_a_newer_postgresql_and_goes_on(machine: Machine) -> None:
    machine.prepare(present="15.18-0+deb12u1", offered="15.20-0+deb12u1")
    machine.checkout.joinpath(".venv").chmod(0o777)
    done = machine.setup(as_plain_user=True)
    assert done.returncode == 0, done.stderr
    assert "postgresql-15 15.20-0+deb12u1 (here: 15.18-0+deb12u1)" in done.stderr
    assert "sudo apt-get install --only-upgrade postgresql-15 libpq5\n" in done.stderr
    assert not machine.calls.exists()


def test_a_postgresql_from_which_a_server_runs_is_never_upgraded(machine: Machine) -> None:
    machine.prepare(present="15.18-0+deb12u1", offered="15.20-0+deb12u1")
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    shutil.copy(str(shutil.which("sleep")), machine.bin / "postgres")
    with subprocess.Popen([str(machine.bin / "postgres"), "60"]) as server:
        unneeded = machine.setup(as_plain_user=False)
        # What is missing cannot be had without the upgrade: that is for the owner of the server to decide.
        machine.bin.joinpath("pg_prove").unlink()
        planned = "Inst postgresql-15 [15.18-0+deb12u1] (15.20-0+deb12u1 Debian-Security)"
        machine.provide("apt-get", f'echo "$*" >>{machine.calls}; [ "$1" != -s ] || echo "{planned}"')
        needed = machine.setup(as_plain_user=False)
        server.kill()
    assert unneeded.returncode == 0
    assert "a server runs from the present one; when it suits you: sudo apt-get install" in unneeded.stderr
    assert needed.returncode == 2
    assert "apt-get would upgrade PostgreSQL, from which a server runs" in needed.stderr
    first_words = [call.split()[0] for call in machine.calls.read_text().splitlines()]
    assert first_words == ["-qq", "-qq", "-s"]


@pytest.mark.parametrize("npm", ["missing", "without its registry"])
def test_without_npm_or_its_registry_setup_says_so_and_goes_on(machine: Machine, npm: str) -> None:
    machine.prepare(present="15.20-0+deb12u1", offered="15.20-0+deb12u1")
    machine.describe_page()
    machine.checkout.joinpath(".venv").chmod(0o777)
    if npm == "missing":
        done = machine.setup(as_plain_user=True)
    else:
        machine.provide("npm", "echo 'npm error code ENOTFOUND' >&2; exit 1")
        done = machine.setup(as_plain_user=False)
        assert "npm error code ENOTFOUND" in done.stderr
    assert done.returncode == 0, done.stderr
    assert "plain forms and tables" in done.stderr
    assert not machine.checkout.joinpath("services", "page", "vendor").exists()


def test_scripts_of_the_page_are_installed_once_and_again_when_they_change(machine: Machine) -> None:
    machine.prepare(present="15.20-0+deb12u1", offered="15.20-0+deb12u1")
    machine.describe_page()
    machine.provide("npm", f'echo "$PWD: npm $*" >>{machine.calls}')
    machine.provide("node", f'echo "node $*" >>{machine.calls}; mkdir -p services/page/vendor')
    for _ in range(2):
        assert machine.setup(as_plain_user=False).returncode == 0
    calls = [one for one in machine.calls.read_text().splitlines() if "-qq" not in one]
    assert len(calls) == 2
    assert calls[0].startswith(f"{machine.checkout.resolve()}/.cache/page: npm ci --ignore-scripts ")
    assert calls[1] == "node tools/page_bundle/build.mjs .cache/page"
    machine.checkout.joinpath("services", "page", "package-lock.json").write_text("other\n")
    machine.setup(as_plain_user=False)
    assert machine.calls.read_text().count("npm ci") == 2


def test_an_administrator_is_told_a_line_that_makes_no_cluster(machine: Machine) -> None:
    machine.provide("apt-cache", "echo '  Depends: postgresql-15'")
    machine.provide("apt-get", "exit 99")
    script = machine.checkout / "tools" / "setup.sh"
    script.write_text(re.sub(r"/usr/(lib/postgresql|pgsql-)", "/nowhere", script.read_text()))
    done = machine.setup(as_plain_user=True)
    (command,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    folder, switch, _, packages = command.split(" && ")
    assert folder.endswith("sudo mkdir -p /etc/postgresql-common/createcluster.d")
    assert switch == (
        'echo "create_main_cluster = false" | sudo tee /etc/postgresql-common/createcluster.d/tapdb.conf'
    )
    assert packages.endswith(f" postgresql-15 postgresql-15-pgsphere postgresql-15-pgtap {PG_PROVE}")


def test_what_is_missing_is_installed_without_asking(machine: Machine) -> None:
    """The package manager here brings pg_prove."""
    machine.prepare(present="15.20-0+deb12u1", offered="15.20-0+deb12u1")
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    machine.bin.joinpath("pg_prove").unlink()
    machine.provide(
        "apt-get",
        f"""echo "$DEBIAN_FRONTEND $*" >>{machine.calls}
        [[ "$*" = -s* || "$*" != *install* ]] || {{ echo '#!/bin/bash' >{machine.bin}/pg_prove; }}
        chmod -f 755 {machine.bin}/pg_prove; exit 0""",
    )
    done = machine.setup(as_plain_user=False)
    assert done.returncode == 0, done.stderr
    installed = [
        call for call in machine.calls.read_text().splitlines() if call.startswith("noninteractive ")
    ]
    assert len(installed) == 1
    assert installed[0].endswith(f"install --no-install-recommends {PG_PROVE}")
    # While packages are installed nothing starts services; afterwards who may start them is as it was.
    assert not machine.bin.parent.joinpath("policy-rc.d").exists()
