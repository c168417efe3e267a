"""``make setup`` where something is missing that it cannot or must not install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapdb.server_programs import Account

SETUP = Path(__file__).parent.parent.parent / "tools" / "setup.sh"
PROGRAMS = (
    *("bash", "cat", "cut", "dirname", "env", "flock", "grep", "head", "id", "mktemp", "python3", "readlink"),
    *("rm", "sed", "sha256sum", "sort", "tee"),
)
# What the machine below lacks, whatever else it has.
PG_PROVE = "libtap-parser-sourcehandler-pgtap-perl"


class Machine:
    """A machine without pg_prove: a folder of programs, and a checkout that anybody can read."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.checkout = folder / "checkout"
        self.bin.mkdir()
        (self.checkout / "tools").mkdir(parents=True)
        shutil.copy(SETUP, self.checkout / "tools")
        for name in PROGRAMS:
            self.bin.joinpath(name).symlink_to(str(shutil.which(name)))

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


def test_postgresql_that_is_installed_is_never_upgraded(machine: Machine) -> None:
    calls = machine.checkout / "calls"
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    machine.provide("apt-cache", "exit 0")
    planned = "Inst postgresql-15 [15.18-0+deb12u1] (15.20-0+deb12u1 Debian-Security)"
    machine.provide("apt-get", f'echo "$*" >>{calls}; [ "$1" != -s ] || echo "{planned}"')
    done = machine.setup(as_plain_user=False)
    assert done.returncode == 2
    assert "apt-get would upgrade PostgreSQL" in done.stderr
    assert [call.split()[0] for call in calls.read_text().splitlines()] == ["-qq", "-s"]


def test_what_is_missing_is_installed_without_asking(machine: Machine) -> None:
    """The package manager here brings pg_prove; the Python here refuses to make an environment."""
    calls = machine.checkout / "calls"
    machine.provide("sudo", '[ "$1" = -n ] && exit 0; exec "$@"')
    machine.provide("apt-cache", "exit 0")
    machine.provide(
        "apt-get",
        f"""echo "$DEBIAN_FRONTEND $*" >>{calls}
        [[ "$*" = -s* || "$*" != *install* ]] || {{ echo '#!/bin/bash' >{machine.bin}/pg_prove; }}
        chmod -f 755 {machine.bin}/pg_prove; exit 0""",
    )
    machine.bin.joinpath("python3").unlink()
    machine.provide("python3", f'[ "$1" != -m ] && exec {sys.executable} "$@"')
    machine.bin.joinpath("chmod").symlink_to(str(shutil.which("chmod")))
    done = machine.setup(as_plain_user=False)
    last = calls.read_text().splitlines()[-1]
    assert last.startswith("noninteractive -q -y ")
    assert last.endswith(f"install --no-install-recommends {PG_PROVE}")
    assert "still missing" not in done.stderr
    assert "making .venv" in done.stderr
