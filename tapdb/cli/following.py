"""What commands that follow another server share: where it is, what is said of its slot, how they report."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tapdb.cli.output import RowOutput
from tapdb.findings import Finding, fails, finding_text
from tapdb.replication.primary import Primary
from tapdb.replication.subscription import SHOWN

primary_option = click.option(
    "--primary",
    metavar="URL",
    help="Where it is, as this database and this command connect to it, with a role that may replicate and "
    "read. Later only to say that it has moved.",
)
publication_option = click.option(
    "--publication",
    metavar="NAME",
    help="Publication at the primary, of these tables alone.  [default: the name of the subscription]",
)


def say_of_wal(primary: Primary, status: str) -> None:
    """Warn of a primary whose disk a follower could fill.

    Parameters
    ----------
    primary
        The primary.
    status
        The command that says more.
    """
    if not primary.limits_wal:
        click.echo(
            "Its primary keeps WAL for a follower that is away without limit, until its disk is full: "
            f"set max_slot_wal_keep_size there ({status}).",
            err=True,
        )


def say_of_slot(slot: str, *, is_dropped: bool) -> None:
    """Say that a slot was not dropped, if it was not: the primary could not be reached, or has none."""
    if not is_dropped:
        drop = f"SELECT pg_drop_replication_slot('{slot}')"
        said = f"Its primary could not be reached, or has no slot: {drop} there, or it keeps WAL for good."
        click.echo(said, err=True)


def write_status(
    rows: RowOutput,
    kind: str,
    records: Sequence[Mapping[str, Any]],
    found: Sequence[Finding],
    nothing: str,
) -> None:
    """Write what is followed, and what is wrong; exit 1 if something is.

    Parameters
    ----------
    rows
        Where it is written.
    kind
        Name of the column that says what is followed.
    records, found
        What was found.
    nothing
        What is said if nothing is followed.
    """
    rows.write_records((kind, *SHOWN), records)
    if not records:
        click.echo(nothing, err=True)
    for finding in found:
        click.echo(finding_text(finding), err=True)
    if fails(found):
        sys.exit(1)
