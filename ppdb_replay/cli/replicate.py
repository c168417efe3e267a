"""``tapdb ppdb replicate``: copying an APDB into a PPDB."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ppdb_replay.replication.apdb_source import open_apdb
from ppdb_replay.replication.chunk import PlannedChunk
from ppdb_replay.replication.replicate import ReplicationProgress, StopRequest, plan_replication
from ppdb_replay.replication.service import connect, follow
from tapdb.cli.output import progress_bar, url_option


@click.command("replicate")
@click.argument("apdb", envvar="TAPDB_APDB", metavar="APDB")
@url_option
@click.option(
    "--schema", default="ppdb", show_default=True, metavar="SCHEMA", help="Database schema of the PPDB."
)
@click.option("--once", is_flag=True, help="Copy what there is now, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks at the APDB.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a chunk has to be left alone before it is copied. 0 is safe for an APDB in PostgreSQL, "
    "not for one in Cassandra, where a visit is not stored in one transaction.",
)
@click.option("--dry-run", is_flag=True, help="Print the chunks that would be copied, and change nothing.")
def replicate_command(
    apdb: str, url: str | None, schema: str, interval: float, settle: float, *, once: bool, dry_run: bool
) -> None:
    """Copy the chunks of APDB into a PPDB, as they come, until interrupted.

    APDB is the configuration file of an APDB, or label:NAME of the index that DAX_APDB_INDEX_URI names.
    [env: TAPDB_APDB]

    Chunks that are new, that come late and that were written to again are found. Each is one transaction:
    it can be interrupted at any time, and goes on where it was. SIGINT and SIGTERM let it finish the chunk at
    hand. A lost connection is opened again.
    """
    if dry_run:
        with connect(url) as connection:
            planned = plan_replication(open_apdb(apdb), connection, schema=schema, settle_s=settle)
        _print_plan(planned)
        return
    with stopped_by_signals() as stop, _progress_shown(once=once) as show:
        copied = follow(
            lambda: open_apdb(apdb),
            lambda: connect(url),
            stop=stop,
            interval_s=None if once else interval,
            schema=schema,
            settle_s=settle,
            progress=show,
        )
    ended = ", stopped when asked to" if stop.requested else ""
    click.echo(f"Copied {copied} chunks into schema {schema}{ended}.", err=True)


def _print_plan(planned: tuple[PlannedChunk, ...]) -> None:
    # dax_apdb, which has read the chunks, brings it.
    from astropy.time import Time  # noqa: PLC0415

    for one in planned:
        written = Time(one.chunk.last_update_tai_s, format="unix_tai").tai.isot
        click.echo(f"{one.chunk.id}  {written} TAI  {one.reason}")
    click.echo(f"{len(planned)} chunks would be copied.", err=True)


@contextmanager
def stopped_by_signals() -> Iterator[StopRequest]:
    """Give what SIGINT and SIGTERM ask to stop; the second of them ends the process at once."""
    stop = StopRequest()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop.request()

    for one in before:
        signal.signal(one, handle)
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _progress_shown(*, once: bool) -> Iterator[Callable[[ReplicationProgress], None] | None]:
    """Give what shows progress on standard error; nothing if that is no terminal."""
    with progress_bar("replicate", stays=not once) as show:
        last = ""

        def show_chunk(one: ReplicationProgress) -> None:
            nonlocal last
            if one.copied is not None:
                rows = sum(one.copied.inserted.values())
                last = f"chunk {one.copied.chunk.id}: {rows} rows, {one.copied.records} updates"
            if show is not None:
                show(one.done, one.planned or None, last)

        yield None if show is None else show_chunk
