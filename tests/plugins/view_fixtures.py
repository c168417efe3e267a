"""Fixtures with ObsCore views over the real Butler repositories of `butler_fixtures`.

One database has three views: over schema ``plain`` in both geometry modes, and over ``live``, which has
daf_butler's own live table too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic import command

from examples.lsstcam import OBSCORE_CONFIG, Pair
from examples.lsstcam.pair import clone_repository
from obscore_view import create_view, parse_config
from tapdb.migrate.run import alembic_config
from tapdb.postgres.engine import create_engine

__all__ = [
    "VIEWS_OVER_PLAIN",
    "VIEW_OVER_LIVE",
    "make_test_view",
    "open_engine",
    "view_config_text",
    "view_connection",
    "view_connection_readonly",
    "view_pair",
    "view_pair_readonly",
    "view_template",
]

VIEWS_OVER_PLAIN = {"table": "ivoa.obscore", "none": "untouched.obscore"}
"""Names of the views over schema ``plain`` by geometry mode."""

VIEW_OVER_LIVE = "embargo.obscore"
"""Name of the view over schema ``live``."""


def view_config_text(view: str = "ivoa.ObsCore", **options: object) -> str:
    """Return the demonstration's configuration with the name of the view and other options of ours."""
    lines = [f"  {name}: {value}\n" for name, value in {"view": view, **options}.items()]
    return "".join([OBSCORE_CONFIG.read_text(), "tapdb:\n", *lines])


@contextmanager
def open_engine(url: sa.URL) -> Iterator[sa.Engine]:
    """Return an engine whose connections are closed in any case."""
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def make_test_view(connection: sa.Connection, text: str, registry_schema: str) -> None:
    """Make the view that a configuration text describes."""
    create_view(connection, parse_config(text), registry_schema=registry_schema, config_yaml=text)


@pytest.fixture(scope="session")
def view_template(
    butler_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Return a pair with the three views in the template database; connect to it never."""
    assert butler_template.url.database is not None
    url = clone_for_session(butler_template.url.database)
    with open_engine(url) as engine, engine.begin() as connection:
        command.upgrade(alembic_config(connection, obscore="off"), "head")
        for mode, view in VIEWS_OVER_PLAIN.items():
            make_test_view(connection, view_config_text(view, geometry=mode), "plain")
        make_test_view(connection, view_config_text(VIEW_OVER_LIVE), "live")
    return butler_template.clone(url, tmp_path_factory.mktemp("butler") / "views")


@pytest.fixture(scope="session")
def view_pair_readonly(
    view_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Return repositories under the three views that all tests share and none may change."""
    return _clone(view_template, clone_for_session, tmp_path_factory)


@pytest.fixture
def view_pair(
    view_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories under the three views of a test's own, to change at will."""
    return _clone(view_template, clone_database, tmp_path_factory)


@pytest.fixture(scope="session")
def _readonly_engine(view_pair_readonly: Pair) -> Iterator[sa.Engine]:
    with open_engine(view_pair_readonly.url) as engine:
        yield engine


@pytest.fixture
def view_connection_readonly(_readonly_engine: sa.Engine) -> Iterator[sa.Connection]:
    """Return a connection to the database that all share; what it changes is rolled back."""
    with _readonly_engine.connect() as connection:
        yield connection


@pytest.fixture
def view_connection(view_pair: Pair) -> Iterator[sa.Connection]:
    """Return a connection to the database of `view_pair`."""
    with open_engine(view_pair.url) as engine, engine.connect() as connection:
        yield connection


def _clone(
    template: Pair, clone_database: Callable[[str], sa.URL], directories: pytest.TempPathFactory
) -> Pair:
    url = clone_database(str(template.url.database))
    root = directories.mktemp("butler")
    return Pair(
        plain=clone_repository(template.plain, url, root / "plain"),
        live=clone_repository(template.live, url, root / "live"),
    )
