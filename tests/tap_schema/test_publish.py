"""Publishing writes what differs, whole or not at all, and readers never see it half done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import psycopg
import pytest
import sqlalchemy as sa

from adql.names import column_id
from tap_schema.assemble import assemble
from tap_schema.errors import (
    PublicationError,
    TapSchemaMissingError,
    UnknownGenerationError,
    UnpublishableError,
)
from tap_schema.history import plan_rollback, read_generations, rollback, rows_at
from tap_schema.publish import plan_publication, publish
from tap_schema.rows import ColumnRow, SchemaRow, TableRow, TapSchemaRows
from tap_schema.stored import read_rows
from tapdb.errors import DatabaseUnavailableError
from tapdb.postgres.engine import create_engine
from tapdb.sources import execute_text
from tests.plugins.tap_schema_fixtures import FELIS

Write = Callable[..., str]
PUBLISHES, READERS = 30, 3


def published(engine: sa.Engine, *files: str, forget: tuple[str, ...] = ()) -> int:
    """Publish, and return how many rows changed."""
    with engine.begin() as connection:
        return len(publish(connection, assemble(connection, files, forget=forget).rows).changes)


def rows_of(engine: sa.Engine) -> TapSchemaRows:
    with engine.connect() as connection:
        return read_rows(connection)


def with_rows(rows: TapSchemaRows, **more: tuple[Any, ...]) -> TapSchemaRows:
    added: Any = {name: (*of, *more.get(name, ())) for name, of in rows.by_table().items()}
    return TapSchemaRows(**added)


def test_nothing_is_written_if_nothing_differs(small_database: sa.Engine, felis_file: Write) -> None:
    file = felis_file()
    assert published(small_database, file) > 0
    with small_database.connect() as connection:
        before = connection.exec_driver_sql("SELECT max(xmin::text::bigint) FROM tap_schema.columns").scalar()
        generations = read_generations(connection)
    assert published(small_database, file) == 0
    assert published(small_database) == 0
    with small_database.connect() as connection:
        after = connection.exec_driver_sql("SELECT max(xmin::text::bigint) FROM tap_schema.columns").scalar()
        assert read_generations(connection) == generations
    assert before == after


def test_a_publication_that_waited_for_another_is_the_later_one(
    small_database: sa.Engine, felis_file: Write
) -> None:
    file = felis_file()
    with small_database.begin() as first:
        # Its transaction begins, and with it now().
        first.exec_driver_sql("SELECT now()")
        published(small_database, file)
        changes = ("description: Right ascension", "description: Of ICRS")
        changed = felis_file(FELIS, changes, name="changed.yaml")
        publish(first, assemble(first, [changed]).rows)
    with small_database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE tap_schema.generation SET published_at = now() + interval '1 hour' "
            "WHERE generation = (SELECT max(generation) FROM tap_schema.generation)"
        )
    published(small_database, file)
    with small_database.connect() as connection:
        times = [one.published_at for one in reversed(read_generations(connection))]
    assert len(times) >= 3
    assert times == sorted(set(times))


# Tables that the reader may read, and cannot.

FAR = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{name}');
CREATE TABLE small.near (id bigint);
CREATE FOREIGN TABLE small.far (id bigint) SERVER far OPTIONS (schema_name 'small', table_name 'near');
CREATE VIEW small.through AS SELECT id FROM small.far;
GRANT SELECT ON small.far, small.through TO tapdb_reader, tapdb_owner;
GRANT USAGE ON SCHEMA small TO tapdb_owner;
"""
MAPPING = "CREATE USER MAPPING FOR {role} SERVER far OPTIONS (user '{user}', password '{password}')"
DESCRIBED = """
name: small
tables:
- name: {0}
  columns: [{{name: id, datatype: long, description: Number}}]
"""


@pytest.mark.parametrize("table", ["far", "through"])
def test_a_foreign_table_is_published_when_the_reader_can_read_it(
    small_database: sa.Engine, felis_file: Write, table: str
) -> None:
    url = small_database.url
    names = {"host": url.host, "port": url.port, "name": url.database}
    mapping = {"user": url.username, "password": url.password}
    file = felis_file(DESCRIBED.format(table))
    with small_database.begin() as connection:
        execute_text(connection, FAR.format(**names))
        execute_text(connection, MAPPING.format(role="CURRENT_USER", **mapping))
        if table == "through":
            execute_text(connection, "ALTER VIEW small.through OWNER TO tapdb_owner")
    with pytest.raises(PublicationError, match=f"cannot read small.{table}: user mapping not found"):
        published(small_database, file)
    with small_database.begin() as connection:
        execute_text(connection, MAPPING.format(role="PUBLIC", **mapping))
    assert published(small_database, file) > 0


def test_a_foreign_table_whose_server_is_down_is_published_with_a_warning(
    small_database: sa.Engine, felis_file: Write, caplog: pytest.LogCaptureFixture
) -> None:
    with small_database.begin() as connection:
        execute_text(connection, FAR.format(host="127.0.0.1", port=1, name="none"))
        execute_text(connection, MAPPING.format(role="PUBLIC", user="x", password="secret"))
    assert published(small_database, felis_file(DESCRIBED.format("far"))) > 0
    said = [one.getMessage() for one in caplog.records if "cannot be read now" in one.getMessage()]
    assert [one.partition(" ")[0] for one in said] == ["small.far", "small.through"]
    assert not any("secret" in one for one in said)


def test_a_view_whose_owner_may_no_longer_read_what_is_below_is_not_published(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        execute_text(
            connection,
            "CREATE TABLE small.below (id bigint); CREATE VIEW small.above AS SELECT id FROM small.below; "
            "ALTER VIEW small.above OWNER TO tapdb_owner; GRANT SELECT ON small.above TO tapdb_reader",
        )
    file = felis_file(DESCRIBED.format("above"))
    with pytest.raises(PublicationError, match=r"small\.above: permission denied for table below"):
        published(small_database, file)
    with small_database.begin() as connection:
        # Rows that a policy hides from the reader are its business.
        execute_text(
            connection,
            "GRANT USAGE ON SCHEMA small TO tapdb_owner; GRANT SELECT ON small.below TO tapdb_owner; "
            "ALTER TABLE small.below ENABLE ROW LEVEL SECURITY",
        )
    assert published(small_database, file) > 0


def test_one_changed_description_is_one_row_written(small_database: sa.Engine, felis_file: Write) -> None:
    published(small_database, felis_file())
    changed = felis_file(FELIS, ("description: Right ascension", "description: Right ascension of ICRS"))
    with small_database.begin() as connection:
        publication = publish(connection, assemble(connection, [changed]).rows)
        changes = publication.changes
        assert (changes.inserted, changes.updated, changes.deleted) == (0, 1, 0)
        assert [str(one) for one in changes] == [
            "columns changed: small.star.ra (description: 'Right ascension' -> 'Right ascension of ICRS')"
        ]
        written = connection.exec_driver_sql(
            "SELECT column_name FROM tap_schema.columns WHERE xmin::text = pg_current_xact_id()::text"
        ).scalars()
        assert list(written) == ["ra"]


def test_what_was_published_is_what_is_read(small_database: sa.Engine, felis_file: Write) -> None:
    text = 'description: "Tab\\t, line\\nbreak, back\\\\slash, \\\\N and \u2207 \U0001f52d"'
    file = felis_file(FELIS, ("description: Right ascension", text))
    with small_database.begin() as connection:
        rows = assemble(connection, [file]).rows
        publish(connection, rows)
        assert (
            read_rows(connection)
            == TapSchemaRows(
                **{name: tuple(sorted(of, key=str)) for name, of in rows.by_table().items()}  # type: ignore[arg-type]
            )
            or read_rows(connection).digest() == rows.digest()
        )


def test_size_is_the_number_in_arraysize(small_database: sa.Engine, felis_file: Write) -> None:
    published(small_database, felis_file())
    with small_database.connect() as connection:
        sizes = connection.exec_driver_sql('SELECT arraysize, "size" FROM tap_schema.columns').all()
    assert set(sizes) >= {("20*", 20), ("*", None), (None, None)}


def test_tap_schema_describes_itself_by_its_own_tables(small_database: sa.Engine) -> None:
    rows = rows_of(small_database)
    own = {row.table_name for row in rows.tables if row.schema_name == "tap_schema"}
    assert own == {
        f"tap_schema.{name}"
        for name in (
            *("schemas", "tables", "columns", "keys", "key_columns"),
            *("generation", "datalink_service", "datalink_parameter"),
        )
    }
    with small_database.connect() as connection:
        live = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'tap_schema'"
        ).all()
    described = {(row.table_name.split(".")[1], row.column_name.strip('"')) for row in rows.columns}
    assert described == {pair for pair in live if f"tap_schema.{pair[0]}" in own}
    assert all(row.description for row in rows.columns)
    size = next(row for row in rows.columns if row.column_name == '"size"')
    assert (size.datatype, size.std) == ("int", 1)


def test_opencadc_reads_the_same_rows(small_database: sa.Engine, felis_file: Write) -> None:
    published(small_database, felis_file())
    with small_database.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        for name, rows in rows_of(small_database).by_table().items():
            if name.startswith("datalink"):
                continue
            assert connection.scalar(sa.text(f"SELECT count(*) FROM tap_schema.{name}11")) == len(rows)  # noqa: S608
        ids = connection.exec_driver_sql(
            "SELECT column_id FROM tap_schema.columns11 WHERE table_name = 'small.star' ORDER BY column_index"
        ).scalars()
        assert list(ids)[:6] == [f"small_star_{name}" for name in ("id", "name", "ra", "decl", "mag", "size")]
        version = connection.exec_driver_sql("SELECT version FROM tap_schema.modelversion").scalar()
        assert version == "1.2.13"


ODD_NAMES = """
CREATE SCHEMA "2mass";
CREATE TABLE "2mass"."p-1" (ra real, "dec.J2000" real, "größe" real, "a""b" real, "x y" real);
CREATE TABLE small."7" ("8" int);
GRANT USAGE ON SCHEMA "2mass" TO tapdb_reader;
GRANT SELECT ON "2mass"."p-1", small."7" TO tapdb_reader;
"""


def test_ids_of_fields_are_names_of_xml(small_database: sa.Engine, felis_file: Write) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(ODD_NAMES)
    published(small_database, felis_file(), felis_file("name: 2mass\ntables: []\n", name="odd.yaml"))
    with small_database.connect() as connection:
        ids = connection.exec_driver_sql(
            "SELECT table_name, column_name, column_id FROM tap_schema.columns11 ORDER BY 1, 2"
        ).all()
    assert {row.column_id for row in ids} >= {"_2mass_p-1_ra", "_2mass_p-1_dec.J2000", "small_7_8"}
    for row in ids:
        assert column_id(row.table_name, row.column_name) == row.column_id
        # Elements and IDs have the same grammar (NCName).
        assert ET.fromstring(f"<{row.column_id}/>").tag == row.column_id  # noqa: S314 - our own


STAR = ColumnRow("small.nova", "id", "int", None, None, None, None, None, None, 0, 1, 0, 1)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (
            {"tables": (TableRow("small", "small.nova", "table", None, None, 1),), "columns": (STAR,)},
            PublicationError,
            "may not read small.nova, or there is no such table",
        ),
        ({"columns": (STAR,)}, UnpublishableError, r"small\.nova"),
        ({"columns": (STAR._replace(table_name="small.star", datatype="real"),)}, UnpublishableError, "type"),
        ({"columns": (STAR._replace(table_name="small.star", arraysize="1"),)}, UnpublishableError, "array"),
        ({"schemas": (SchemaRow("small", None, None, 1),)}, UnpublishableError, "schemas_pkey"),
    ],
)  # fmt: skip
def test_what_cannot_be_published_leaves_what_was(
    small_database: sa.Engine,
    felis_file: Write,
    more: dict[str, tuple[Any, ...]],
    error: type[Exception],
    message: str,
) -> None:
    published(small_database, felis_file())
    before = rows_of(small_database)
    with pytest.raises(error, match=message) as caught, small_database.begin() as connection:
        publish(connection, with_rows(before, **more))
    assert "TAP_SCHEMA stays as it was" in str(caught.value)
    assert rows_of(small_database) == before


def test_a_table_that_the_reader_lost_is_found_before_commit(
    small_database: sa.Engine, felis_file: Write
) -> None:
    published(small_database, felis_file())
    rows = rows_of(small_database)
    with small_database.begin() as connection:
        connection.exec_driver_sql("REVOKE SELECT ON tap_schema.columns11 FROM tapdb_reader")
    fewer = replace(rows, datalink_service=(), columns=rows.columns[:-1])
    refused = pytest.raises(PublicationError, match="tapdb_reader could not use it")
    with refused, small_database.begin() as connection:
        publish(connection, fewer)
    assert rows_of(small_database) == rows


def test_a_lost_connection_in_the_middle_leaves_what_was(
    small_database: sa.Engine, felis_file: Write
) -> None:
    published(small_database, felis_file())
    before = rows_of(small_database)
    changed = felis_file(FELIS, ("description: Right ascension", "description: Another"))
    engine = create_engine(small_database.url)
    with engine.connect() as connection:
        connection.begin()
        rows = assemble(connection, [changed]).rows
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

        @sa.event.listens_for(engine, "after_cursor_execute")
        def lose(*arguments: Any) -> None:
            if "UPDATE" in arguments[2]:
                with small_database.connect() as other:
                    other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
                    other.exec_driver_sql("SELECT pg_sleep(0.1)")

        with pytest.raises(DatabaseUnavailableError):
            publish(connection, rows)
    engine.dispose()
    assert rows_of(small_database) == before
    assert published(small_database, changed) == 1


def test_a_database_without_its_tables_says_what_to_do(database_url: sa.URL) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection, pytest.raises(TapSchemaMissingError, match="tapdb migrate upgrade"):
        publish(connection, TapSchemaRows())
    engine.dispose()


def test_every_publication_is_recorded_and_can_be_taken_back(
    small_database: sa.Engine, felis_file: Write
) -> None:
    states = [rows_of(small_database)]
    texts = [
        FELIS,
        FELIS.replace("description: Declination", "description: Latitude"),
        FELIS.replace("description: Declination", 'description: "It\'s \\\\ odd"').replace(
            "meta.id", "meta.id;src"
        ),
    ]
    for text in texts:
        published(small_database, felis_file(text))
        states.append(rows_of(small_database))
    published(small_database, forget=("small",))
    states.append(rows_of(small_database))
    with small_database.connect() as connection:
        assert [one.generation for one in read_generations(connection)] == [5, 4, 3, 2, 1]
        assert [one.digest for one in reversed(read_generations(connection))] == [
            one.digest() for one in states
        ]
        for number, state in enumerate(states, start=1):
            assert rows_at(connection, number).digest() == state.digest()
        assert not len(rows_at(connection, 0))
    with small_database.begin() as connection:
        rollback(connection)
        assert read_rows(connection).digest() == states[3].digest()
        rollback(connection, to=2)
        assert read_rows(connection).digest() == states[1].digest()
        rollback(connection, to=5)
        assert read_rows(connection).digest() == states[4].digest()
        assert [one.comment for one in read_generations(connection)][:2] == [
            "rollback to generation 5",
            "rollback to generation 2",
        ]


def test_a_publication_that_never_was_cannot_be_gone_back_to(small_database: sa.Engine) -> None:
    with (
        small_database.connect() as connection,
        pytest.raises(UnknownGenerationError, match="recorded are: 1"),
    ):
        rollback(connection, to=7)


@pytest.mark.parametrize(
    ("gone", "problem"),
    [
        ("DROP VIEW small.bright", "there is no table small.bright"),
        ("ALTER TABLE small.star DROP hidden", "there is no column hidden in small.star"),
        ('ALTER TABLE small.star RENAME "Mixed" TO other', "there is no column Mixed in small.star"),
        ("DROP SCHEMA small CASCADE", "there is no table small.star"),
        (
            'ALTER TABLE small.star ALTER "Mixed" TYPE text',
            "small.star.Mixed was published as short, and is char[*] now",
        ),
        (
            "ALTER TABLE small.star ALTER hidden TYPE money USING NULL",
            "small.star.hidden is of type money now, which cannot be published",
        ),
        (
            "ALTER TABLE small.spectrum ALTER star_id TYPE bigint[] USING NULL",
            "small.spectrum.star_id was published as long, and is long[*] now",
        ),
    ],
)
def test_going_back_to_what_is_gone_is_refused_whether_dry_or_not(
    small_database: sa.Engine, felis_file: Write, gone: str, problem: str
) -> None:
    published(small_database, felis_file())
    with small_database.begin() as connection:
        if "star_id" in gone:
            connection.exec_driver_sql("ALTER TABLE small.spectrum DROP CONSTRAINT to_star")
        connection.exec_driver_sql(gone)
    published(small_database)
    before = rows_of(small_database)
    for attempt in (plan_rollback, rollback):
        with pytest.raises(PublicationError) as caught, small_database.begin() as connection:
            attempt(connection)
        assert problem in caught.value.problems
        assert rows_of(small_database) == before


def test_what_a_dry_run_says_is_what_psql_would_run(
    small_database: sa.Engine, felis_file: Write, migrated_database: sa.URL
) -> None:
    file = felis_file(FELIS, ("description: Right ascension", 'description: "It\'s a \\\\N"'))
    with small_database.begin() as connection:
        rows = assemble(connection, [file]).rows
        plan = plan_publication(connection, rows)
    assert not [row for row in rows_of(small_database).tables if row.schema_name == "small"]
    assert [statement.text.split()[0] for statement in plan.statements][-2:] == ["INSERT", "INSERT"]
    with psycopg.connect(
        migrated_database.set(drivername="postgresql").render_as_string(hide_password=False)
    ) as connection_:
        for statement in plan.statements:
            if statement.data is None:
                connection_.execute(statement.text.encode())
            else:
                with connection_.cursor().copy(statement.text.encode()) as copy:
                    copy.write(statement.data)
    assert rows_of(small_database).digest() == rows.digest()


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
def test_who_reads_between_two_statements_sees_what_was(
    small_database: sa.Engine, felis_file: Write, isolation: str
) -> None:
    """The second case is the control: outside of a transaction it is seen half done."""
    published(small_database, felis_file())
    seen = set()

    def look() -> None:
        rows = rows_of(small_database).by_table()
        seen.add(
            tuple(sum("small" in str(row) for row in rows[name]) for name in ("tables", "columns", "keys"))
        )

    with small_database.connect() as connection:
        plan = plan_publication(connection, assemble(connection, forget=["small"]).rows)
    with small_database.connect().execution_options(isolation_level=isolation) as connection:
        for statement in plan.statements:
            execute_text(connection, statement.text)
            look()
        connection.commit()
    look()
    assert {(3, 15, 1), (0, 0, 0)} <= seen or isolation == "AUTOCOMMIT"
    assert (len(seen) == 2) == (isolation == "READ COMMITTED")


def test_readers_never_see_a_publication_half_done(small_database: sa.Engine, felis_file: Write) -> None:
    """Thirty publications that take a schema away and bring it back, while three sessions read."""
    file = felis_file()
    published(small_database, file)
    stop = threading.Event()
    wrong: list[object] = []
    reads: list[float] = []
    inconsistent = """
    SELECT (SELECT count(*) FROM tap_schema.columns c LEFT JOIN tap_schema.tables t USING (table_name)
            WHERE t.table_name IS NULL),
      (SELECT count(*) FROM tap_schema.tables t WHERE NOT EXISTS
        (SELECT FROM tap_schema.columns c WHERE c.table_name = t.table_name)),
      (SELECT count(*) FROM tap_schema.tables WHERE schema_name = 'small'),
      (SELECT count(*) FROM tap_schema.columns WHERE table_name LIKE 'small.%%'),
      (SELECT generation %% 2 FROM tap_schema.generation ORDER BY generation DESC LIMIT 1)
    """

    def read() -> None:
        engine = create_engine(small_database.url)
        with engine.connect() as connection:
            connection.exec_driver_sql("SET ROLE tapdb_reader")
            connection.commit()
            while not stop.is_set():
                begin = time.perf_counter()
                row = tuple(connection.exec_driver_sql(inconsistent).one())
                connection.commit()
                reads.append(time.perf_counter() - begin)
                if row not in {(0, 0, 3, 15, 0), (0, 0, 0, 0, 1)}:
                    wrong.append(row)
        engine.dispose()

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        for number in range(PUBLISHES):
            if number % 2 == 0:
                assert published(small_database, forget=("small",)) > 0
            else:
                assert published(small_database, file) > 0
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert len(reads) > PUBLISHES


CONTRADICTING = """
  constraints:
  - {name: to_star, "@type": ForeignKey, columns: ["#spectrum.id"], referencedColumns: ["#star.id"]}
- name: bright
"""


def test_a_key_with_the_name_of_another_is_an_error_with_both_and_not_published(
    small_database: sa.Engine, felis_file: Write
) -> None:
    file = felis_file(FELIS, ("\n- name: bright\n", CONTRADICTING))
    with small_database.begin() as connection:
        generated = assemble(connection, [file])
        (found,) = (one for one in generated.findings if one.rule == "key")
        publish(connection, generated.rows)
        pairs = [row for row in read_rows(connection).key_columns if row.key_id == "small.spectrum.to_star"]
    assert found.severity == "error"
    assert found.problem == (
        "foreign key to_star is described as id to id, and the database has that name for star_id to id"
    )
    assert found.place is not None
    assert [(row.from_column, row.target_column) for row in pairs] == [("star_id", "id")]
