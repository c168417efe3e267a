"""``tapdb task | provenance | recreate``: programs over Butler data, and what they made."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from external_code.provenance.drawing import lineage_json, lineage_svg, lineage_tree
from external_code.provenance.lineage import dataset_uuid, read_lineage
from external_code.recreation_job import request_recreation
from tapdb.cli.output import (
    RowOutput,
    describe_option,
    format_option,
    output_option,
    output_stream,
    prints_rows,
    progress_bar,
    url_option,
)
from tapdb.cli.session import change_session
from tapdb.errors import SettingsError
from tapdb.extras import from_extra
from tapdb.postgres.engine import checked_connection

_TERMINATED = 143
_LEVELS = 5
_OUTCOME = ("task", "data_id", "status", "problem", "quantum")


@contextmanager
def _ended_with_programs() -> Iterator[None]:
    """Let SIGTERM end the command as an exception does, so that it ends the programs that it runs."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group()
def task() -> None:
    """Run programs over the data of a Butler repository, under a pipeline."""


@task.command()
@click.argument("description", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@output_option
@click.option(
    "--repository",
    metavar="REPO",
    help="Repository to teach the storage classes that keep files as programs wrote them.",
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
def init(description: Path | None, output: str, repository: str | None, *, force: bool) -> None:
    """Write a pipeline (YAML of lsst-pipe-base) from a short DESCRIPTION, and prepare a repository.

    The pipeline is one that pipetask runs, too.
    """
    if description is None and repository is None:
        raise SettingsError("tapdb task init", "there is nothing to do", "give DESCRIPTION or --repository")
    if output != "-" and not force and Path(output).exists():
        raise SettingsError("-o/--output", f"{output} is there already", "name another file, or give --force")
    if repository is not None:
        with from_extra("tasks", "tapdb task"):
            from external_code.storage import prepare_repository  # noqa: PLC0415 - all of Rubin's packages
        added = prepare_repository(repository)
        said = "has" if not added else "now has"
        click.echo(f"{repository} {said} the storage classes that keep files as they are.", err=True)
    if description is not None:
        from external_code.description import pipeline_text, read_description  # noqa: PLC0415 - pydantic

        text = pipeline_text(read_description(description))
        with output_stream(output) as stream:
            stream.write(text.encode())


@task.command()
@click.argument("pipeline")
@click.argument("repository")
@click.option("--quantum-backed", is_flag=True, help="It is to run under a Quantum-Backed Butler.")
@click.option("--strict", is_flag=True, help="Exit 1 also for warnings.")
@prints_rows
def check(pipeline: str, repository: str, rows: RowOutput, *, quantum_backed: bool, strict: bool) -> None:
    """Find what would fail before PIPELINE runs over REPOSITORY; exit 1 if anything would.

    Looked at are programs, templates, dataset types, dimensions, storage classes, formatters and folders.
    """
    with from_extra("tasks", "tapdb task"):
        from external_code.checking import check_pipeline  # noqa: PLC0415 - all of Rubin's packages
    found = check_pipeline(repository, pipeline, quantum_backed=quantum_backed)
    rows.write_findings(found, strict=strict, nothing="Nothing that would fail was found.")


@task.command()
@click.argument("pipeline")
@click.argument("repository")
@click.option(
    "-i", "--input", "inputs", required=True, metavar="COLLECTIONS", help="Where inputs are, by commas."
)
@click.option(
    "-o",
    "--output",
    "chain",
    required=True,
    metavar="COLLECTION",
    help="Chain of the new RUN and the inputs.",
)
@click.option("-d", "--data-query", "where", default="", metavar="WHERE", help="Condition on data IDs.")
@click.option("--run", metavar="RUN", help="Name of the new RUN.  [default: COLLECTION/time]")
@click.option(
    "-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Quanta at once."
)
@click.option(
    "--summary", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="JSON for programs."
)
@click.option("--no-check", is_flag=True, help="Do not look for what would fail first.")
def run(  # noqa: PLR0913 - what pipetask run takes
    pipeline: str,
    repository: str,
    inputs: str,
    chain: str,
    where: str,
    run: str | None,
    processes: int,
    summary: Path | None,
    *,
    no_check: bool,
) -> None:
    """Run PIPELINE over REPOSITORY, and say what came of each quantum; exit 1 if one failed.

    The graph of what is run is kept in the RUN: tapdb provenance and tapdb recreate read it.
    """
    with from_extra("tasks", "tapdb task"):
        from external_code.checking import check_pipeline  # noqa: PLC0415 - all of Rubin's packages
        from external_code.running import run_pipeline  # noqa: PLC0415
    if not no_check:
        found = [one for one in check_pipeline(repository, pipeline) if one.severity == "error"]
        if found:
            RowOutput("table", "-").write_findings(found)
    with _ended_with_programs(), progress_bar("quanta") as show:
        done = run_pipeline(
            repository,
            pipeline,
            inputs=[one.strip() for one in inputs.split(",")],
            output=chain,
            where=where,
            processes=processes,
            run=run,
            progress=None if show is None else lambda done, total: show(done, total, ""),
        )
    if summary is not None:
        facts = {
            "run": done.run,
            "quanta": [{name: getattr(one, name) for name in _OUTCOME} for one in done.outcomes],
        }
        with output_stream(str(summary)) as stream:
            stream.write(f"{json.dumps(facts, indent=2, ensure_ascii=False)}\n".encode())
    for (label, status), count in sorted(done.counts.items()):
        click.echo(f"{label}: {count} {status}")
    for one in done.failed:
        click.echo(f"{one.task} {one.data_id}: {one.problem or 'an input of it was not made'}", err=True)
    click.echo(done.run)
    if done.failed:
        sys.exit(1)


@click.group()
def provenance() -> None:
    """Which data made which: bring the graphs of RUNs into the database, and show what is known."""


@provenance.command()
@click.argument("repository")
@click.argument("run")
@url_option
@click.option("--private", is_flag=True, help="Readers are not to see it: for tapdb recreate alone.")
@describe_option
def load(repository: str, run: str, url: str | None, *, private: bool, describe: bool) -> None:
    """Load what was run in RUN of a Butler REPOSITORY, in place of what was loaded of it before.

    Read is the graph that tapdb task run has kept, or the one of butler ingest-graph. REPOSITORY, a folder, a
    label or a URI, is noted: tapdb recreate finds it by that.
    """
    with from_extra("tasks", "tapdb provenance"):
        from external_code.provenance.loading import load_run, require_loading  # noqa: PLC0415 - pipe_base
        from external_code.provenance.run_graph import read_run  # noqa: PLC0415
        from external_code.running import open_repository  # noqa: PLC0415
    with change_session(url, application_name="tapdb provenance load", describe=describe) as connection:
        require_loading(connection)
        with open_repository(repository) as butler:
            found = read_run(butler, run)
        load_run(connection, found, _found_from_anywhere(repository), public=not private)
    click.echo(
        f"Loaded {run}: {len(found.quanta)} quanta, {len(found.datasets)} datasets, "
        f"{len(found.edges)} edges.",
        err=True,
    )


def _found_from_anywhere(repository: str) -> str:
    """Return the name of a repository that does not depend on the folder that we are in."""
    path = Path(repository)
    return str(path.absolute()) if path.exists() else repository


@provenance.command()
@click.argument("did")
@url_option
@click.option(
    "--levels", type=click.IntRange(min=1), default=_LEVELS, show_default=True, help="How far upwards."
)
@format_option("tree", "svg", "json", help_text="Text, a picture, or all that is known.")
@output_option
def show(did: str, url: str | None, levels: int, form: str, output: str) -> None:
    """Show what the dataset DID, a publisher DID or a UUID, was made of."""
    with checked_connection(url, read_only=True) as connection:
        lineage = read_lineage(connection, dataset_uuid(connection, did), levels)
    match form:
        case "tree":
            text = lineage_tree(lineage)
        case "svg":
            text = lineage_svg(lineage)
        case _:
            text = f"{json.dumps(lineage_json(lineage), indent=2, ensure_ascii=False)}\n"
    with output_stream(output) as stream:
        stream.write(text.encode())


@click.command()
@click.argument("did")
@url_option
@click.option("--here", is_flag=True, help="Do it in this process, not as a job of the queue.")
@click.option("--with-inputs", is_flag=True, help="Keep purged inputs that have to be made for it, too.")
@click.option("--allow-different", is_flag=True, help="Keep it even if its values are not those that it had.")
def recreate(did: str, url: str | None, *, here: bool, with_inputs: bool, allow_different: bool) -> None:
    """Make the purged dataset DID, a publisher DID or a UUID, again: under the same UUID.

    What made it runs again, from the graph that tapdb task run has kept, and so does what made its inputs if
    these were purged too. Values are compared where a digest is known. It is a job of the queue, which
    tapdb queue work runs, where the repository is as it was named for tapdb provenance load.
    """
    options = {"with_inputs": with_inputs, "allow_different": allow_different}
    with checked_connection(url, application_name="tapdb recreate") as connection:
        dataset = dataset_uuid(connection, did)
        connection.commit()
        if not here:
            job = request_recreation(connection, dataset, **options)
            connection.commit()
            said = "a job for it waits already" if job is None else f"job {job} of the queue"
            click.echo(f"{dataset}: {said}", err=True)
            return
        with from_extra("tasks", "tapdb recreate"):
            from external_code.recreate import recreate as make_again  # noqa: PLC0415 - Rubin's packages
        with _ended_with_programs():
            done = make_again(connection, dataset, **options)
    if not done.quanta:
        click.echo(f"{dataset}: is stored already", err=True)
        return
    compared = "equal to what it was" if done.compared else "not compared: no digest of it is known"
    click.echo(f"{dataset}: made again by {done.quanta} quanta in {done.seconds:.1f} s, {compared}", err=True)
