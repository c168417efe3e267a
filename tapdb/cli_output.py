"""Where commands write, and in what encoding: a file that the user names, or standard output."""

from __future__ import annotations

import codecs
import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import click

__all__ = ["output_stream", "prepare_streams"]


def prepare_streams() -> None:
    """Let files and pipes hold UTF-8 in every locale, and a terminal show ``?`` for what it cannot show."""
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="replace")
    else:
        # Names of files that are no UTF-8 come out as the bytes that they are.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


@contextmanager
def output_stream(name: str) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes; ``-`` is standard output, which stays open.

    What is written is UTF-8, or bytes of a binary format. A terminal gets it in its own encoding.

    Raises
    ------
    click.FileError
        Raised if the file cannot be opened or written.
    """
    try:
        if name == "-":
            sys.stdout.flush()
            yield _terminal() if sys.stdout.isatty() else sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with open(name, "wb") as stream:  # noqa: PTH123  the name is the user's
            yield stream
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever reads has seen enough: click knows.
            raise
        raise click.FileError(name, error.strerror) from error


def _terminal() -> IO[bytes]:
    """Return a stream that takes UTF-8 and writes what the terminal shows as the same text."""
    recoder = codecs.EncodedFile(sys.stdout.buffer, "utf-8", sys.stdout.encoding, errors="replace")
    return cast(IO[bytes], recoder)
