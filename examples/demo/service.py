"""The service over the demonstration's database: started, asked with pyvo, stopped or left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyvo

from tapdb.errors import ServerStartError

from .ask import Answer
from .show import Stage

__all__ = ["demonstrate_service", "stop_service"]

_COMMAND = "from tapdb.cli.root import main; main()"
_PROCESS, _LOG = "serve.pid", "serve.log"
_LONGEST_START_S = 30
_QUERY = """
SELECT TOP 5 dataproduct_subtype, COUNT(*) AS datasets, MIN(t_min) AS first_mjd
FROM ivoa.ObsCore
WHERE CONTAINS(POINT(0.1, 0.0), s_region) = 1
GROUP BY dataproduct_subtype
ORDER BY datasets DESC
"""


def demonstrate_service(stage: Stage, files: Path, *, keep: bool) -> None:
    """Serve the database that the environment names, and ask it as anybody would.

    Parameters
    ----------
    stage
        Where it is shown.
    files
        Folder for the log of the service, and the number of its process.
    keep
        Whether the service is left running.
    """
    with stage.step("12. tapdb serve: the same over HTTP, asked with pyvo"), _served(files, keep=keep) as url:
        service = pyvo.dal.TAPService(url)
        names = ", ".join(table.name for table in service.tables if table.name.startswith("ivoa."))
        stage.say(f"{url} publishes {len(service.tables)} tables, {names} among them.")
        begin = time.perf_counter()
        found = service.search(_QUERY)
        elapsed_ms = (time.perf_counter() - begin) * 1000.0
        rows = tuple(tuple(row[name] for name in found.fieldnames) for row in found)
        stage.show(Answer("Images of a position, by kind", found.fieldnames, rows, elapsed_ms))
        if keep:
            stage.say(f"The service stays at {url}; its log is {files / _LOG}")


def stop_service(files: Path) -> None:
    """Stop the service that was left running, if there is one."""
    try:
        process, port = (files / _PROCESS).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return
    with suppress(FileNotFoundError, ProcessLookupError):
        arguments = Path("/proc", process, "cmdline").read_bytes().split(b"\0")
        # The number may be that of another process by now.
        if port.encode() in arguments:
            os.kill(int(process), signal.SIGTERM)
    (files / _PROCESS).unlink()


@contextmanager
def _served(files: Path, *, keep: bool) -> Iterator[str]:
    """Give the URL of a TAP service in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = files / _LOG
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "serve", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            # Ctrl-C is for the demonstration, which may end before the service does.
            start_new_session=True,
        )
    (files / _PROCESS).write_text(f"{process.pid} {port}", encoding="ascii")
    try:
        _wait(process, port, log)
        yield f"http://127.0.0.1:{port}/tap"
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            stop_service(files)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the service answers."""
    end = time.monotonic() + _LONGEST_START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    lines = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    raise ServerStartError("tapdb serve does not answer", log=lines)
