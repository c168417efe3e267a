"""Fill the database that the environment names: ``python -m tapdb_examples example | repository``.

``tapdb ephemeral`` calls it. The files go to the folder that ``TAPDB_EPHEMERAL_FILES`` names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tapdb.extras import importing

with importing():
    from rich.console import Console

    from tapdb.cli.root import run_program
    from tapdb.extras import from_extra
    from tapdb.settings import database_url


def main(content: str) -> None:
    """Fill the database.

    Parameters
    ----------
    content
        ``example`` for all there is, ``repository`` for the Butler repository alone.

    Raises
    ------
    MissingExtraError
        Raised if a package is missing.
    """
    with from_extra("example", f"--{content}"):
        from .database import add_repository, make_example  # noqa: PLC0415 - all of Rubin's packages
    url, files = database_url(), Path(os.environ["TAPDB_EPHEMERAL_FILES"])
    with _progress() as say:
        if content == "example":
            make_example(url, files, say)
        else:
            say("a Butler repository of two instruments")
            add_repository(url, files)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Give a function that says on standard error what is done next; a terminal shows that it goes on."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda text: console.print(f"example: {text}", soft_wrap=True)
        return
    with console.status("example") as status:
        yield lambda text: status.update(f"example: {text}")


if __name__ == "__main__":
    run_program(lambda: main(*sys.argv[1:]))
