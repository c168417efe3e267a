"""Run README's two commands on bare Debian systems: what a newcomer sees with what Debian ships today.

``make test-servers`` runs it, as root or by sudo. Each system is a new tree of debootstrap with the packages
of its security archive, entered with namespaces of its own for mounts and processes; nothing stays behind.
Each scenario is one account, folder and locale. Failures are counted into ``benchmarks/results/fresh.json``.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_file import add_results, say

PROJECT = Path(__file__).resolve().parents[1]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SUITES = {12: "bookworm", 13: "trixie"}
# What a person has before reading README: git, make, and sudo for a plain user.
BEFORE = ("ca-certificates", "git", "locales", "make", "sudo")
LOCALES = ("tr_TR.UTF-8 UTF-8", "tr_TR.ISO-8859-9 ISO-8859-9")
# A server that is not ours and does not answer: a demo or a test that used what these name would fail.
FOREIGN_DATABASE = {
    "DATABASE_URL": "postgresql://somebody@127.0.0.1:9/theirs",
    "PGHOST": "127.0.0.1",
    "PGPORT": "9",
    "PGDATABASE": "theirs",
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS_A_COMMAND = 3600


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who runs which commands, where.

    Attributes
    ----------
    name
        What ``--scenario`` calls it.
    account
        ``root``, or a plain user who may use sudo.
    below
        Folder of the clone, in the home of the account.
    locale
        Value of ``LC_ALL``.
    commands
        What is typed, in this order.
    """

    name: str
    account: str
    below: str
    locale: str
    commands: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Folder of the clone."""
        home = Path("/root") if self.account == "root" else Path("/home", self.account)
        return str(home / self.below)


SCENARIOS = (
    Scenario(
        "user",
        "astronomer",
        "öykü ve ölçüler/tapdb",
        "C",
        ("make demo", "make test", "make demo"),
    ),
    Scenario("root", "root", "tapdb", "tr_TR.UTF-8", ("make demo", "make test")),
    Scenario(
        "latin5",
        "astronomer",
        "tapdb latin5",
        "tr_TR.ISO-8859-9",
        ("make demo", "make test"),
    ),
)


class System:
    """A bare Debian in a temporary folder.

    Parameters
    ----------
    release
        Debian's number.
    folder
        Where its tree is made.
    """

    def __init__(self, release: int, folder: Path) -> None:
        self.release = release
        self.root = folder / SUITES[release]

    def make(self) -> None:
        """Bootstrap it, with the security archive, a plain user and this checkout's commits.

        Raises
        ------
        subprocess.CalledProcessError
            Raised if debootstrap, apt-get or git fails; they have said why.
        """
        self.bootstrap(BEFORE)
        self.root.joinpath("etc", "locale.gen").write_text("\n".join([*LOCALES, ""]), encoding="ascii")
        clone = ["git", "clone", "--quiet", "--bare", str(PROJECT), str(self.root / "srv" / "tapdb.git")]
        subprocess.run(clone, check=True)
        self.run(
            "locale-gen >/dev/null && useradd --create-home --shell /bin/bash astronomer && "
            "echo 'astronomer ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/astronomer && "
            "git config --system safe.directory '*'"
        )

    def bootstrap(self, packages: Sequence[str]) -> None:
        """Make its tree with some packages, and let it know the security archive and this machine.

        Raises
        ------
        subprocess.CalledProcessError
            Raised if debootstrap or apt-get fails; they have said why.
        """
        say(f"Debian {self.release}: bootstrapping {SUITES[self.release]}")
        command = [
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            SUITES[self.release],
        ]
        subprocess.run([*command, str(self.root)], check=True, stdout=subprocess.DEVNULL)
        sources = self.root / "etc" / "apt" / "sources.list"
        sources.write_text(with_security(sources.read_text(encoding="utf-8")), encoding="utf-8")
        for file in (CERTIFICATES, Path("/etc/resolv.conf")):
            shutil.copyfile(file, self.root.joinpath(*file.parts[1:]))
        # sudo looks the machine's own name up.
        self.root.joinpath("etc", "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
        self.run("apt-get -qq update")

    def run(self, script: str, *, log: Path | None = None) -> int:
        """Run a shell script as root inside, and return its exit code; with a log, failure is no error."""
        command = self.command(script)
        if log is None:
            return subprocess.run(command, check=True, stdin=subprocess.DEVNULL).returncode
        with log.open("ab") as file:
            return subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=SECONDS_A_COMMAND,
            ).returncode

    def command(self, script: str) -> list[str]:
        """Return a command that runs a shell script as root inside; SIGKILL ends all that it starts."""
        mounts = f"mount -t proc proc {self.root}/proc && mount --rbind /dev {self.root}/dev"
        clean = f"/usr/bin/env -i {assignments(passed_on())} bash -c {shlex.quote(script)}"
        inside = f"{mounts} && exec chroot {self.root} {clean}"
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", inside]

    def play(self, scenario: Scenario, logs: Path) -> int:
        """Run a scenario and return how many tests failed, of commands that failed otherwise one each."""
        folder, failures = shlex.quote(scenario.folder), 0
        clone = f"git clone --quiet /srv/tapdb.git {folder}"
        self.run(as_user(scenario, f"mkdir -p {shlex.quote(str(Path(scenario.folder).parent))} && {clone}"))
        environment = assignments({"LC_ALL": scenario.locale, **FOREIGN_DATABASE})
        for number, command in enumerate(scenario.commands):
            log = logs / f"debian{self.release}-{scenario.name}-{number}-{command.split()[-1]}.log"
            start = time.monotonic()
            code = self.run(as_user(scenario, f"cd {folder} && env {environment} {command}"), log=log)
            text = log.read_text(encoding="utf-8", errors="replace")
            failed = failures_of(text, code)
            failures += failed
            for line in [line for line in text.splitlines() if line.startswith("setup: PostgreSQL")][-1:]:
                say(f"Debian {self.release}, {scenario.name}: {line}")
            minutes = (time.monotonic() - start) / 60
            outcome = f"exit {code}, {failed} failed, {minutes:.1f} min ({log})"
            say(f"Debian {self.release}, {scenario.name}: {command}: {outcome}")
        for left in self.left_behind(scenario):
            failures += 1
            say(f"Debian {self.release}, {scenario.name}: left behind: {left}")
        return failures

    def left_behind(self, scenario: Scenario) -> list[str]:
        """Return what the commands left in the system besides packages and ignored files of the clone."""
        places = [
            *self.root.glob("tmp/tapdb*"),
            *self.root.glob("var/tmp/*"),
            *self.root.glob("dev/shm/tapdb*"),
            *self.root.glob("etc/postgresql/*/*"),
        ]
        places += [self.root / "usr" / "sbin" / "policy-rc.d"]
        changed = subprocess.run(
            ["git", "status", "--porcelain"],
            cwd=self.root.joinpath(*Path(scenario.folder).parts[1:]),
            env=os.environ
            | {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        return [str(place) for place in places if place.exists()] + changed


def passed_on() -> dict[str, str]:
    """Return what the network of this machine asks of package managers inside."""
    names = [
        name for name in os.environ if re.fullmatch(r"(?i)(https?|no)_proxy|PIP_(CERT|DEFAULT_TIMEOUT)", name)
    ]
    return {name: os.environ[name] for name in names} | {"HOME": "/root", "PATH": PATH}


def assignments(variables: dict[str, str]) -> str:
    """Return variables as a shell takes them before a command."""
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


def as_user(scenario: Scenario, script: str) -> str:
    """Return a script that runs another one as the account of a scenario."""
    if scenario.account == "root":
        return script
    kept = ",".join(passed_on().keys() - {"HOME", "PATH"})
    return f"sudo -u {scenario.account} -H --preserve-env={kept} bash -c {shlex.quote(script)}"


def with_security(sources: str) -> str:
    """Return a list of archives with the updates and the security fixes of each.

    >>> print(with_security("deb mirror/debian bookworm main"), end="")
    deb mirror/debian bookworm main
    deb mirror/debian bookworm-updates main
    deb mirror/debian-security bookworm-security main
    """
    pattern = r"^deb (\S+?)/debian/? (\w+) (.*)$"
    archives = r"deb \1/debian \2 \3\ndeb \1/debian \2-updates \3\ndeb \1/debian-security \2-security \3\n"
    return re.sub(pattern, archives, sources, flags=re.MULTILINE)


def failures_of(text: str, code: int) -> int:
    r"""Return how many tests failed, by pytest's last line; a command that failed otherwise counts as one.

    >>> failures_of("49 failed, 7186 passed, 3 errors in 600.00s (0:10:00)\n", 2)
    52
    >>> failures_of("Error: no server\n", 2), failures_of("7235 passed in 598.20s\n", 0)
    (1, 0)
    """
    summaries = re.findall(r"^.*\b(?:passed|failed|errors?)\b.* in [\d.]+s\b", text, re.MULTILINE)
    counts = re.findall(r"(\d+) (?:failed|errors?)\b", summaries[-1]) if summaries else []
    return sum(map(int, counts)) or int(code != 0)


def main() -> int:
    """Run the scenarios that were named and return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", type=int, choices=sorted(SUITES), action="append", help="default: all")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", choices=names, action="append", help="default: all")
    parser.add_argument(
        "--logs", type=Path, default=PROJECT / "test-servers", help="folder for what is printed"
    )
    chosen = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        say("test_servers: needs root and the program debootstrap (a Debian package)")
        return 2
    chosen.logs.mkdir(parents=True, exist_ok=True)
    figures = {}
    for release in chosen.release or sorted(SUITES):
        with tempfile.TemporaryDirectory(prefix="tapdb-debian-", dir="/var/tmp") as folder:
            system = System(release, Path(folder))
            system.make()
            played = [one for one in SCENARIOS if not chosen.scenario or one.name in chosen.scenario]
            figures[f"debian{release}_failures"] = sum(system.play(one, chosen.logs) for one in played)
    add_results("fresh", figures)
    say(", ".join(f"{name}: {value}" for name, value in figures.items()))
    return int(any(figures.values()))


if __name__ == "__main__":
    sys.exit(main())
