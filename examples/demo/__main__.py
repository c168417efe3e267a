"""Run the demonstration in the database that the environment names: ``python -m examples.demo``."""

from __future__ import annotations

import os
from pathlib import Path

from tapdb.extras import importing

with importing():
    # Seconds: daf_butler, astropy, matplotlib.
    from tapdb.cli.root import run_program

    from .demonstration import main

if __name__ == "__main__":
    given = os.environ.get("TAPDB_EPHEMERAL_FILES")
    run_program(lambda: main(files=Path(given) if given else None))
