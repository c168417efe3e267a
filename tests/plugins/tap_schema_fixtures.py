"""Fixtures for TAP_SCHEMA: all schemas that lsst-sdm-schemas ships, made in one database by Felis itself."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from felis.datamodel import Schema
from felis.metadata import create_metadata
from lsst.resources import ResourcePath
from psycopg import sql

from tap_schema.catalog import READER
from tapdb.postgres.engine import create_engine

__all__ = [
    "INVALID_FILES",
    "VALID_FILES",
    "RubinDatabase",
    "felis_file",
    "rubin_database",
    "small_database",
]

_FOLDER = Path(str(importlib.resources.files("lsst.sdm.schemas")))
INVALID_FILES = ("ivoa/obscore_nominal.yaml", "archive/baselineSchema.yaml")
"""Files that lsst-sdm-schemas ships and that are not Felis."""

VALID_FILES = tuple(
    name
    for path in sorted(_FOLDER.rglob("*.yaml"))
    if (name := path.relative_to(_FOLDER).as_posix()) not in INVALID_FILES
)
"""All others."""

SMALL = """
CREATE SCHEMA small;
CREATE TABLE small.star (
  id bigint PRIMARY KEY, name varchar(20), ra double precision, decl double precision, mag real[],
  "size" integer, "Mixed" smallint, at timestamp, outline spoly, hidden text
);
CREATE INDEX ON small.star (ra, decl);
CREATE TABLE small.spectrum (id int PRIMARY KEY, star_id bigint CONSTRAINT to_star REFERENCES small.star);
CREATE VIEW small.bright AS SELECT id, name, upper(name) AS loud FROM small.star;
COMMENT ON TABLE small.star IS 'Stars';
COMMENT ON COLUMN small.star.id IS 'Number of the star';
COMMENT ON CONSTRAINT to_star ON small.spectrum IS 'The star that it is of';
GRANT USAGE ON SCHEMA small TO tapdb_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA small TO tapdb_reader;
"""

FELIS = """
name: small
description: A small schema
tables:
- name: star
  description: Stars
  columns:
  - {name: id, datatype: long, description: Number of the star, "ivoa:ucd": meta.id, "tap:principal": 1}
  - {name: name, datatype: string, length: 20, description: Name of the star}
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra, description: Right ascension}
  - {name: decl, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec, description: Declination}
  - {name: mag, datatype: float, "votable:arraysize": "*", "ivoa:unit": mag, description: Magnitudes}
  - {name: size, datatype: int, description: Size}
  - {name: Mixed, datatype: short, description: A mixture}
  - {name: at, datatype: timestamp, description: When it was seen (UTC)}
  - name: outline
    datatype: double
    votable:arraysize: "*"
    votable:xtype: polygon
    ivoa:unit: deg
    description: Its outline
  - {name: hidden, datatype: text, description: A text}
- name: spectrum
  description: Spectra
  columns:
  - {name: id, datatype: int, description: Number of the spectrum, "tap:principal": 1}
  - {name: star_id, datatype: long, description: The star}
- name: bright
  description: Bright stars
  columns:
  - {name: id, datatype: long, description: Number of the star, "tap:principal": 1}
  - {name: name, datatype: string, length: 20, description: Name of the star}
  - {name: loud, datatype: text, description: Its name in capitals}
"""


@dataclass(frozen=True, slots=True)
class RubinDatabase:
    """A database with all tables of lsst-sdm-schemas.

    Attributes
    ----------
    url
        The database.
    files
        Paths of the files.
    schemas
        The same in Felis' own model.
    """

    url: sa.URL
    files: tuple[str, ...]
    schemas: tuple[Schema[Any], ...]


@pytest.fixture(scope="session")
def rubin_database(clone_for_session: Callable[[str], sa.URL], migrated_template: str) -> RubinDatabase:
    """Return a migrated database with the tables of all valid files, which role tapdb_reader may read.

    It takes a while; no test may change it.
    """
    files = tuple(str(_FOLDER / name) for name in VALID_FILES)
    schemas = tuple(_felis_schema(file) for file in files)
    url = clone_for_session(migrated_template)
    engine = create_engine(url)
    with engine.begin() as connection:
        for schema in schemas:
            names = (sql.Identifier(schema.name), sql.Identifier(READER))
            for text in (
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {0}"),
                sql.SQL("GRANT USAGE ON SCHEMA {0} TO {1}"),
                sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {0} GRANT SELECT ON TABLES TO {1}"),
            ):
                connection.exec_driver_sql(text.format(*names).as_string())
            create_metadata(schema).create_all(connection)
    engine.dispose()
    return RubinDatabase(url, files, schemas)


def _felis_schema(file: str) -> Schema[Any]:
    """Return what `Schema.from_uri` does, which reads YAML by a slow parser in Python."""
    place = ResourcePath(file, forceAbsolute=False, forceDirectory=False)
    content = yaml.load(place.read(), yaml.CSafeLoader)
    return Schema.model_validate(content, context={"id_generation": True, "resource_path": place})


@pytest.fixture
def small_database(migrated_database: sa.URL) -> Iterator[sa.Engine]:
    """Return a migrated database of a test's own with the tables of `SMALL`, as an engine."""
    engine = create_engine(migrated_database)
    with engine.begin() as connection:
        connection.exec_driver_sql(SMALL)
    yield engine
    engine.dispose()


@pytest.fixture
def felis_file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a Felis file, `FELIS` with replacements, and returns its path."""

    def write(text: str = FELIS, *replacements: tuple[str, str], name: str = "small.yaml") -> str:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
