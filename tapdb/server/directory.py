"""The directory of a private server: who can enter it, and who removes it at the end."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tapdb.errors import ServerStartError, SettingsError
from tapdb.server.programs import Account

FILES = "files"
"""Folder in the directory of a server for files of its users, closed to all others."""

STOP = "stop"
"""Shell script in the directory of a server that stops it and removes the directory."""

STAY = b"stay"
"""What the watcher has to read for the server to stay."""

_PREFIX = "tapdb-"
# sockaddr_un holds 107 characters (unix(7)); the socket's own name takes up to 15 of them.
_LONGEST_DIRECTORY = 90

# `env -i`: neither a client's PG* variables nor its secrets reach the server, nor does the mark by which
# mirakuru finds and on exit kills its processes: it compares process ids by prefix, and may hit a stranger's.
# `LC_ALL=C`: what PostgreSQL says is in English, and needs no locale that may be missing.
_PG_CTL = """\
#!/bin/sh
if [ "$1" = start ]; then exec 2>{directory}/pg_ctl.log; fi
exec env -i PATH="$PATH" LD_LIBRARY_PATH="$LD_LIBRARY_PATH" LC_ALL=C {become} \\
    /bin/sh -c 'cd "$0" && exec "$@"' {directory} {pg_ctl} "$@"
"""

# Reads its standard input until the process at the other end is gone, however it ended.
_WATCHER = """\
trap '' INT TERM HUP
[ "$(cat)" = {stay} ] || exec /bin/sh {stop}
"""

_STOP = """\
#!/bin/sh
cd /
{pg_ctl} stop -D {data} -m immediate >/dev/null 2>&1
{remove}
"""
_REMOVE = "rm -rf {directory}"
# The link may be another server's by now.
_UNLINK = '[ "$(readlink {link})" != {directory} ] || rm {link}; '


def prepare_directory(pg_ctl: Path, account: Account | None) -> tuple[Path, Path]:
    """Make a directory for one server and, in it, a ``pg_ctl`` that runs as the server's account.

    A ``TMPDIR`` that the account cannot enter, that is mounted noexec, or whose name is too long for a Unix
    socket is passed over for ``/tmp`` and ``/var/tmp``.

    Parameters
    ----------
    pg_ctl
        PostgreSQL's own program.
    account
        Account that the server runs as, None for the present user.

    Returns
    -------
    directory
        Open to the account only.
    pg_ctl
        Program to use in place of PostgreSQL's own.

    Raises
    ------
    ServerStartError
        Raised if there is no such directory; the message says what was wrong with each.
    """
    refused = []
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp's are private
        try:
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base)).resolve()
        except OSError as error:
            refused.append(f"  {base}: {error.strerror}")
            continue
        try:
            wrapper = _write_pg_ctl(directory, pg_ctl, account)
            problem = _problem_with(directory, wrapper)
        except BaseException:
            shutil.rmtree(directory)
            raise
        if not problem:
            return directory, wrapper
        shutil.rmtree(directory)
        refused.append(f"  {base}: {problem}")
    who = f"user {account.name}" if account else "the present user"
    raise ServerStartError(
        f"no temporary directory lets {who} run {pg_ctl}:",
        "Set TMPDIR to a directory that this user can enter and run programs in.",
        log="\n".join(refused),
    )


def write_stop(directory: Path, pg_ctl: Path, *, keep: bool, link: Path | None) -> None:
    """Write the script that stops a server and removes its directory.

    Parameters
    ----------
    directory, pg_ctl
        As `prepare_directory` returned them.
    keep
        Whether the directory stays.
    link
        Symbolic link to the directory that goes with it.
    """
    place = shlex.quote(str(directory))
    # One line, for the shell must have read it when the file goes.
    remove = "" if keep else _REMOVE.format(directory=place)
    if link is not None:
        remove = _UNLINK.format(link=shlex.quote(str(link)), directory=place) + remove
    text = _STOP.format(
        pg_ctl=shlex.quote(str(pg_ctl)), data=shlex.quote(str(directory / "data")), remove=remove
    )
    (directory / STOP).write_text(text, encoding="utf-8")


def start_watcher(directory: Path) -> subprocess.Popen[bytes]:
    """Start a shell that runs the script `STOP` when this process ends.

    It ends when the pipe to it is closed, by `Popen.stdin.close` or by the death of this
    process. If it has read `STAY` before, the server stays.

    Parameters
    ----------
    directory
        As `prepare_directory` returned it.
    """
    script = _WATCHER.format(stay=STAY.decode(), stop=shlex.quote(str(directory / STOP)))
    return subprocess.Popen(
        ["/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _write_pg_ctl(directory: Path, pg_ctl: Path, account: Account | None) -> Path:
    """Write the wrapper and make the folder for files; give the directory to the account."""
    wrapper = directory / "pg_ctl"
    text = _PG_CTL.format(
        become=shlex.join(account.command()) if account else "",
        directory=shlex.quote(str(directory)),
        pg_ctl=shlex.quote(str(pg_ctl)),
    )
    wrapper.write_text(text, encoding="utf-8")
    wrapper.chmod(0o755)
    (directory / FILES).mkdir(mode=0o700)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    return wrapper


def _problem_with(directory: Path, wrapper: Path) -> str:
    """Return why a server could not run in a directory, or nothing."""
    if len(str(directory)) > _LONGEST_DIRECTORY:
        return "its name is too long for a Unix socket"
    try:
        tried = subprocess.run([wrapper, "--version"], check=False, capture_output=True, text=True)
    except OSError as error:
        return str(error.strerror)
    return "" if tried.returncode == 0 else tried.stderr.strip()


def standing_link() -> Path:
    """Return the link to the server of the present user, whether it is there or not."""
    return Path(tempfile.gettempdir()) / f"tapdb-server-{os.geteuid()}"


def find_standing() -> Path | None:
    """Return the directory of the server that stays, or None; a link that leads nowhere is removed.

    Raises
    ------
    SettingsError
        Raised if something else has the name of the link: the temporary directory is open to all users.
    """
    link = standing_link()
    if not os.path.lexists(link):
        return None
    if not link.is_symlink() or link.lstat().st_uid != os.geteuid():
        raise SettingsError(
            str(link),
            "is not a link that this user has made",
            "remove it, or set TMPDIR to another directory",
        )
    if link.exists():
        return link.readlink()
    # Its server and directory have gone without it: the machine was started again.
    link.unlink()
    return None


def stop_standing() -> Path | None:
    """Stop the server that stays and remove all that belongs to it; return its directory, or None."""
    directory = find_standing()
    if directory is not None:
        subprocess.run(["/bin/sh", str(directory / STOP)], check=True)
    return directory
