"""Fixtures with real Butler repositories, with and without daf_butler's live ObsCore table.

They are made once a session in a template database; a test that changes anything gets a copy of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.lsstcam import (
    MINI,
    Pair,
    RegistryVersion,
    Repository,
    make_pair,
    make_repository,
    obscore_config,
)
from examples.lsstcam.pair import clone_repository

__all__ = [
    "butler_database",
    "butler_database_readonly",
    "butler_pair",
    "butler_pair_readonly",
    "butler_template",
    "universe_repository",
    "versioned_repository",
]


@pytest.fixture(scope="session")
def butler_template(
    clone_for_session: Callable[[str], sa.URL],
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Return the pair in the template database; connect to it never, or copies of it will fail."""
    return make_pair(clone_for_session(template_database), tmp_path_factory.mktemp("butler") / "template")


@pytest.fixture
def butler_pair(
    butler_template: Pair, clone_database: Callable[[str], sa.URL], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Return repositories of a test's own, schemas ``plain`` and ``live``, to change at will."""
    return _clone(butler_template, clone_database, tmp_path_factory)


@pytest.fixture(scope="session")
def butler_pair_readonly(
    butler_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """Return repositories that all tests share and none may change."""
    return _clone(butler_template, clone_for_session, tmp_path_factory)


@pytest.fixture
def butler_database(butler_pair: Pair) -> sa.URL:
    """Return the database of `butler_pair`."""
    return butler_pair.url


@pytest.fixture(scope="session")
def butler_database_readonly(butler_pair_readonly: Pair) -> sa.URL:
    """Return the database of `butler_pair_readonly`."""
    return butler_pair_readonly.url


@pytest.fixture(scope="session")
def _versioned_templates() -> dict[RegistryVersion, Repository]:
    return {}


@pytest.fixture
def versioned_repository(
    _versioned_templates: dict[RegistryVersion, Repository],
    clone_for_session: Callable[[str], sa.URL],
    clone_database: Callable[[str], sa.URL],
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[RegistryVersion], Repository]:
    """Return a function that gives a repository of some layout, in schema ``butler``, of a test's own.

    Each has a live ObsCore table. The first call for a layout takes about 1.5 s, others copy.
    """

    def repository(version: RegistryVersion) -> Repository:
        if version not in _versioned_templates:
            _versioned_templates[version] = make_repository(
                clone_for_session(template_database),
                tmp_path_factory.mktemp("butler") / "template",
                obscore_config=obscore_config(),
                content=MINI,
                version=version,
            )
        template = _versioned_templates[version]
        url = clone_database(str(template.url.database))
        return clone_repository(template, url, tmp_path_factory.mktemp("butler") / "clone")

    return repository


@pytest.fixture
def universe_repository(
    versioned_repository: Callable[[RegistryVersion], Repository],
) -> Callable[[int], Repository]:
    """Return a function that gives a small repository of some dimension universe, of a test's own."""
    return lambda universe: versioned_repository(RegistryVersion(universe=universe))


def _clone(
    template: Pair, clone_database: Callable[[str], sa.URL], directories: pytest.TempPathFactory
) -> Pair:
    assert template.url.database is not None
    root: Path = directories.mktemp("butler") / "clone"
    return template.clone(clone_database(template.url.database), root)
