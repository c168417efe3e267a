"""The command ``tapdb``: finds its sub-commands by entry point and knows none of them by name."""

import errno
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoint, entry_points
from os import PathLike
from typing import Any, NoReturn

import click

from tapdb import __version__
from tapdb.cli.output import prepare_streams
from tapdb.errors import SettingsError, TapdbError, options_spelled
from tapdb.extras import INTERRUPTED, importing, let_end, say_interrupted
from tapdb.migrate.options import spelled_after_x
from tapdb.postgres.engine import translate_database_errors
from tapdb.settings import LOG_FORMAT, LOG_LEVELS, read_settings

COMMAND_GROUP = "tapdb.commands"
"""Entry-point group in which a package registers its click group under the name that users type."""


class _UnloadableCommand(click.Command):
    """A command whose package cannot be imported: listed with the reason, fails when it is called."""

    def __init__(self, entry_point: EntryPoint, cause: Exception) -> None:
        self._entry_point = entry_point
        self._cause = cause
        reason = f"not available: {type(cause).__name__}: {cause}"
        super().__init__(
            entry_point.name,
            short_help=reason,
            help=reason,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True},
            params=[click.Argument(["rest"], nargs=-1)],
        )

    def invoke(self, ctx: click.Context) -> None:  # noqa: ARG002 - click's signature
        """Raise why the command is not there."""
        raise SettingsError(
            f"tapdb {self._entry_point.name}",
            f"{self._entry_point.value} cannot be imported: {type(self._cause).__name__}: {self._cause}",
            "run with --log-level debug for the traceback",
        ) from self._cause


class RootGroup(click.Group):
    """A group that finds its commands by entry point, and prints an error of ours as one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, registered ones too."""
        return sorted({*super().list_commands(ctx), *entry_points(group=COMMAND_GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command; only its own package is imported."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for entry_point in entry_points(group=COMMAND_GROUP, name=cmd_name):
            return _load(entry_point)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of a name; the error for another name suggests registered commands, too."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; what is written does not depend on the locale."""
        prepare_streams()
        return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options; help and version are printed here."""
        with _one_message():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of ours, the database or a file become a message and an exit code."""
        with _one_message(), options_spelled(_spelled):
            result = super().invoke(ctx)
            # A full disk is to be found here, not when Python ends.
            sys.stdout.flush()
            return result


def _spelled(name: str) -> str | None:
    """Return how the command that runs writes an option, if it has it."""
    context = click.get_current_context(silent=True)
    options = {one.name: max(one.opts, key=len) for one in context.command.params} if context else {}
    return options.get(name) or (spelled_after_x(name) if "others" in options else None)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


@contextmanager
def _one_message() -> Iterator[None]:
    """Turn what can be explained into one message and an exit code; Ctrl-C, too."""
    try:
        with translate_database_errors():
            yield
    except KeyboardInterrupt:
        say_interrupted()
        raise click.exceptions.Exit(INTERRUPTED) from None
    except (TapdbError, click.FileError, OSError, UnicodeEncodeError) as error:
        if (explained := _explained(error)) is None:
            raise
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            traceback.print_exc()
        click.echo(f"Error: {explained}", err=True)
        raise click.exceptions.Exit(explained.exit_code) from error


def _explained(error: Exception) -> TapdbError | None:
    """Return an error of ours for one of the system's; None if it says nothing to a user."""
    match error:
        case TapdbError():
            return error
        case UnicodeEncodeError(object=text) if any("\ud800" <= char <= "\udfff" for char in text):
            # Python keeps foreign bytes of arguments and variables in this form. They may hold a password.
            return SettingsError(
                "an argument or environment variable", "holds bytes that are no UTF-8", "write it in UTF-8"
            )
        case click.FileError(filename="-", message=reason):
            _close_output()
            return TapdbError(f"standard output cannot be written: {reason}")
        case OSError(filename=None, errno=number, strerror=reason) if number in _FULL:
            # Files are written by `output_stream`, which names them.
            _close_output()
            return TapdbError(f"standard output cannot be written: {reason}")
        case OSError(filename=str() | bytes() | PathLike() as name, strerror=reason):
            return TapdbError(f"{click.format_filename(name)}: {reason}")
    return None


def _close_output() -> None:
    """Close standard output, which holds what it could not write: Python would try again at the end."""
    with suppress(OSError):
        sys.stdout.close()


@click.group(
    cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="tapdb")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Least severe message to log on standard error; debug adds tracebacks.  [env: TAPDB_LOG_LEVEL]",
)
def main(log_level: str | None) -> None:
    """Run the database behind a Rubin TAP service.

    The database is the one that --url, TAPDB_URL, DATABASE_URL or libpq's own PGHOST, PGDATABASE, ... name,
    in this order.
    """
    level = log_level or read_settings().log_level
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT, stream=sys.stderr, force=True)


def run_program(work: Callable[[], object]) -> NoReturn:
    """Run what is no command of ``tapdb`` like one, and end the process.

    Parameters
    ----------
    work
        What is to be done.
    """
    prepare_streams()
    code = 0
    try:
        with _one_message(), options_spelled(lambda _: None):
            work()
            sys.stdout.flush()
    except click.exceptions.Exit as end:
        code = end.exit_code
    let_end()
    sys.exit(code)


def _load(entry_point: EntryPoint) -> click.Command:
    """Return the command of an entry point, or one that says why there is none."""
    try:
        with importing():
            command = entry_point.load()
    except Exception as cause:  # noqa: BLE001 - the other commands must work without this one
        return _UnloadableCommand(entry_point, cause)
    if not isinstance(command, click.Command):
        return _UnloadableCommand(entry_point, TypeError(f"{entry_point.value} is not a click command"))
    return command
