"""The worker of jobs that `tapdb serve` brings: a process of its own, which ends with the service."""

import asyncio
import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.observing import log_config
from services.settings import read_service_settings
from tapdb.errors import TapdbError
from tapdb.queue.task import load_tasks
from tapdb.queue.worker import WorkerOptions, run_worker

_LOOK_S, _AGAIN_S = 0.2, 2.0
# Beyond the time that running jobs are given.
_MORE_S = 10.0

_log = logging.getLogger(__name__)


@contextmanager
def job_worker(log_level: str) -> Iterator[None]:
    """Run jobs in a process of its own inside of the block; if that ends, another one follows.

    Parameters
    ----------
    log_level
        Least severe message that it writes.
    """
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(stopping, log_level), name="jobs")
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()


def _keep(stopping: threading.Event, log_level: str) -> None:
    """Let there be one process until it is time to stop, which lets its jobs end."""
    context = multiprocessing.get_context("spawn")
    while not stopping.is_set():
        process = context.Process(target=_work, args=(log_level,), name="tapdb jobs")
        process.start()
        while process.is_alive() and not stopping.wait(_LOOK_S):
            pass
        if stopping.is_set():
            process.terminate()
            process.join(read_service_settings().stop_seconds + _MORE_S)
            process.kill()
        else:
            _log.warning("the worker of jobs has ended (%s); another one follows", process.exitcode)
            stopping.wait(_AGAIN_S)
        process.join()


def _work(log_level: str) -> None:
    """Run jobs until the process is told to stop, or the service has ended."""
    settings = read_service_settings()
    # A terminal that is closed is a matter of the service, which ends this process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.config.dictConfig(log_config(settings, log_level))
    threading.Thread(target=_end_with_service, daemon=True).start()
    options = WorkerOptions(concurrency=settings.job_workers, grace_s=settings.stop_seconds)
    try:
        asyncio.run(run_worker(load_tasks(), None, options))
    except TapdbError as error:
        _log.error("the worker of jobs: %s", error)
        sys.exit(error.exit_code)


def _end_with_service() -> None:
    service = multiprocessing.parent_process()
    if service is not None:
        service.join()
        os.kill(os.getpid(), signal.SIGTERM)
