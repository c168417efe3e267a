"""The environment that leads PostgreSQL clients to one database."""

from __future__ import annotations

import os

import sqlalchemy as sa

__all__ = ["client_environment"]

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


def client_environment(url: sa.URL) -> dict[str, str]:
    """Return the present environment, changed so that every PostgreSQL client in it finds one database.

    Parameters
    ----------
    url
        The database, with its password if it needs one.

    Returns
    -------
    environment
        ``PGHOST``, ``PGPORT``, ``PGUSER``, ``PGPASSWORD``, ``PGDATABASE`` and ``DATABASE_URL`` are those of
        the URL; ``TAPDB_URL`` and all other variables of libpq are gone.
    """
    gone = _LIBPQ_VARIABLES | {"DATABASE_URL", "TAPDB_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in gone}
    values = {
        "PGHOST": url.host or url.query.get("host"),
        "PGPORT": url.port or url.query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "DATABASE_URL": url.set(drivername="postgresql").render_as_string(hide_password=False),
    }
    return kept | {name: str(value) for name, value in values.items() if value is not None}
