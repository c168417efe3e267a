"""Which database is meant, in every way to say it, and that no password ever gets out."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tapdb.errors import DatabaseUnavailableError, SettingsError
from tapdb.migrate.options import read_options
from tapdb.postgres.engine import checked_connection
from tapdb.settings import LONGEST_TIMEOUT_MS, Settings, database_url, read_settings
from tests.plugins.server import Server

VARIABLES = (
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGDATABASE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
)


@pytest.fixture(autouse=True)
def _no_database_in_the_environment(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Start from an environment that names no database; the server fixture has set its password there."""
    assert server.host
    for name in (*VARIABLES, "TAPDB_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:p@h:5433/d", "postgresql+psycopg://u:p@h:5433/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg2://u:p%40%2F@h/d", "postgresql+psycopg://u:p%40%2F@h/d"),
        ("postgresql+psycopg://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=%2Frun%2Fpostgresql"),
        ("postgresql://%2Frun%2Fpostgresql/d", "postgresql+psycopg:///d?host=%2Frun%2Fpostgresql"),
        ("postgresql://h1:1,h2:2/d", "postgresql+psycopg:///d?host=h1%2Ch2&port=1%2C2"),
        ("postgresql://[::1]:5433/d", "postgresql+psycopg://[::1]:5433/d"),
        ("host=h port=5433 dbname='my data'", "postgresql+psycopg://h:5433/my data"),
        ("service=dp1", "postgresql+psycopg://?service=dp1"),
        ("", "postgresql+psycopg://"),
    ],
)
def test_every_way_to_write_a_database_is_understood(text: str, expected: str) -> None:
    assert database_url(text).render_as_string(hide_password=False) == expected


def test_an_option_goes_before_tapdb_url_which_goes_before_database_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert database_url().database is None
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/third")
    assert database_url().database == "third"
    monkeypatch.setenv("TAPDB_URL", "postgresql://h/second")
    assert database_url().database == "second"
    assert database_url("postgresql://h/first").database == "first"


def test_without_any_url_libpqs_own_variables_lead_to_the_database(
    server: Server, database_url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment(str(database_url.database)).items():
        if name.startswith("PG"):
            monkeypatch.setenv(name, value)
    with checked_connection() as connection:
        assert connection.execute(sa.text("SELECT current_database()")).scalar() == database_url.database


def test_a_service_file_and_a_password_file_lead_to_the_database(
    server: Server, database_url: sa.URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services, passwords = tmp_path / "services", tmp_path / "passwords"
    services.write_text(
        f"[dp1]\nhost={server.host}\nport={server.port}\nuser={server.user}\ndbname={database_url.database}\n"
    )
    passwords.write_text(f"{server.host}:{server.port}:*:{server.user}:{server.password}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    with checked_connection("service=dp1") as connection:
        assert connection.execute(sa.text("SELECT current_database()")).scalar() == database_url.database
    monkeypatch.setenv("PGSERVICE", "dp1")
    with checked_connection() as connection:
        assert connection.execute(sa.text("SELECT current_database()")).scalar() == database_url.database


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mysql://u:secret@h/d", "is a mysql URL"),
        ("postgresql://u:sec@ret@h/d", "@ in it"),
        ("postgresql://u:sec/ret@h/d", "port that is not a number"),
        ("postgresql://u:5/secret@h/d", "@ in it"),
        ("postgresql://u:secret%80@h/d", "not a PostgreSQL connection URL"),
        ("postgresql://u:secret%zz@h/d", "not a PostgreSQL connection URL"),
        ("u:secret@h/d", "not a PostgreSQL connection URL"),
        ("password=secret nonsense", "not a PostgreSQL connection URL"),
        ("postgresql://u:secret\udce9@h/d", "bytes that are no UTF-8"),
        ("host=h password=secret dbname=caf\udce9", "bytes that are no UTF-8"),
    ],
)
def test_a_url_that_cannot_be_used_is_explained_and_never_repeated(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        database_url(text)
    assert caught.value.exit_code == 2
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# Longer than any word that a message has of its own.
SECRETS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "@:/?#%[]'\" =\\&+"), min_size=24, max_size=30
)


@given(secret=SECRETS)
def test_no_piece_of_a_password_that_breaks_the_url_is_in_the_error(secret: str) -> None:
    """A connection is tried too: what is understood in a wrong way must not come back from libpq."""
    url = f"postgresql://somebody:{secret}@127.0.0.1:1/data?connect_timeout=1"
    with pytest.raises((SettingsError, DatabaseUnavailableError)) as caught, checked_connection(url):
        pass
    message = str(caught.value)
    assert not [secret[n : n + 8] for n in range(len(secret) - 7) if secret[n : n + 8] in message]


@given(secret=SECRETS)
def test_a_password_that_is_percent_encoded_arrives_whole(secret: str) -> None:
    assert database_url(f"postgresql://u:{quote(secret, safe='')}@h/d").password == secret


@pytest.mark.parametrize("value", ["soon", "-1", "3.5", "3000ms", "2147483648"])
def test_a_lock_timeout_that_cannot_be_used_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TAPDB_LOCK_TIMEOUT_MS", value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    remedy = "write a whole number of milliseconds from 0 to 2147483647, such as 3000; 0 waits without limit"
    assert str(caught.value) == f"TAPDB_LOCK_TIMEOUT_MS: is {value!r}; {remedy}"
    monkeypatch.delenv("TAPDB_LOCK_TIMEOUT_MS")
    with pytest.raises(SettingsError) as by_option:
        read_options({"lock_timeout_ms": value})
    assert (by_option.value.setting, by_option.value.remedy) == ("lock_timeout_ms", remedy)


def test_the_longest_lock_timeout_is_that_of_postgresql(database_url: sa.URL) -> None:
    longest = f"SET lock_timeout = {LONGEST_TIMEOUT_MS}"
    with checked_connection(database_url) as connection:
        connection.exec_driver_sql(longest)
        with pytest.raises(sa.exc.DataError, match="exceeds integer range"):
            connection.exec_driver_sql(f"SET lock_timeout = {LONGEST_TIMEOUT_MS + 1}")


def test_a_log_level_that_cannot_be_used_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPDB_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value) == "TAPDB_LOG_LEVEL: is 'loud'; write one of debug, info, warning, error"


@pytest.mark.parametrize("field", Settings.model_fields)
def test_a_variable_that_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    unset = read_settings()
    monkeypatch.setenv(f"TAPDB_{field.upper()}", "")
    assert read_settings() == unset


def test_an_empty_tapdb_url_leaves_the_word_to_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDB_URL", "")
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/third")
    assert database_url().database == "third"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDB_URL", "postgresql://u:secret@h/d")
    monkeypatch.setenv("TAPDB_OBSCORE_CONFIG", "dp1.yaml")
    monkeypatch.setenv("TAPDB_REGISTRY_SCHEMA", "dp1")
    monkeypatch.setenv("TAPDB_LOCK_TIMEOUT_MS", "250")
    settings = read_settings()
    assert (settings.obscore_config, settings.registry_schema, settings.lock_timeout_ms) == (
        Path("dp1.yaml"),
        "dp1",
        250,
    )
    assert "secret" not in repr(settings)
