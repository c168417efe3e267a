"""Run one program as a child of this process, and end it whole: with children, and children of those.

The program leads a session and a process group of its own. Where the system has ``/proc``, what has left the
group is found by a variable in its environment, which children inherit.
"""

import hashlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from external_code.errors import ProgramError

_MARK = "TAPDB_PROGRAM"
_PROC = Path("/proc")
_GRACE_S = 0.5
_MOST_ROUNDS = 50
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one execution of a program.

    Attributes
    ----------
    exit_code
        Its exit code; `None` if a signal ended it.
    signal
        Name of the signal that ended it.
    timed_out
        Whether it was ended because its time was over.
    seconds
        How long it ran.
    stdout, stderr
        What it wrote; of much text the first and the last part.
    stdout_bytes, stderr_bytes
        How much it wrote.
    ended
        How many processes that it had left behind were ended.
    """

    exit_code: int | None
    signal: str | None
    timed_out: bool
    seconds: float
    stdout: str
    stderr: str
    stdout_bytes: int
    stderr_bytes: int
    ended: int


def find_program(name: str, path: str | None = None) -> Path:
    """Return the file of a program, as a shell would find it.

    Parameters
    ----------
    name
        Name, or path.
    path
        Folders to look in, in place of ``PATH``.

    Raises
    ------
    ProgramError
        Raised if there is no such program, or if it cannot be executed.
    """
    found = shutil.which(name, path=path)
    if found is None:
        problem = "is no executable file" if Path(name).exists() else "is not found"
        raise ProgramError(name, f"{problem}; give its path, or add its folder to PATH")
    return Path(found).absolute()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises
    ------
    OSError
        Raised if it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def program_sha256(path: Path) -> str:
    """Return the SHA-256 of a program, read once as long as the file is the same.

    Raises
    ------
    OSError
        Raised if it cannot be read.
    """
    facts = path.stat()
    return _known_sha256(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=64)
def _known_sha256(path: Path, changed_ns: int, size: int) -> str:  # noqa: ARG001 - they are the key
    return file_sha256(path)


def run_program(
    arguments: Sequence[str],
    *,
    directory: Path,
    console: Path,
    environment: Mapping[str, str],
    timeout_s: float | None,
    keep_bytes: int,
) -> Ran:
    """Run a program to its end, or to that of its time; none of its processes outlives this call.

    Parameters
    ----------
    arguments
        The program and its arguments.
    directory
        Folder that it runs in.
    console
        Folder for the files that its standard output and its standard error go to.
    environment
        All its environment variables.
    timeout_s
        Seconds that it may run; any number if `None`.
    keep_bytes
        Maximum number of bytes kept of each stream.

    Raises
    ------
    ProgramError
        Raised if it cannot be started.
    """
    mark = uuid4().hex
    files = {name: console / name for name in ("stdout", "stderr")}
    began = time.monotonic()
    with files["stdout"].open("wb") as out, files["stderr"].open("wb") as err:
        try:
            process = subprocess.Popen(
                list(arguments),
                cwd=directory,
                env={**environment, _MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ProgramError(arguments[0], f"cannot be started: {error}") from error
        timed_out = False
        try:
            timed_out = not _ends_within(process.pid, timeout_s)
            seconds = time.monotonic() - began
            if timed_out:
                # Some programs remove their files when they are told to end.
                _signal_group(process.pid, signal.SIGTERM)
                _ends_within(process.pid, _GRACE_S)
        finally:
            ended = _end_all(process.pid, mark)
            code = process.wait()
    stdout, stderr = (_kept_text(file, keep_bytes) for file in files.values())
    return Ran(
        exit_code=code if code >= 0 else None,
        signal=signal.Signals(-code).name if code < 0 else None,
        timed_out=timed_out,
        seconds=seconds,
        stdout=stdout,
        stderr=stderr,
        stdout_bytes=files["stdout"].stat().st_size,
        stderr_bytes=files["stderr"].stat().st_size,
        ended=ended,
    )


def _ends_within(process: int, seconds: float | None) -> bool:
    """Wait for a child to end, and leave it to be waited for: until then its number is nobody else's."""
    descriptor = os.pidfd_open(process)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _signal_group(group: int, number: signal.Signals) -> None:
    # A group may be empty, or hold nothing but what has ended already.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_all(group: int, mark: str) -> int:
    """End a process group and all that carries a mark; return how many processes there were beside the first.

    What is found may have made more meanwhile, so they are looked for until there are none.
    """
    seen: set[int] = set()
    for _ in range(_MOST_ROUNDS):
        marked = set(_marked(mark)) - {group}
        _signal_group(group, signal.SIGKILL)
        for process in marked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        seen |= marked
        if not marked:
            break
        time.sleep(0.005)
    return len(seen)


def _marked(mark: str) -> Iterator[int]:
    """Yield processes of this user with a mark in their environment; those that have ended have none."""
    wanted = f"{_MARK}={mark}".encode()
    if not _PROC.is_dir():
        return
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        # It may have ended meanwhile, or belong to somebody else.
        with suppress(OSError), open(f"/proc/{entry.name}/environ", "rb") as stream:  # noqa: PTH123 - fast
            if wanted in stream.read().split(b"\0"):
                yield int(entry.name)


def _kept_text(file: Path, most: int) -> str:
    """Return the text of a file; of a large one the first and the last half of what may be kept."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= most:
            return stream.read().decode(errors="replace")
        first = stream.read(most // 2)
        stream.seek(size - (most - len(first)))
        last = stream.read()
    left_out = f"\n... {size - most} bytes are left out here ...\n"
    return first.decode(errors="replace") + left_out + last.decode(errors="replace")
