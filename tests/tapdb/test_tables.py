"""Tables of `tapdb` that its recipes extend: refusals, keys of Felis, settings."""

from __future__ import annotations

import psycopg
import pytest

from tapdb.felis.nodes import ALIASES
from tapdb.postgres.engine import (
    DatabaseRefusedError,
    ObjectMissingError,
    RightRefusedError,
    translate_database_errors,
)
from tapdb.settings import read_settings


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("42501", RightRefusedError),
        ("42P01", ObjectMissingError),
        ("42883", ObjectMissingError),
        ("23505", DatabaseRefusedError),
    ],
)
def test_a_refusal_says_what_to_do(sqlstate: str, error: type[DatabaseRefusedError]) -> None:
    with pytest.raises(DatabaseRefusedError) as caught, translate_database_errors():
        raise psycopg.errors.lookup(sqlstate)("refused")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("id", "@id"),
        ("ivoa_ucd", "ivoa:ucd"),
        ("votable_xtype", "votable:xtype"),
    ],
)
def test_a_key_of_felis_has_the_name_of_its_model_too(alias: str, key: str) -> None:
    assert ALIASES[alias] == key


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("registry_schema", "dp1", "dp1"),
        ("lock_timeout_ms", "250", 250),
    ],
)
def test_a_setting_comes_from_the_environment(
    name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TAPDB_{name.upper()}", text)
    assert getattr(read_settings(), name) == value
