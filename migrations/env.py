"""Alembic's environment: what it does is in `tapdb.migrate.run`."""

from __future__ import annotations

from contextlib import nullcontext

from alembic import context

from tapdb.extras import importing

# A program that calls Alembic says itself what Ctrl-C does.
with importing() if context.config.cmd_opts is not None else nullcontext():
    import tapdb.migrate.operations  # noqa: F401 - op.set_object_version
    from tapdb.migrate.run import configure_logging, run

# On the command line logging is configured here; a program that calls Alembic has its own.
if context.config.cmd_opts is not None:
    configure_logging(context.config)

run()
