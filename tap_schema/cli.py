"""``tapdb tap-schema``: the description of what is published."""

from __future__ import annotations

import click

from tap_schema.cli_change import publish, rollback
from tap_schema.cli_look import diff, generate, history, lint

__all__ = ["tap_schema"]


@click.group("tap-schema")
def tap_schema() -> None:
    """Describe the published tables in TAP_SCHEMA: from Felis files and from the database itself.

    The database says what exists, of which type it is, what is indexed and what refers to what. FILES, in
    Felis, say what it means; so do the packages that make tables (ObsCore, TAP_SCHEMA itself). What is
    published already counts for tables that neither of them describes, so that FILES need not be all at
    once. Exit status: 0 if all went well, 1 if something failed or a difference was found, 2 if a file or an
    option cannot be used.
    """


for _command in (generate, lint, diff, publish, history, rollback):
    tap_schema.add_command(_command)
