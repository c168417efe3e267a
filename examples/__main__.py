"""Fill the database that the environment names: ``python -m tapdb_examples example | repository``.

``tapdb ephemeral`` calls it. The files go to the folder that ``TAPDB_EPHEMERAL_FILES`` names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tapdb.errors import SettingsError, TapdbError
from tapdb.settings import database_url


def main(content: str) -> None:
    """Fill the database.

    Parameters
    ----------
    content
        ``example`` for all there is, ``repository`` for the Butler repository alone.

    Raises
    ------
    SettingsError
        Raised if a package is missing.
    """
    try:
        # All of Rubin's packages are in an extra of their own.
        from .database import add_repository, make_example  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--{content}", f"the Python package {error.name} is missing", "pip install 'tapdb[example]'"
        ) from error
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
    try:
        main(*sys.argv[1:])
    except TapdbError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
