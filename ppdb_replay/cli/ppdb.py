"""``tapdb ppdb``: the tables of a PPDB, their versions, and replication into them."""

from __future__ import annotations

import click

from ppdb_replay.cli.columns import add_column_command, drop_column_command
from ppdb_replay.cli.install import create_command, install_command, uninstall_command
from ppdb_replay.cli.look import check_command, snapshot_command, verify_command
from ppdb_replay.cli.replace import replace_command
from ppdb_replay.cli.replicate import replicate_command

__all__ = ["ppdb"]


@click.group()
def ppdb() -> None:
    """Keep all versions of the rows of a PPDB, so that every query can be repeated.

    Changes are made in one transaction and wait no longer than TAPDB_LOCK_TIMEOUT_MS for a lock. Exit status:
    0 if all went well, 1 if something failed or a check found a difference, 2 if an option cannot be used.
    """


for _command in (
    create_command,
    install_command,
    uninstall_command,
    replicate_command,
    replace_command,
    check_command,
    verify_command,
    snapshot_command,
    add_column_command,
    drop_column_command,
):
    ppdb.add_command(_command)
