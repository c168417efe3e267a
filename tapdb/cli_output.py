"""Where commands write: a file that the user names, or standard output."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click

__all__ = ["output_stream"]


@contextmanager
def output_stream(name: str) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes; ``-`` is standard output, which stays open.

    Raises
    ------
    click.FileError
        Raised if the file cannot be opened or written.
    """
    try:
        if name == "-":
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with open(name, "wb") as stream:  # noqa: PTH123  the name is the user's
            yield stream
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever reads has seen enough: click knows.
            raise
        raise click.FileError(name, error.strerror) from error
