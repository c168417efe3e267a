"""The environment that leads PostgreSQL clients to one database."""

import os
import shlex
import sys
from pathlib import Path

import sqlalchemy as sa

ENVIRONMENT = "environment.sh"
"""Name of the file that `write_environment` writes."""

OBSCORE_CONFIG, REPOSITORY_INDEX = "obscore.yaml", "repositories.yaml"
"""Names of files to which a variable leads, where they go with a database."""

# All that libpq would take from the caller's environment instead (PostgreSQL manual, section 34.15).
_LIBPQ_VARIABLES = frozenset(
    {
        "PGHOST",
        "PGHOSTADDR",
        "PGPORT",
        "PGDATABASE",
        "PGUSER",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGREQUIREAUTH",
        "PGCHANNELBINDING",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGOPTIONS",
        "PGAPPNAME",
        "PGSSLMODE",
        "PGREQUIRESSL",
        "PGSSLNEGOTIATION",
        "PGSSLCOMPRESSION",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLCERTMODE",
        "PGSSLROOTCERT",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLSNI",
        "PGREQUIREPEER",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "PGGSSENCMODE",
        "PGKRBSRVNAME",
        "PGGSSLIB",
        "PGGSSDELEGATION",
        "PGCONNECT_TIMEOUT",
        "PGCLIENTENCODING",
        "PGTARGETSESSIONATTRS",
        "PGLOADBALANCEHOSTS",
        "PGDATESTYLE",
        "PGTZ",
        "PGGEQO",
        "PGSYSCONFDIR",
    }
)


_PREVAILING = frozenset({"DATABASE_URL", "TAPDB_URL"})
# Those of this installation: a newcomer has not activated its environment.
_PROGRAMS = Path(sys.executable).parent
_HAS_PROGRAMS = (_PROGRAMS / "tapdb").exists()
_FOLDER = "TAPDB_EPHEMERAL_FILES"
_BY_FILE = {"TAPDB_OBSCORE_CONFIG": OBSCORE_CONFIG, "DAF_BUTLER_REPOSITORY_INDEX": REPOSITORY_INDEX}


def client_environment(url: sa.URL, files: Path | None = None) -> dict[str, str]:
    """Return the present environment, changed so that every PostgreSQL client in it finds one database.

    Parameters
    ----------
    url
        The database, with its password if it needs one.
    files
        Folder with files that go with the database.

    Returns
    -------
    environment
        ``PGHOST``, ``PGPORT``, ``PGUSER``, ``PGPASSWORD``, ``PGDATABASE`` and ``DATABASE_URL`` are those of
        the URL; ``TAPDB_URL`` and all other variables of libpq are gone. With a folder
        ``TAPDB_EPHEMERAL_FILES`` names it, ``TAPDB_OBSCORE_CONFIG`` an ``obscore.yaml`` and
        ``DAF_BUTLER_REPOSITORY_INDEX`` a ``repositories.yaml`` in it, and ``PATH`` finds this installation's
        programs first.
    """
    gone = _LIBPQ_VARIABLES | _PREVAILING
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    found = {} if files is None else _file_variables(files)
    if files is not None and _HAS_PROGRAMS:
        found["PATH"] = f"{_PROGRAMS}:{os.environ.get('PATH', os.defpath)}"
    return kept | _url_variables(url) | found


def write_environment(url: sa.URL, files: Path) -> None:
    """Write a file by which ``source`` gives a shell the environment of `client_environment`.

    Parameters
    ----------
    url
        The database, with its password if it needs one.
    files
        Folder for the file, which nobody else may enter.
    """
    gone = " ".join(sorted(_LIBPQ_VARIABLES | _PREVAILING))
    variables = _url_variables(url) | _file_variables(files)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    path = [f'export PATH={shlex.quote(str(_PROGRAMS))}:"$PATH"\n'] if _HAS_PROGRAMS else []
    (files / ENVIRONMENT).write_text("".join([f"unset {gone}\n", *lines, *path]), encoding="utf-8")


def _url_variables(url: sa.URL) -> dict[str, str]:
    values = {
        "PGHOST": url.host or url.query.get("host"),
        "PGPORT": url.port or url.query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "DATABASE_URL": url.set(drivername="postgresql").render_as_string(hide_password=False),
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _file_variables(files: Path) -> dict[str, str]:
    """Return variables for a folder and for those of its files that have a name by which they are known."""
    named = {name: str(files / file) for name, file in _BY_FILE.items() if (files / file).exists()}
    return {_FOLDER: str(files)} | named
