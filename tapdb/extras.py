"""Imports that can go wrong: an extra that is missing is named, Ctrl-C meanwhile ends in one line."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tapdb.errors import SettingsError


class MissingExtraError(SettingsError):
    """A command needs a Python package that a plain installation leaves out.

    Parameters
    ----------
    purpose
        What needs it, such as ``--format votable``.
    package
        What could not be imported.
    extra
        Extra of tapdb that installs it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(purpose, f"the Python package {package} is missing", f"pip install 'tapdb[{extra}]'")


@contextmanager
def from_extra(extra: str, purpose: str) -> Iterator[None]:
    """Import what an extra installs inside of the ``with`` block.

    Parameters
    ----------
    extra
        Extra of tapdb, as in ``pip install 'tapdb[export]'``.
    purpose
        What needs it, for the message.

    Raises
    ------
    MissingExtraError
        Raised if an import in the block finds no such package.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose, str(error.name), extra) from error


INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell would give it."""


@contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the process with one line while modules are imported, before anything has begun.

    An exception would pass through the code of all these modules, some of which is C.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        # Somebody else has decided what Ctrl-C does, such as nohup.
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: object) -> None:
    say_interrupted()
    os._exit(INTERRUPTED)


def say_interrupted() -> None:
    """Say on standard error that the user has ended the command."""
    sys.stderr.write("Interrupted.\n")
    sys.stderr.flush()
