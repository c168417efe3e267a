"""Fixtures that migrate: databases at head, Alembic as a DBA runs it, and a package with derived objects."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_database, create_engine, drop_database
from tapdb.postgres.extensions import install_extensions
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import EphemeralServer

__all__ = [
    "HEAD",
    "SERVER_WRITES_OPTIONS",
    "SET_N_DISTINCT",
    "RunAlembic",
    "alembic",
    "derived_package",
    "migrated_database",
    "migrated_template",
    "other_server",
    "other_server_database",
    "run_alembic",
]

PROJECT = Path(__file__).parents[2]
HEAD = str(ScriptDirectory.from_config(alembic_config()).get_current_head())
"""The newest revision."""

SERVER_WRITES_OPTIONS = """
UPDATE pg_attribute a SET attoptions = attoptions || ('pg_attver=' || a.attrelid::int8 + a.attnum)
FROM pg_class c WHERE c.oid = a.attrelid AND a.attnum > 0 AND c.relkind IN ('r', 'v')
  AND c.relnamespace::regnamespace::text !~ '^pg_';
UPDATE pg_class SET reloptions = reloptions || ('pg_relver=' || oid::int8)
WHERE relkind IN ('r', 'v') AND relnamespace::regnamespace::text !~ '^pg_';
"""
"""What PostgreSQL 15.20 and 17.12 write into the catalog by themselves, as a superuser can on other releases.

Each column has an option ``pg_attver``: a number that differs from column to column and that no DDL can set.
Tables get an option of the same kind, which no release writes yet.
"""
SET_N_DISTINCT = """
UPDATE pg_attribute SET attoptions = attoptions || '{n_distinct=-1}'::text[]
WHERE attrelid = '%s'::regclass AND attname = '%s'
"""
"""``ALTER COLUMN SET (n_distinct = -1)`` beside such options, which the DDL of other releases cannot read."""

RunAlembic = Callable[..., "subprocess.CompletedProcess[str]"]
RunProcess = Callable[[Sequence[str], Path, Mapping[str, str]], "subprocess.CompletedProcess[str]"]

_FORKS = """
import json, os, signal, socket, sys, traceback
import alembic.config, alembic.autogenerate, tapdb.migrate.run, tapdb.migrate.autogenerate, psycopg
from importlib.metadata import entry_points

for point in entry_points(group="tapdb.derived"):
    # What each command would import again.
    point.load()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(16)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    if os.fork():
        connection.close()
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stream = connection.makefile("rw")
    arguments, folder, environment, *files = json.loads(stream.readline())
    for number, name in enumerate(files, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["alembic", *arguments]
    try:
        alembic.config.main(prog="alembic")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    print(code, file=stream, flush=True)
    os._exit(code)
"""

DERIVED_MODULE = '''
import sqlalchemy as sa

from tapdb.errors import MissingRegistryError


class Views:
    """One view over a table of a foreign schema, as a package that derives objects makes it."""

    def drop(self, connection):
        connection.execute(sa.text("DROP VIEW IF EXISTS ivoa.seen"))
        for (schema,) in connection.execute(sa.text(
            "SELECT nspname FROM pg_namespace, aclexplode(nspacl) a JOIN pg_roles r ON r.oid = a.grantee "
            "WHERE rolname = 'tapdb_owner' AND nspname = 'registry'"
        )).all():
            connection.execute(sa.text("REVOKE ALL ON SCHEMA registry FROM tapdb_owner"))
            connection.execute(sa.text("REVOKE ALL ON registry.dataset FROM tapdb_owner"))

    def create(self, connection, options):
        if not sa.inspect(connection).has_table("dataset", schema=options.get("registry_schema", "registry")):
            raise MissingRegistryError("a table registry.dataset", "there is none", "make one")
        connection.execute(sa.text("GRANT USAGE ON SCHEMA registry TO tapdb_owner"))
        connection.execute(sa.text("GRANT SELECT ON registry.dataset TO tapdb_owner"))
        connection.execute(sa.text(
            "CREATE VIEW ivoa.seen AS SELECT id, tapdb.s_region(region) AS s_region FROM registry.dataset"
        ))
        connection.execute(sa.text("ALTER VIEW ivoa.seen OWNER TO tapdb_owner"))
        connection.execute(sa.text("GRANT SELECT ON ivoa.seen TO tapdb_reader"))

    options = {"registry_schema": "where the table is", "is_current": "yes: as it would be made"}

    def is_current(self, connection, options):
        return options.get("is_current") == "yes"

    def describe_offline(self):
        return "Before this script: drop ivoa.seen by hand.\\nAfter it: make ivoa.seen by hand."
'''


@pytest.fixture(scope="session")
def migrated_template(clone_for_session: Callable[[str], sa.URL], template_database: str) -> str:
    """Return the name of a database at head, without any view; connect to it never."""
    url = clone_for_session(template_database)
    engine = create_engine(url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection, obscore="off"), "head")
    engine.dispose()
    return str(url.database)


@pytest.fixture
def migrated_database(clone_database: Callable[[str], sa.URL], migrated_template: str) -> sa.URL:
    """Return the URL of a database of one's own that is at head, without any view."""
    return clone_database(migrated_template)


@pytest.fixture(scope="session")
def run_alembic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunProcess]:
    """Return a function that runs ``python -m alembic`` in a folder and an environment, in its own process.

    Processes are forked from one that has made the imports, which take a second.
    """
    folder = tmp_path_factory.mktemp("alembic")
    address, numbers = str(folder / "socket"), itertools.count()
    with subprocess.Popen(
        [sys.executable, "-c", _FORKS, address], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"

        def run(
            arguments: Sequence[str], folder_of_run: Path, environment: Mapping[str, str]
        ) -> subprocess.CompletedProcess[str]:
            files = [folder / f"{next(numbers)}" for _ in range(2)]
            request = [list(arguments), str(folder_of_run), dict(environment), *map(str, files)]
            with socket.socket(socket.AF_UNIX) as asked, asked.makefile("rw") as stream:
                asked.settimeout(120)
                asked.connect(address)
                print(json.dumps(request), file=stream, flush=True)
                code = int(stream.readline())
            return subprocess.CompletedProcess(arguments, code, *(file.read_text() for file in files))

        yield run
        parent.kill()


@pytest.fixture
def alembic(run_alembic: RunProcess) -> RunAlembic:
    """Return a function that runs the command ``alembic`` on a database, in the project or a copy of it."""

    def run(
        url: sa.URL, *arguments: str, folder: Path = PROJECT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return run_alembic(arguments, folder, client_environment(url) | environment)

    return run


@pytest.fixture
def derived_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install a package with derived objects, the view ``ivoa.seen``, as long as the test runs."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "tapdb_test_views.py").write_text(DERIVED_MODULE)
    metadata = folder / "tapdb_test_views-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tapdb-test-views\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[tapdb.derived]\nseen = tapdb_test_views:Views\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        yield
    sys.modules.pop("tapdb_test_views", None)


@pytest.fixture(scope="module")
def other_server() -> Iterator[EphemeralServer]:
    """Return a server of the module's own, for tests of roles: these belong to a whole server."""
    with EphemeralServer() as server:
        yield server


@pytest.fixture
def other_server_database(other_server: EphemeralServer) -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that makes a database on `other_server`; afterwards no role of ours is left there."""
    made: list[str] = []

    def make(name: str) -> sa.URL:
        url = create_database(other_server.url("postgres"), name, template="template0")
        made.append(name)
        engine = create_engine(url)
        with engine.begin() as connection:
            install_extensions(connection)
        engine.dispose()
        return url

    yield make
    for name in made:
        drop_database(other_server.url("postgres"), name)
    engine = create_engine(other_server.url("postgres"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS tapdb_owner, tapdb_reader, tapdb_service")
    engine.dispose()
