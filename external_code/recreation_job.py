"""Making a dataset again as a job of the queue: put there, and run in a process of its own that can be ended.

What workers load knows nothing of Rubin's packages: a worker without them runs all other jobs.
"""

import subprocess
import sys
from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from external_code.errors import RecreationError, UnknownProvenanceError
from external_code.provenance.lineage import producer_of
from tapdb.queue.client import defer_job
from tapdb.queue.task import Running, Task
from tapdb.server.environment import client_environment

TASK = "external_code.recreate"
"""Name of the task."""

_PROGRAM = "from tapdb.cli.root import main; main()"


def request_recreation(
    connection: sa.Connection, dataset: UUID, *, with_inputs: bool = False, allow_different: bool = False
) -> int | None:
    """Put a job into the queue that makes a dataset again; `None` if one waits for it already.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_service``; the caller commits.
    dataset
        UUID of the dataset.
    with_inputs, allow_different
        As of `external_code.recreate.recreate`.

    Raises
    ------
    UnknownProvenanceError, NoKeptGraphError
        Raised if nothing is known of how it was made: no job could make it.
    """
    if producer_of(connection, dataset) is None:
        raise UnknownProvenanceError(str(dataset))
    arguments = {
        "dataset": str(dataset),
        "with_inputs": with_inputs,
        "allow_different": allow_different,
    }
    name = f"recreate {dataset}"
    try:
        with connection.begin_nested():
            return defer_job(connection, TASK, arguments, run_alone=name, wait_alone=name)
    except sa.exc.IntegrityError:
        return None


def run_recreation(running: Running, *, dataset: str, with_inputs: bool, allow_different: bool) -> None:
    """Make a dataset again, for a worker.

    Parameters
    ----------
    running
        The job of the queue that this is.
    dataset
        UUID of the dataset.
    with_inputs, allow_different
        As of `external_code.recreate.recreate`.

    Raises
    ------
    RecreationError
        Raised if it was not made.
    JobEndedError
        Raised if the job was told to end.
    """
    options = [
        option
        for option, wanted in (("--with-inputs", with_inputs), ("--allow-different", allow_different))
        if wanted
    ]
    code, said = _in_process([dataset, *options], running)
    running.require_wanted()
    if code:
        raise RecreationError(dataset, said or f"its process ended with {code}")


def _in_process(arguments: Sequence[str], running: Running) -> tuple[int, str]:
    """Run ``tapdb recreate --here``, which ends its programs when it is ended itself."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "recreate", "--here", *arguments],
            env=client_environment(running.engine.url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
        running.ended_by(process.terminate),
    ):
        _, said = process.communicate()
    return process.returncode, said.rpartition("Error: ")[2].strip()


TASKS = (Task(TASK, run_recreation),)
"""What workers of the queue can run."""
