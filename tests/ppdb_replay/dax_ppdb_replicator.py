"""The real dax_ppdb, run by a Python of its own with the arguments APDB_CONFIG PPDB_URL SCHEMA.

Makes a PPDB, says "ready", and copies what there is in the APDB for each line of standard input.
"""

from __future__ import annotations

import sys

from lsst.dax.apdb import ApdbReplica
from lsst.dax.ppdb import Ppdb
from lsst.dax.ppdb.replicator import Replicator
from lsst.dax.ppdb.sql import PpdbSql

__all__ = ["main"]


def main(apdb: str, url: str, schema: str) -> None:
    """Copy until standard input ends."""
    config = PpdbSql.init_database(db_url=url, schema_name=schema, drop=True)
    replicator = Replicator(
        ApdbReplica.from_uri(apdb),
        Ppdb.from_config(config),
        update=False,
        min_wait_time=0,
        max_wait_time=0,
        check_interval=0,
    )
    _say("ready")
    for _ in sys.stdin:
        replicator.run(exit_on_empty=True)
        _say("done")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
