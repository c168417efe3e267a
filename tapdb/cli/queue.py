"""``tapdb queue``: run the jobs of the queue, and say what is in it."""

import asyncio
from dataclasses import asdict

import click

from tapdb.cli.output import RowOutput, prints_rows, url_option
from tapdb.postgres.engine import checked_connection
from tapdb.queue.client import count_jobs
from tapdb.queue.schema import require_queue
from tapdb.queue.task import load_tasks


@click.group()
def queue() -> None:
    """Run jobs of the queue, or list them."""


@queue.command()
@click.option(
    "--queue", "queues", multiple=True, metavar="NAME", help="Work on this queue alone; can be repeated."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    metavar="JOBS",
    help="Jobs to run at once.",
)
@click.option("--wait/--no-wait", default=True, help="Wait for more, or end when the queue is empty.")
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Time between two signs of life, and between two looks for jobs of dead workers.",
)
@click.option(
    "--lost-after",
    type=click.FloatRange(0.2),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Time without a sign of life after which a worker counts as dead, and its jobs are run again.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Time that jobs are given when the worker is stopped; then another worker runs them again.",
)
@url_option
def work(
    queues: tuple[str, ...],
    url: str | None,
    *,
    concurrency: int,
    wait: bool,
    heartbeat: float,
    lost_after: float,
    grace: float,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C.

    Any number of workers may run, on any machine that reaches the database and TAPDB_JOBS_DIRECTORY. The user
    needs the roles tapdb_service and tapdb_reader.
    """
    # What runs jobs takes long to import, and only this command needs it.
    from tapdb.queue.worker import WorkerOptions, run_worker  # noqa: PLC0415

    options = WorkerOptions(queues, concurrency, wait, heartbeat, lost_after, grace)
    asyncio.run(run_worker(load_tasks(), url, options))


@queue.command()
@prints_rows
@url_option
def status(url: str | None, *, rows: RowOutput) -> None:
    """Print how many jobs there are, by queue, task and state; those that ended well are not kept."""
    with checked_connection(url, read_only=True) as connection:
        require_queue(connection)
        counts = count_jobs(connection)
    rows.write_records(("queue", "task", "status", "jobs"), [asdict(count) for count in counts])
