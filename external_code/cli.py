"""``tapdb task``: programs of others over the data of a Butler repository."""

import json
import sys
from pathlib import Path

import click

from tapdb.cli.output import RowOutput, output_option, output_stream, prints_rows, progress_bar
from tapdb.errors import SettingsError
from tapdb.extras import from_extra

_OUTCOME = ("task", "data_id", "status", "problem", "quantum")


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
    with progress_bar("quanta") as show:
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
