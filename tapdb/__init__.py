"""What all jobs stand on: errors, settings, PostgreSQL, migrations, Felis, VOTable, the command line.

Read `errors`, `settings` and `sources` (SQL as text) first; `findings` are what checks report, `extras` says
which package is missing, `xml_text` is for all XML, `collecting` puts off the search for garbage. Then the
folders: `postgres` connects, `hooks` is how jobs ask each other, `queue` runs what takes long, `replication`
follows another server, `votable` writes results, `felis` reads descriptions, `migrate` is Alembic's
environment, `server` starts a private PostgreSQL, `cli` is the command ``tapdb``.
"""

from tapdb.errors import TapdbError

__all__ = ["TapdbError", "__version__"]

__version__ = "0.1.0"
