"""What a writer waits for while the view is made under it: a Butler that ingests beside each command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Self

import sqlalchemy as sa
from lsst.daf.butler import Butler

from benchmarks.obscore.archive import CHIPS, CONFIG, SCHEMA, Archive, downgrade, step, upgrade
from benchmarks.obscore.ingest import copy_archive, ingest, remove_live_table
from benchmarks.obscore.timing import Stopwatch
from benchmarks.results_file import say
from examples.lsstcam import Pointing
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import RAW_RUN
from examples.lsstcam.records import exposure_records
from examples.lsstcam.repository import insert_records
from obscore_view.cli.obscore import obscore

__all__ = ["Writer", "longest_wait_ms", "measure_locks"]

_FILL = "fill"
_DAY_OBS = 20_260_501
_QUIET = 10
_WHOLE_INGESTS = 5
_PAUSE_S = 0.02
_TRIES = 10


def measure_locks(archive: Archive, root: Path, *, chips: int = CHIPS) -> dict[str, float]:
    """Return the longest wait (ms) of a writer beside each command, on a copy of an archive.

    ``upgrade_lock_ratio`` divides that of the commands which make the view of a million datasets (``tapdb
    migrate upgrade``, and ``tapdb obscore fill`` where there is one) by one ingest of all detectors of an
    exposure. What the writer and the commands did to each other is counted: ``lock_failures`` of writes,
    ``lock_NAME_failures`` of commands, which are run until they succeed.
    """
    repository = copy_archive(archive.repository, "locked", root)
    remove_live_table(repository)
    downgrade(repository.url)
    url = repository.url
    upgrading = ("migrate", "upgrade", "-x", f"registry_schema={SCHEMA}", "-x", f"obscore_config={CONFIG}")
    filling = ("obscore", _FILL) if _FILL in obscore.commands else ()
    making = {name: words for name, words in (("upgrade", upgrading), (_FILL, filling)) if words}
    figures: dict[str, float] = {}
    with repository.butler(writeable=True) as butler:
        writer = Writer(butler, chips)
        figures["lock_ingest_ms"] = median(writer.ingest_all() for _ in range(_WHOLE_INGESTS))
        for name, words in (making | {"refresh": ("obscore", "refresh")}).items():
            figures |= _beside(writer, url, name, words)
        downgrade(url)
        upgrade(url, obscore="off")
        creating = ("obscore", "create", "--config", str(CONFIG), "--registry-schema", SCHEMA)
        figures |= _beside(writer, url, "create", creating)
        figures["lock_failures"] = float(writer.failures)
    longest = max(figures[f"lock_{name}_ms"] for name in making)
    return figures | {"upgrade_lock_ratio": longest / figures["lock_ingest_ms"]}


def longest_wait_ms(writer: Writer, command: Callable[[], None]) -> float:
    """Return how much longer than usual the slowest write took that began while a command ran.

    Parameters
    ----------
    writer
        What writes, again and again.
    command
        What is run beside it, once.
    """
    usual = median(writer.write() for _ in range(_QUIET))
    with writer:
        command()
    return max(0.0, max(writer.times) - usual)


class Writer:
    """A Butler that ingests one exposure of one detector after another, from raw to visit image.

    Each takes all the locks that Butler's writers take. Within a ``with`` block it does so in a thread; the
    last ingest has ended when the block has.

    Parameters
    ----------
    butler
        Writeable client; it is used by one thread at a time.
    chips
        Detectors of a whole ingest of raws.

    Attributes
    ----------
    times
        What each ingest of the last block took, in milliseconds.
    failures
        Ingests that the database has refused, by a deadlock for example.
    """

    def __init__(self, butler: Butler, chips: int = CHIPS) -> None:
        self.times: list[float] = []
        self.failures = 0
        self._butler = butler
        self._chips = chips
        self._numbers = count(1)
        self._stopped = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Begin to write."""
        self.times = []
        self._stopped.clear()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the ingest that is under way."""
        self._stopped.set()
        assert self._thread is not None
        self._thread.join()

    def write(self) -> float:
        """Ingest one detector of a new exposure; return the milliseconds it took."""
        pointing = _pointing(next(self._numbers))
        started = time.perf_counter()
        ingest(self._butler, [pointing], Stopwatch(), "with", range(1))
        return (time.perf_counter() - started) * 1000

    def ingest_all(self) -> float:
        """Register the raws of a new exposure at once; return the milliseconds it took."""
        pointing = _pointing(next(self._numbers))
        insert_records(self._butler, exposure_records([pointing]))
        data_ids = [
            {"instrument": pointing.instrument, "exposure": pointing.id, "detector": chip}
            for chip in range(self._chips)
        ]
        started = time.perf_counter()
        self._butler.registry.insertDatasets("raw", data_ids, run=RAW_RUN)
        return (time.perf_counter() - started) * 1000

    def _run(self) -> None:
        while not (self._stopped.is_set() and self.times):
            started = time.perf_counter()
            try:
                self.write()
            except sa.exc.OperationalError as error:
                self.failures += 1
                say(f"a write has failed: {error.orig}")
            self.times.append((time.perf_counter() - started) * 1000)
            time.sleep(_PAUSE_S)


def _pointing(number: int) -> Pointing:
    return make_pointing(_DAY_OBS, number, number * 7.3 % 360, -70 + number * 1.7 % 75, 15.0, "r_57", "new")


def _beside(writer: Writer, url: sa.URL, name: str, words: Sequence[str]) -> dict[str, float]:
    """Run a command of ``tapdb`` beside a writer until it succeeds."""
    failures = 0

    def command() -> None:
        nonlocal failures
        while _tapdb(url, words):
            failures += 1
            if failures == _TRIES:
                raise RuntimeError(f"tapdb {' '.join(words)} has failed {failures} times beside a writer")

    started = time.perf_counter()
    with step(f"a writer beside {name}"):
        longest = longest_wait_ms(writer, command)
    return {
        f"lock_{name}_ms": longest,
        f"lock_{name}_s": time.perf_counter() - started,
        f"lock_{name}_failures": float(failures),
    }


def _tapdb(url: sa.URL, words: Sequence[str]) -> int:
    """Run the command line, which prints what it likes; return its exit status."""
    environment = os.environ | {
        "TAPDB_URL": url.render_as_string(hide_password=False),
        "TAPDB_LOCK_TIMEOUT_MS": "0",
    }
    tapdb = str(Path(sys.executable).with_name("tapdb"))
    return subprocess.run([tapdb, *words], env=environment, stdout=subprocess.DEVNULL, check=False).returncode
