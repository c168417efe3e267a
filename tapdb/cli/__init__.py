"""The command ``tapdb``: `session` and `output` are for the commands of all packages.

`migrate`, `sql`, `extensions` and `ephemeral` are commands of this one, `root` finds all by entry point.
What begins a process is here, since it must not import the rest.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell would give it."""


def main() -> None:
    """Run the command ``tapdb``: the entry point, which imports everything else."""
    with importing():
        from tapdb.cli.root import main as command  # noqa: PLC0415 - nothing can say yet that it was interrupted
    command()


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
