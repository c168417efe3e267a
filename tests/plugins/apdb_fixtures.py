"""Fixtures with real APDBs, each beside the tables of a PPDB in one database, and connections to them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from examples.apdb import Survey, clone_survey, make_apdb

__all__ = [
    "connect_ppdb",
    "plain_survey",
    "plain_survey_database",
    "plain_survey_template",
    "ppdb",
    "survey",
    "survey_database",
    "survey_template",
]

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture(scope="session")
def survey_template(clone_for_session: Callable[[str], sa.URL], ppdb_template: str) -> Survey:
    """Return an empty APDB in schema ``apdb``, beside an empty versioned PPDB; connect to it never."""
    return _template(clone_for_session(ppdb_template))


@pytest.fixture(scope="session")
def plain_survey_template(clone_for_session: Callable[[str], sa.URL], ppdb_plain_template: str) -> Survey:
    """Return an empty APDB in schema ``apdb``, beside a PPDB without versions; connect to it never."""
    return _template(clone_for_session(ppdb_plain_template))


@pytest.fixture
def survey_database(clone_database: Callable[[str], sa.URL], survey_template: Survey) -> sa.URL:
    """Return the database of `survey`."""
    return clone_database(_name(survey_template))


@pytest.fixture
def plain_survey_database(clone_database: Callable[[str], sa.URL], plain_survey_template: Survey) -> sa.URL:
    """Return the database of `plain_survey`."""
    return clone_database(_name(plain_survey_template))


@pytest.fixture
def survey(survey_template: Survey, survey_database: sa.URL) -> Iterator[Survey]:
    """Return an empty APDB in schema ``apdb``, beside an empty versioned PPDB in schema ``ppdb``."""
    yield from _clone(survey_template, survey_database)


@pytest.fixture
def plain_survey(plain_survey_template: Survey, plain_survey_database: sa.URL) -> Iterator[Survey]:
    """Return an empty APDB in schema ``apdb``, beside an empty PPDB without versions in schema ``ppdb``."""
    yield from _clone(plain_survey_template, plain_survey_database)


@pytest.fixture
def connect_ppdb(survey_database: sa.URL) -> Iterator[Connect]:
    """Return a function that connects to the database of `survey`."""
    made: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        url = survey_database.set(drivername="postgresql").render_as_string(hide_password=False)
        made.append(psycopg.connect(url))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def ppdb(connect_ppdb: Connect) -> psycopg.Connection[Any]:
    """Return a connection to the database of `survey`."""
    return connect_ppdb()


def _template(url: sa.URL) -> Survey:
    made = make_apdb(url, objects=12, asteroids=2)
    _close(made)
    # dax_apdb has made another engine for it, and let go of it.
    gc.collect()
    return made


def _clone(template: Survey, url: sa.URL) -> Iterator[Survey]:
    clone = clone_survey(template, url)
    yield clone
    _close(clone)


def _close(survey: Survey) -> None:
    """Close the connections that dax_apdb keeps: a database with any can neither be copied nor dropped."""
    survey.apdb._engine.dispose()


def _name(survey: Survey) -> str:
    return str(sa.make_url(survey.config.db_url).database)
