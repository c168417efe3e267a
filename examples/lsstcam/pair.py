"""The same content twice in one database, with and without daf_butler's own live ObsCore table.

Dataset ids follow from data ID, type and run, so that the two can be compared row for row.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from lsst.daf.butler import Config

from .content import TINY, Content
from .edges import edge_cases
from .repository import Repository, butler_url, make_repository, obscore_config

__all__ = ["Pair", "clone_repository", "live_rows", "make_pair"]

PLAIN_SCHEMA = "plain"
LIVE_SCHEMA = "live"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two repositories with the same content.

    Attributes
    ----------
    plain
        Without a live ObsCore table.
    live
        With daf_butler's live ObsCore table ``obscore`` in its schema. It lacks the datasets of those edge
        cases that daf_butler cannot put into such a table.
    """

    plain: Repository
    live: Repository

    @property
    def url(self) -> sa.URL:
        """The database that holds both."""
        return self.plain.url

    @property
    def absent_from_live(self) -> frozenset[str]:
        """Names of the edge cases whose datasets only the plain repository has."""
        content = self.plain.content
        return frozenset(case.name for case in edge_cases(content) if content.edges and not case.live)

    def clone(self, url: sa.URL, root: Path) -> Pair:
        """Return the pair for a copy of its database.

        Parameters
        ----------
        url
            The copy.
        root
            Directory for the two roots of the copies; made if missing.
        """
        return Pair(
            plain=clone_repository(self.plain, url, root / PLAIN_SCHEMA),
            live=clone_repository(self.live, url, root / LIVE_SCHEMA),
        )


def make_pair(url: sa.URL, root: Path, content: Content = TINY) -> Pair:
    """Make two repositories with the same content in schemas ``plain`` and ``live`` of one database.

    Parameters
    ----------
    url
        A PostgreSQL database that has the extensions btree_gist and pg_sphere.
    root
        Directory for the two roots; made if missing.
    content
        What both hold.
    """
    return Pair(
        plain=make_repository(url, root / PLAIN_SCHEMA, schema=PLAIN_SCHEMA, content=content),
        live=make_repository(
            url, root / LIVE_SCHEMA, schema=LIVE_SCHEMA, obscore_config=obscore_config(), content=content
        ),
    )


def clone_repository(repository: Repository, url: sa.URL, root: Path) -> Repository:
    """Return a repository for a copy of its database; its files are hard links, new ones are its own.

    Parameters
    ----------
    url
        The copy of the database.
    root
        Root directory of the copy; made here.
    """
    shutil.copytree(repository.root, root, copy_function=os.link)
    settings = root / "butler.yaml"
    config = Config(str(settings))
    config["registry", "db"] = butler_url(url)
    settings.unlink()
    config.dumpToUri(settings)
    return replace(repository, url=url, root=root)


def live_rows(connection: sa.Connection, schema: str = LIVE_SCHEMA) -> dict[UUID, Mapping[str, Any]]:
    """Return daf_butler's live ObsCore table: rows by dataset id, columns by name, pgSphere as text."""
    table = sa.table("obscore", schema=schema)
    rows = connection.execute(sa.select(sa.text("*")).select_from(table)).mappings()
    return {row["registry_dataset_id"]: dict(row) for row in rows}
