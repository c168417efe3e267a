"""Fixtures with real Butler repositories: LSSTCam-like content, with and without daf_butler's live ObsCore table.

They are made once a session in a template database; a test that changes anything gets a copy of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.lsstcam.pair import Pair, make_pair

__all__ = [
    "butler_database",
    "butler_database_readonly",
    "butler_pair",
    "butler_pair_readonly",
    "butler_template",
]


@pytest.fixture(scope="session")
def butler_template(
    clone_for_session: Callable[[str], sa.URL], template_database: str, tmp_path_factory: pytest.TempPathFactory
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


def _clone(
    template: Pair, clone_database: Callable[[str], sa.URL], directories: pytest.TempPathFactory
) -> Pair:
    assert template.url.database is not None
    root: Path = directories.mktemp("butler") / "clone"
    return template.clone(clone_database(template.url.database), root)
