"""The private server: what it is like, whom it keeps out, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tapdb.errors import DatabaseUnavailableError, ServerStartError
from tapdb.postgres.engine import checked_connection
from tapdb.server import programs as server_programs
from tapdb.server.environment import client_environment
from tapdb.server.ephemeral import DEFAULT_SERVER_SETTINGS, EphemeralServer
from tapdb.server.programs import Account, find_account, find_pg_ctl


def wait_until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def private_server() -> Iterator[EphemeralServer]:
    """Return a server with settings of its own."""
    with EphemeralServer(settings={"work_mem": "7MB", "tapdb.motto": "it's C:\\here"}) as server:
        yield server


def test_settings_are_those_of_a_throw_away_server_and_ones_own(private_server: EphemeralServer) -> None:
    with checked_connection(private_server.url()) as session:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "jit", "max_connections", "timezone"):
            assert session.exec_driver_sql(f"SHOW {name}").scalar() == DEFAULT_SERVER_SETTINGS[name]
        assert session.exec_driver_sql("SHOW work_mem").scalar() == "7MB"
        assert session.exec_driver_sql("SHOW tapdb.motto").scalar() == "it's C:\\here"
        assert session.exec_driver_sql("SHOW server_encoding").scalar() == "UTF8"


def test_nobody_enters_without_the_password(
    private_server: EphemeralServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    right = private_server.url()
    for wrong in (None, "", "postgres"):
        url = sa.URL.create(right.drivername, right.username, wrong, right.host, right.port, right.database)
        with pytest.raises(DatabaseUnavailableError, match="password"), checked_connection(url):
            pass
    assert private_server.directory is not None
    assert private_server.directory.stat().st_mode & 0o077 == 0


def test_only_the_loopback_address_listens(private_server: EphemeralServer) -> None:
    with checked_connection(private_server.url()) as session:
        assert session.exec_driver_sql("SHOW listen_addresses").scalar() == "127.0.0.1"
        socket = session.exec_driver_sql("SHOW unix_socket_directories").scalar()
    assert socket == str(private_server.directory)


def test_two_servers_run_side_by_side(private_server: EphemeralServer) -> None:
    with EphemeralServer() as other:
        assert (other.port, other.directory) != (private_server.port, private_server.directory)
        with checked_connection(other.url()) as session:
            assert session.exec_driver_sql("SHOW work_mem").scalar() == "4MB"


def test_an_exception_in_the_block_removes_the_directory_and_stopping_may_be_repeated() -> None:
    with pytest.raises(ZeroDivisionError), EphemeralServer() as server:
        _ = 1 / 0
    assert server.directory is not None
    assert not server.directory.exists()
    server.stop()


def test_the_directory_is_kept_if_asked_for_and_the_server_stops_all_the_same(tmp_path: Path) -> None:
    with EphemeralServer(keep=True) as server:
        pass
    assert server.directory is not None
    assert (server.directory / "data" / "PG_VERSION").exists()
    assert not (server.directory / "data" / "postmaster.pid").exists()
    server.directory.rename(tmp_path / "kept")


OWNER = """
import os, sys, time
from tapdb.server.ephemeral import EphemeralServer
with EphemeralServer() as server:
    print(server.directory, server.port, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_owner_ends_the_server_and_removes_its_directory(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        directory = Path(owner.stdout.readline().split()[0])
        postmaster = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        owner.send_signal(how)
        owner.wait(30)
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not Path("/proc", str(postmaster)).exists())


LEAVER = """
import sys
from tapdb.server.ephemeral import EphemeralServer
with EphemeralServer() as server:
    server.leave()
print(server.directory)
"""


def test_a_server_that_is_left_runs_on_until_its_script_is_run() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVER], capture_output=True, text=True, check=True)
    directory = Path(done.stdout.strip())
    try:
        postmaster = int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        assert Path("/proc", str(postmaster)).exists()
        assert (directory / "files").stat().st_mode & 0o077 == 0
    finally:
        subprocess.run(["/bin/sh", str(directory / "stop")], check=True)
    assert not directory.exists()
    wait_until(lambda: not Path("/proc", str(postmaster)).exists())


@pytest.mark.parametrize("name", ["LC_ALL", "LANG"])
@pytest.mark.parametrize("locale", ["tr_TR.ISO-8859-9", "tr_TR.UTF-8", "C"])
def test_a_server_is_the_same_in_every_locale(
    name: str, locale: str, private_server: EphemeralServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "SELECT datcollate, datctype, pg_encoding_to_char(encoding) FROM pg_database WHERE oid = 1"
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv(name, locale)
    with EphemeralServer() as server, checked_connection(server.url()) as session:
        found = session.exec_driver_sql(asked).one()
    with checked_connection(private_server.url()) as session:
        assert session.exec_driver_sql(asked).one() == found
    assert found[2] == "UTF8"


def test_a_tmpdir_that_the_servers_account_cannot_enter_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only root runs the server as another account; a plain user's own directory serves."""
    # Not tmp_path: for a user with a long name it is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="tapdb-") as private:
        monkeypatch.setattr("tempfile.tempdir", private)
        with EphemeralServer() as server:
            assert server.directory is not None
            assert (server.directory.parent == Path(private)) is (os.geteuid() != 0)
        assert list(Path(private).iterdir()) == []


def test_a_tmpdir_whose_name_is_too_long_for_a_socket_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("n" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EphemeralServer() as server:
        assert server.directory is not None
        assert server.directory.parent != long
    assert list(long.iterdir()) == []


def test_a_server_that_does_not_start_says_what_its_log_says_and_leaves_nothing() -> None:
    server = EphemeralServer(settings={"shared_buffers": "plenty"})
    with pytest.raises(ServerStartError, match='invalid value for parameter "shared_buffers": "plenty"'):
        server.start()
    assert server.directory is not None
    assert not server.directory.exists()


def test_without_postgresql_every_place_that_was_looked_at_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server_programs, "_TREES", (f"{tmp_path}/postgresql/*/bin",))
    with pytest.raises(ServerStartError) as caught:
        find_pg_ctl()
    assert f"PATH, {tmp_path}/postgresql/*/bin, pg_config --bindir" in str(caught.value)
    assert "sudo apt-get install postgresql" in str(caught.value)


def test_of_several_versions_the_newest_that_has_pg_sphere_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version in ("9", "15", "16", "17"):
        program = tmp_path / "lib" / version / "bin" / "pg_ctl"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(server_programs, "_TREES", (f"{tmp_path}/lib/*/bin",))
    monkeypatch.setattr(server_programs, "_EXTENSION_FOLDER", f"{tmp_path}/share/{{}}")
    assert find_pg_ctl() == tmp_path / "lib" / "17" / "bin" / "pg_ctl"
    for version in ("9", "16"):
        control = tmp_path / "share" / version / "pg_sphere.control"
        control.parent.mkdir(parents=True)
        control.touch()
    assert find_pg_ctl() == tmp_path / "lib" / "16" / "bin" / "pg_ctl"


def test_pg_ctl_on_the_path_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "pg_ctl"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_pg_ctl() == program


def test_root_runs_the_server_as_another_account_and_a_plain_user_as_himself() -> None:
    account = find_account()
    assert (account is None) is (os.geteuid() != 0)
    assert account is None or account.uid != 0


def test_without_setpriv_runuser_changes_the_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    account = Account(name="postgres", uid=101, gid=104)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerStartError, match="neither setpriv nor runuser"):
        account.command()
    (tmp_path / "runuser").touch(mode=0o755)
    assert account.command() == (str(tmp_path / "runuser"), "-u", "postgres", "--")
    (tmp_path / "setpriv").touch(mode=0o755)
    assert account.command()[1:] == ("--reuid=101", "--regid=104", "--clear-groups", "--")


def test_an_environment_leads_every_client_to_one_database_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    monkeypatch.setenv("TAPDB_URL", "postgresql://production/dp1")
    monkeypatch.setenv("PGPLOT_DIR", "/plots")
    environment = client_environment(sa.make_url("postgresql+psycopg://me:pass%40word@127.0.0.1:5433/mine"))
    assert {
        name: value for name, value in environment.items() if name.startswith(("PG", "TAPDB", "DATABASE"))
    } == {
        "PGHOST": "127.0.0.1",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "pass@word",
        "PGDATABASE": "mine",
        "DATABASE_URL": "postgresql://me:pass%40word@127.0.0.1:5433/mine",
        "PGPLOT_DIR": "/plots",
    }
