"""``tapdb obscore``: the ObsCore view over a Butler registry."""

from __future__ import annotations

import click

from obscore_view.cli_change import create, drop, plan, refresh
from obscore_view.cli_export import export
from obscore_view.cli_init import init
from obscore_view.cli_look import check, mapping, resolve

__all__ = ["obscore"]


@click.group()
def obscore() -> None:
    """Make, check and export the live ObsCore view over a Butler registry.

    Changes are made in one transaction and wait no longer than TAPDB_LOCK_TIMEOUT_MS for a lock. Exit
    status: 0 if all went well, 1 if something failed or a check found a difference, 2 if a configuration or
    an option cannot be used.
    """


for _command in (init, plan, create, refresh, drop, check, mapping, resolve, export):
    obscore.add_command(_command)
