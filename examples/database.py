"""The example database: what the pages of the documentation, the demonstration and ``tapdb ephemeral`` show.

A Butler repository, its migration, and a PPDB that follows an APDB; each step stands on the one before.
Files that go with the database are in one folder: ``obscore.yaml``, the repository ``butler``,
``repositories.yaml`` by which daf_butler knows it as ``demo``, ``apdb.yaml``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
import yaml
from alembic import command

import tapdb
from ppdb_replay.replication.replicate import replicate
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import checked_connection
from tapdb.server.environment import OBSCORE_CONFIG, REPOSITORY_INDEX

from .apdb import Survey, make_apdb, store_visit, update_all_kinds
from .lsstcam import OBSCORE_CONFIG as CONFIG
from .lsstcam import TINY, Content, Repository, make_repository

__all__ = ["CONTENT", "SCHEMA", "add_repository", "make_example", "migrate", "observe"]

SCHEMA = "butler"
"""Database schema of the registry."""

CONTENT = replace(TINY, edges=False)
"""What the repository of the example holds."""

_VISITS = 10
_Say = Callable[[str], None]


def make_example(url: sa.URL, files: Path, say: _Say) -> None:
    """Fill a database that has the extensions and nothing else.

    Parameters
    ----------
    url
        The database. dax_apdb takes the password from ``PGPASSWORD``.
    files
        Folder for the files.
    say
        Called with what is done next.
    """
    say("a Butler repository of two instruments")
    add_repository(url, files)
    say("the migration: ivoa.ObsCore, TAP_SCHEMA, tables of the PPDB")
    migrate(url)
    say(f"an APDB of {2 * _VISITS} visits, copied into the PPDB visit by visit")
    survey = make_apdb(url)
    survey.config.save(str(files / "apdb.yaml"))
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as writer:
        writer.autocommit = True
        observe(survey, writer, _VISITS)
        observe(survey, writer, _VISITS, updates=True)


def add_repository(url: sa.URL, files: Path, content: Content = CONTENT) -> Repository:
    """Make the Butler repository in a database that has the extensions; write the files that lead to it.

    Parameters
    ----------
    url
        The database.
    files
        Folder for ``butler``, ``repositories.yaml``, ``obscore.yaml`` and, in a checkout, Alembic's files.
    content
        What the repository holds.
    """
    repository = make_repository(url, files / "butler", schema=SCHEMA, content=content)
    (files / REPOSITORY_INDEX).write_text(yaml.safe_dump({"demo": str(repository.root)}), encoding="utf-8")
    shutil.copy(CONFIG, files / OBSCORE_CONFIG)
    checkout = Path(tapdb.__file__).parent.parent
    for name in ("alembic.ini", "migrations"):
        if (checkout / name).exists():
            (files / name).symlink_to(checkout / name)
    return repository


def migrate(url: sa.URL) -> None:
    """Do what ``alembic upgrade head`` does: the views over the repository, TAP_SCHEMA, the PPDB."""
    options = {"registry_schema": SCHEMA, "obscore_config": str(CONFIG), "ppdb_schema": "current"}
    with checked_connection(url) as connection:
        command.upgrade(alembic_config(connection, **options), "head")
        connection.commit()


def observe(
    survey: Survey, connection: psycopg.Connection[Any], visits: int, *, updates: bool = False
) -> None:
    """Store visits, each copied before the next: an APDB in PostgreSQL does not keep what chunks were.

    Parameters
    ----------
    survey
        The APDB.
    connection
        Connection to the PPDB that is in no transaction.
    visits
        How many visits.
    updates
        Whether rows are updated, withdrawn and reassociated after each fifth visit.
    """
    for number in range(visits):
        store_visit(survey)
        replicate(survey.replica, connection)
        if updates and number % 5 == 4:
            update_all_kinds(survey)
            replicate(survey.replica, connection)
