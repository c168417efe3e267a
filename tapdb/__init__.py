"""What all jobs stand on: errors, settings, PostgreSQL, migrations, Felis, VOTable, the command line.

Read `errors`, `settings` and `sources` (SQL as text) first, then the folders: `postgres` connects,
`hooks` is how jobs ask each other, `migrate` is Alembic's environment, `felis` reads descriptions,
`votable` writes results, `server` starts a private PostgreSQL, `cli` is the command ``tapdb``.
`findings` are what checks report, `xml_text` is for all XML, `extras` says which package is missing,
`collecting` puts off the search for garbage.
"""

from tapdb.errors import TapdbError

__all__ = ["TapdbError", "__version__"]

__version__ = "0.1.0"
