"""pg_sphere 1.2.0, mended on whatever server there is, compared with the packaged one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import tapdb_sql

from tapdb.postgres.engine import checked_connection
from tapdb.postgres.extensions import (
    install_extensions,
    mend_pg_sphere,
    read_extensions,
    require_extensions,
)
from tests.plugins.server import Server

MENDED_VERSION = "1.2.0"
REFUSED_OPERATORS = {
    "operator public.@(bigint,public.smoc)",
    "operator public.@(public.spoint,public.smoc)",
}
# What `CREATE EXTENSION pg_sphere` made of the packaged script on PostgreSQL 15.18, which accepts it.
PACKAGED_MEMBERS = Path(__file__).parent.parent / "data" / "pg_sphere_1.2.0_members.txt"

MEMBERS = """
    SELECT o.type || ' ' || o.identity
      FROM pg_depend AS d, pg_identify_object(d.classid, d.objid, 0) AS o
     WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_sphere')
"""
DEPENDENCIES = """
    SELECT d.deptype::text, o.type, o.identity, r.type, r.identity
      FROM pg_depend AS d, pg_identify_object(d.classid, d.objid, d.objsubid) AS o,
           pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS r
     WHERE d.objid >= 16384 AND o.identity NOT LIKE 'pg\\_toast%'
"""
EXTENSION_ROW = """
    SELECT extname, extowner::regrole::text, extnamespace::regnamespace::text, extrelocatable, extversion,
           extconfig, extcondition, obj_description(oid, 'pg_extension')
      FROM pg_extension WHERE extname = 'pg_sphere'
"""


@pytest.fixture
def mended(empty_database: Callable[[], sa.URL]) -> Iterator[sa.Connection]:
    """Return a connection to a database whose pg_sphere is mended, even where none need be.

    Releases of pg_sphere that need no mending must be refused; the database then has the packaged one.
    """
    with checked_connection(empty_database()) as session:
        if available(session) == MENDED_VERSION:
            mend_pg_sphere(session)
        else:
            with pytest.raises(sa.exc.NotSupportedError, match="is not the release that this mends"):
                mend_pg_sphere(session)
            session.rollback()
            session.exec_driver_sql("CREATE EXTENSION pg_sphere")
        session.commit()
        yield session


def available(session: sa.Connection) -> str | None:
    return {state.name: state.available for state in read_extensions(session)}["pg_sphere"]


def rows(session: sa.Connection, query: str) -> set[tuple[object, ...]]:
    return {tuple(row) for row in session.exec_driver_sql(query, execution_options={"no_parameters": True})}


def test_mended_pg_sphere_has_every_packaged_object_but_the_two_refused_operators(
    mended: sa.Connection,
) -> None:
    members = {str(identity) for (identity,) in rows(mended, MEMBERS)}
    if available(mended) == MENDED_VERSION:
        packaged = set(PACKAGED_MEMBERS.read_text(encoding="utf-8").splitlines())
        assert packaged - members == REFUSED_OPERATORS
        assert members - packaged == set()
    else:
        # Later releases dropped the two themselves.
        assert not members & REFUSED_OPERATORS


def test_mended_pg_sphere_is_registered_as_create_extension_would(
    mended: sa.Connection, empty_database: Callable[[], sa.URL]
) -> None:
    """Compare the extension's row and all dependencies, where the server takes the packaged one."""
    with checked_connection(empty_database()) as session:
        try:
            session.exec_driver_sql("CREATE EXTENSION pg_sphere")
        except sa.exc.ProgrammingError as refusal:
            # 15.20 and others of its date, which have nothing to compare with.
            if "already the commutator of operator <@" not in str(refusal):
                raise
            return
        assert rows(session, EXTENSION_ROW) == rows(mended, EXTENSION_ROW)
        packaged, ours = rows(session, DEPENDENCIES), rows(mended, DEPENDENCIES)
    assert ours - packaged == set()
    assert {f"{kind} {identity}" for _, kind, identity, _, _ in packaged - ours} <= REFUSED_OPERATORS


def test_mended_pg_sphere_answers_spatial_queries_by_its_index(mended: sa.Connection) -> None:
    mended.exec_driver_sql("CREATE TABLE place (id int, region spoly, at spoint)")
    mended.exec_driver_sql(
        """INSERT INTO place
           SELECT n, spoly(format('{(%sd,-1d),(%sd,-1d),(%sd,1d),(%sd,1d)}', n, n + 1, n + 1, n)),
                  spoint(radians(n + 0.5), 0)
             FROM generate_series(0, 358) AS n""",
        execution_options={"no_parameters": True},
    )
    mended.exec_driver_sql("CREATE INDEX place_region ON place USING gist (region)")
    mended.exec_driver_sql("CREATE INDEX place_at ON place USING gist (at)")
    mended.exec_driver_sql("ANALYZE place")
    mended.exec_driver_sql("SET LOCAL enable_seqscan = off")
    questions = {
        "SELECT id FROM place WHERE region @> '(10.5d, 0.2d)'::spoint": "place_region",
        "SELECT id FROM place WHERE at <@ '<(10.4d, 0d), 0.2d>'::scircle": "place_at",
    }
    for question, index in questions.items():
        assert rows(mended, question) == {(10,)}
        assert any(index in str(line) for line in rows(mended, "EXPLAIN " + question))


def test_dropping_mended_pg_sphere_leaves_nothing(mended: sa.Connection) -> None:
    mended.exec_driver_sql("DROP EXTENSION pg_sphere")
    assert rows(mended, DEPENDENCIES) == set()
    assert (
        mended.execute(sa.text("SELECT count(*) FROM pg_proc WHERE probin LIKE '%pg_sphere%'")).scalar() == 0
    )
    assert mended.execute(sa.text("SELECT to_regtype('spoly')")).scalar() is None
    assert available(mended) is not None


def test_mended_pg_sphere_can_move_to_another_schema(mended: sa.Connection) -> None:
    mended.exec_driver_sql("CREATE SCHEMA elsewhere")
    mended.exec_driver_sql("ALTER EXTENSION pg_sphere SET SCHEMA elsewhere")
    assert mended.execute(sa.text("SELECT to_regtype('elsewhere.spoly') IS NOT NULL")).scalar()


def test_mending_restores_what_the_session_had_set(empty_database: Callable[[], sa.URL]) -> None:
    with checked_connection(empty_database()) as session:
        session.exec_driver_sql("SET search_path = pg_catalog")
        session.exec_driver_sql("SET client_min_messages = error")
        install_extensions(session)
        assert session.exec_driver_sql("SHOW search_path").scalar() == "pg_catalog"
        # The packaged script of pg_sphere 1.5 sets this one itself.
        if available(session) == MENDED_VERSION:
            assert session.exec_driver_sql("SHOW client_min_messages").scalar() == "error"
        require_extensions(session)


def test_an_owner_whom_initdb_did_not_make_is_recorded(empty_database: Callable[[], sa.URL]) -> None:
    with checked_connection(empty_database()) as session:
        session.exec_driver_sql("CREATE ROLE keeper SUPERUSER")
        session.exec_driver_sql("SET ROLE keeper")
        if available(session) == MENDED_VERSION:
            mend_pg_sphere(session)
        else:
            session.exec_driver_sql("CREATE EXTENSION pg_sphere")
        session.exec_driver_sql("RESET ROLE")
        owned = """SELECT deptype::text FROM pg_shdepend
                    WHERE classid = 'pg_extension'::regclass AND refobjid = 'keeper'::regrole"""
        assert rows(session, owned) == {("o",)}
        session.exec_driver_sql("DROP OWNED BY keeper")
        session.exec_driver_sql("DROP ROLE keeper")
        assert rows(session, EXTENSION_ROW) == set()
        session.rollback()


def test_a_dump_of_a_mended_database_restores_into_a_prepared_one(
    mended: sa.Connection, empty_database: Callable[[], sa.URL], server: Server, tmp_path: Path
) -> None:
    mended.exec_driver_sql("CREATE TABLE place (id int, region spoly)")
    mended.exec_driver_sql("INSERT INTO place VALUES (1, '{(0d,0d),(1d,0d),(1d,1d)}')")
    mended.exec_driver_sql("CREATE INDEX place_region ON place USING gist (region)")
    mended.commit()
    dump = tmp_path / "dump"
    source, target = mended.engine.url.database, empty_database()
    with checked_connection(target) as session:
        install_extensions(session)
        session.commit()
    run(server, str(source), "pg_dump", "--format=custom", f"--file={dump}")
    listing = run(server, str(source), "pg_restore", "--list", str(dump))
    assert "EXTENSION - pg_sphere" in listing
    assert "FUNCTION" not in listing
    run(
        server,
        str(target.database),
        "pg_restore",
        "--exit-on-error",
        f"--dbname={target.database}",
        str(dump),
    )
    with checked_connection(target) as session:
        assert rows(session, "SELECT id FROM place WHERE region @> spoint '(0.9d, 0.5d)'") == {(1,)}


def test_psql_can_run_the_file_that_mends(empty_database: Callable[[], sa.URL], server: Server) -> None:
    url = empty_database()
    file = Path(tapdb_sql.__path__[0], "extensions", "pg_sphere.sql")
    with checked_connection(url) as session:
        mends = available(session) == MENDED_VERSION
    command = [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--single-transaction",
        "--file",
        str(file),
    ]
    done = subprocess.run(
        command, env=server.environment(str(url.database)), check=False, capture_output=True
    )
    assert (done.returncode == 0) is mends
    with checked_connection(url) as session:
        installed = {state.name: state.installed for state in read_extensions(session)}["pg_sphere"]
    assert installed == (MENDED_VERSION if mends else None)


def run(server: Server, database: str, *command: str) -> str:
    done = subprocess.run(
        command, env=server.environment(database), check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
