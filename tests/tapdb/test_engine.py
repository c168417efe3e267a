"""Connections: how they fail, and what they may do."""

from __future__ import annotations

import logging
import signal
import threading

import psycopg
import pytest
import sqlalchemy as sa

from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import (
    ReadOnlyServerError,
    checked_connection,
    create_engine,
    describe_target,
    driver_connection,
    translate_database_errors,
)
from tapdb.sources import execute_text


def test_nobody_listening_is_one_message_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailableError, match="Connection refused") as caught:
        create_engine("postgresql://tap:verysecret@127.0.0.1:1/dp1").connect()
    assert str(caught.value).startswith('cannot use database "dp1" on 127.0.0.1:1 as user "tap": ')
    assert "PGHOST" in str(caught.value)
    assert "verysecret" not in str(caught.value)


def test_a_wrong_password_is_one_message_without_it(
    database_url: sa.URL, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught,
        checked_connection(database_url.set(password="verysecret")),
    ):
        pass
    assert "verysecret" not in str(caught.value)
    assert "verysecret" not in repr(caught.value.__cause__)
    assert "verysecret" not in caplog.text


def test_a_database_that_is_not_there_is_named(database_url: sa.URL) -> None:
    with (
        pytest.raises(DatabaseUnavailableError, match='database "nowhere" does not exist'),
        checked_connection(database_url.set(database="nowhere")),
    ):
        pass


@pytest.mark.parametrize("own", [True, False], ids=["option", "role"])
def test_values_are_read_whatever_a_session_would_write(database_url: sa.URL, *, own: bool) -> None:
    odd = {"datestyle": "german", "intervalstyle": "sql_standard", "standard_conforming_strings": "off"}
    url, options = database_url, None
    if own:
        options = " ".join(f"-c {name}={value}" for name, value in odd.items())
        url = url.update_query_dict({"options": options})
    else:
        with checked_connection(url) as connection:
            for name, value in odd.items():
                execute_text(connection, f"ALTER DATABASE {url.database} SET {name} = '{value}'")
            connection.commit()
    # The negative control: psycopg cannot read such a session.
    plain = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    moment = "SELECT timestamptz '2026-03-01 12:00Z', interval '1 day'"
    with (
        psycopg.connect(plain, options=options) as session,
        pytest.raises(NotImplementedError, match="DateStyle"),
    ):
        session.execute(moment).fetchall()
    with checked_connection(url, read_only=True) as connection:
        row = connection.exec_driver_sql(moment).one()
        assert (row[0].timestamp(), row[1].days) == (1772366400.0, 1)
        assert connection.exec_driver_sql("SHOW standard_conforming_strings").scalar() == "on"


def test_a_connection_that_the_server_ends_is_an_unavailable_database(database_url: sa.URL) -> None:
    with checked_connection(database_url) as victim, checked_connection(database_url) as other:
        backend = victim.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        other.execute(sa.text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        with pytest.raises(DatabaseUnavailableError, match="terminating connection"):
            victim.execute(sa.text("SELECT 1"))


def test_ctrl_c_while_a_statement_runs_is_no_unavailable_database(database_url: sa.URL) -> None:
    main, pressed = threading.get_ident(), threading.Event()

    def press() -> None:
        with checked_connection(database_url) as watcher:
            running = sa.text(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = :name"
            )
            while watcher.execute(running, {"name": database_url.database}).first() is None:
                watcher.rollback()
        pressed.set()
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    # Where the tests run in a shell's background, SIGINT is ignored, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with checked_connection(database_url) as connection, pytest.raises(KeyboardInterrupt):
            connection.execute(sa.text("SELECT pg_sleep(60)"))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed.is_set()


def test_every_character_goes_to_and_fro_whatever_encoding_the_environment_asks_for(
    database_url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with checked_connection(database_url) as connection:
        assert connection.scalar(sa.text("SELECT :text || ''"), {"text": "λ → ☉"}) == "λ → ☉"
    chosen = database_url.update_query_dict({"client_encoding": "latin1"})
    with checked_connection(chosen) as connection:
        assert connection.scalar(sa.text("SHOW client_encoding")) == "LATIN1"


def test_an_error_in_a_query_stays_what_it_is(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.ProgrammingError) as caught:
        connection.execute(sa.text("SELECT nothing_like_that"))
    assert isinstance(caught.value.orig, psycopg.errors.UndefinedColumn)


def test_a_read_only_engine_cannot_write(database_url: sa.URL) -> None:
    with checked_connection(database_url, read_only=True) as session:
        assert session.execute(sa.text("SELECT 1")).scalar() == 1
        with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
            session.execute(sa.text("CREATE TABLE t (i int)"))
    with checked_connection(database_url) as session:
        session.execute(sa.text("CREATE TABLE t (i int)"))


def test_a_dba_sees_who_is_connected_unless_the_url_says_otherwise(database_url: sa.URL) -> None:
    name = sa.text("SHOW application_name")
    with checked_connection(database_url) as session:
        assert session.execute(name).scalar() == "tapdb"
    with checked_connection(database_url, application_name="tapdb serve") as session:
        assert session.execute(name).scalar() == "tapdb serve"
    with checked_connection(database_url.update_query_dict({"application_name": "mine"})) as session:
        assert session.execute(name).scalar() == "mine"


def test_nothing_is_committed_unless_asked_for(database_url: sa.URL) -> None:
    with checked_connection(database_url) as session:
        session.execute(sa.text("CREATE TABLE t (i int)"))
    with checked_connection(database_url) as session:
        assert session.execute(sa.text("SELECT to_regclass('t')")).scalar() is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://u:secret@h:5/d", 'database "d" on h:5 as user "u"'),
        ("postgresql+psycopg:///d?host=/run/postgresql", 'database "d" on /run/postgresql'),
        ("postgresql+psycopg:///d", 'database "d"'),
        ("postgresql+psycopg://", "the database that PG* and .pgpass name"),
    ],
)
def test_a_target_is_described_in_words_without_its_password(url: str, words: str) -> None:
    assert describe_target(sa.make_url(url)) == words


def test_what_values_look_like_does_not_depend_on_settings_of_a_role(database_url: sa.URL) -> None:
    odd = "-c DateStyle=SQL,DMY -c extra_float_digits=-15 -c quote_all_identifiers=on"
    url = database_url.update_query_dict({"options": odd})
    question = sa.text(
        "SELECT '2026-11-29 12:00+00'::timestamptz, 0.1::float8 + 0.2, 'pg_class'::regclass::text"
    )
    with checked_connection(database_url) as usual, checked_connection(url) as connection:
        connection.rollback()
        assert connection.execute(question).one() == usual.execute(question).one()
        assert connection.scalar(sa.text("SHOW TimeZone")) == usual.scalar(sa.text("SHOW TimeZone"))


def test_a_server_that_takes_no_changes_is_told_with_what_to_do(database_url: sa.URL) -> None:
    with (
        pytest.raises(ReadOnlyServerError, match="connect to its primary"),
        translate_database_errors(),
        checked_connection(database_url) as session,
    ):
        execute_text(session, "SET TRANSACTION READ ONLY; CREATE TABLE t ()")


def test_a_lost_connection_of_the_driver_leaves_no_traceback_in_the_log(
    database_url: sa.URL, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(psycopg.OperationalError):
        lose_connection(database_url)
    assert caplog.records == []


def lose_connection(url: sa.URL) -> None:
    with checked_connection(url) as session, checked_connection(url) as other:
        driver = driver_connection(session)
        driver.execute("SELECT 1")
        other.exec_driver_sql(f"SELECT pg_terminate_backend({driver.info.backend_pid})")
        driver.execute("SELECT pg_sleep(5)")
