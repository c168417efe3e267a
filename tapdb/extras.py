"""Imports that can go wrong: an extra that is missing is named, Ctrl-C meanwhile ends in one line."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tapdb.errors import SettingsError

_REQUIREMENT = (
    r"""(?P<name>[\w.-]+)(\[(?P<extras>[^]]+)\])?[^;]*;.*extra\s*==\s*["'](?P<extra>[\w.-]+)["'].*"""
)
"""A requirement of an extra in metadata, such as ``astropy>=7.0; extra == "astropy"``."""


class MissingExtraError(SettingsError):
    """A command needs a Python package that a plain installation leaves out.

    Parameters
    ----------
    purpose
        What needs it, such as ``--format votable``.
    module
        What could not be imported.
    extra
        Extra of tapdb that installs it.
    """

    def __init__(self, purpose: str, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        missing = ", ".join(dict.fromkeys(_not_installed(extra)))
        problem = f"needs {missing}, not installed here" if missing else f"cannot import {module}"
        remedy = "" if missing else f" and what provides {module}"
        super().__init__(purpose, problem, f"pip install 'tapdb[{extra}]'{remedy}")


def _not_installed(extra: str) -> Iterator[str]:
    """Yield the distributions of an extra that are not installed, as tapdb's own metadata name them."""
    # This module is the first to be imported, before Ctrl-C ends in one line: it imports next to nothing.
    import re  # noqa: PLC0415
    from importlib.metadata import PackageNotFoundError, distribution, requires  # noqa: PLC0415

    for requirement in requires("tapdb") or ():
        found = re.fullmatch(_REQUIREMENT, requirement)
        if found is None or found["extra"] != extra:
            continue
        if found["name"] == "tapdb":
            for other in found["extras"].split(","):
                yield from _not_installed(other.strip())
        else:
            try:
                distribution(found["name"])
            except PackageNotFoundError:
                yield found["name"]


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


_MESSAGE = "Interrupted.\n"


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


def let_end() -> None:
    """Let Ctrl-C end a process at once that has nothing more to do than to end."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(_number: int, _frame: object) -> None:
    # Not by sys.stderr: Python refuses to write to it where it has been stopped in writing to it.
    os.write(2, _MESSAGE.encode())
    os._exit(INTERRUPTED)


def say_interrupted() -> None:
    """Say on standard error that the user has ended the command."""
    sys.stderr.write(_MESSAGE)
    sys.stderr.flush()
