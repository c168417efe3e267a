"""Alembic's environment: what it does is in `tapdb.migration`."""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context

import tapdb.operations  # noqa: F401 - op.set_object_version
from tapdb.migration import run

# Logging is the business of whoever runs the show: of alembic.ini on the command line, never from Python.
if context.config.cmd_opts is not None and context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

run()
