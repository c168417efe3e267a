"""Run the demonstration in the database that the environment names: ``python -m examples.demo``.

``python -m examples.demo stop`` stops the service that it has left.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tapdb.extras import importing

with importing():
    # Seconds: daf_butler, astropy, matplotlib.
    from tapdb.cli.root import run_program
    from tapdb.server.directory import FILES, standing_link

    from .demonstration import main
    from .service import stop_service

if __name__ == "__main__":
    given = os.environ.get("TAPDB_EPHEMERAL_FILES")
    if sys.argv[1:] == ["stop"]:
        run_program(lambda: stop_service(standing_link() / FILES))
    else:
        # Variables of make: the server of the database stays, and with it the service; the history in files.
        keep = bool(os.environ.get("KEEP"))
        lake = os.environ.get("DEMO") == "lake"
        run_program(lambda: main(files=Path(given) if given else None, keep=keep, lake=lake))
