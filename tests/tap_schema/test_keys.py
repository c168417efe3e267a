"""Foreign keys: their pairs lie in one order everywhere, and a key of the database goes with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tap_schema.assemble import assemble
from tap_schema.errors import OutdatedRowsError
from tap_schema.history import read_generations, rollback
from tap_schema.publish import plan_publication, publish
from tap_schema.rows import KeyColumnRow, KeyRow, TapSchemaRows
from tap_schema.stored import read_rows
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.tap_schema_fixtures import FELIS
from tests.plugins.tap_service import tap_service

Write = Callable[..., str]

# In alphabetical order on neither side; the collation of a language has "B" after a.
WIDE = """
CREATE TABLE small.cell (zone int, "Band" int, area int, PRIMARY KEY (zone, "Band", area));
CREATE TABLE small.patch (
  z int, "B" int, a int, CONSTRAINT to_cell FOREIGN KEY (z, "B", a) REFERENCES small.cell (zone, "Band", area)
);
GRANT SELECT ON ALL TABLES IN SCHEMA small TO tapdb_reader;
"""


def published(engine: sa.Engine, *files: str) -> TapSchemaRows:
    with engine.begin() as connection:
        publish(connection, assemble(connection, files).rows)
        return read_rows(connection)


def as_they_lie(engine: sa.Engine) -> dict[str, list[str]]:
    """Return the columns of each key in the order in which a query without ORDER BY finds them."""
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for key, column in connection.exec_driver_sql(
            "SELECT key_id, from_column FROM tap_schema.key_columns"
        ):
            found.setdefault(key, []).append(column)
    return found


def as_listed(rows: TapSchemaRows) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows.key_columns:
        found.setdefault(row.key_id, []).append(row.from_column)
    return found


def taplint_errors(stilts: Stilts, url: str) -> list[str]:
    report = stilts.taplint(url, "TME", "TMS", "TMC")
    assert any(line.startswith("Totals: ") for line in report), report
    return [line for line in report if line.startswith(("E-", "F-"))]


def test_taplint_compares_the_order_of_key_columns_and_ours_is_one(
    small_database: sa.Engine, felis_file: Write, stilts: Stilts
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(WIDE)
    rows = published(small_database, felis_file())
    assert as_listed(rows)["small.patch.to_cell"] == ["B", "a", "z"]
    with tap_service(small_database) as url:
        assert taplint_errors(stilts, url) == []
    # That it would say so if the two ways gave two orders.
    with tap_service(small_database, replace(rows, key_columns=rows.key_columns[::-1])) as url:
        assert {line[:5] for line in taplint_errors(stilts, url)} == {"E-TMC"}


def test_what_is_generated_lists_pairs_as_what_is_published(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(WIDE)
    rows = published(small_database, felis_file())
    with small_database.connect() as connection:
        assert as_listed(assemble(connection).rows) == as_listed(rows)


def test_pairs_keep_their_order_whatever_is_published_and_vacuumed(
    small_database: sa.Engine, felis_file: Write
) -> None:
    chance = random.Random(12)
    first = published(small_database, felis_file())
    names = [row.column_name for row in first.columns if row.table_name == "small.star"]
    for _ in range(25):
        keys = [f"small.star.k{number}" for number in range(chance.randint(1, 120))]
        pairs = [
            KeyColumnRow(key, name, chance.choice(names))
            for key in keys
            for name in chance.sample(names, chance.randint(1, len(names)))
        ]
        rows = replace(
            first,
            keys=(*first.keys, *(KeyRow(key, "small.star", "small.star", None, None) for key in keys)),
            key_columns=(*first.key_columns, *pairs),
            generation=None,
        )
        with small_database.begin() as connection:
            publish(connection, rows)
        found = as_they_lie(small_database)
        assert found == {key: sorted(columns) for key, columns in found.items()}
        with small_database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM tap_schema.key_columns")


def test_pairs_that_lie_in_another_order_are_laid_again_without_a_publication(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(WIDE)
    published(small_database, felis_file())
    with small_database.begin() as connection:
        # As a version that did not care, or an update by hand, has left them.
        connection.exec_driver_sql(
            "UPDATE tap_schema.key_columns SET key_id = key_id WHERE from_column = 'B'"
        )
        generations = read_generations(connection)
    assert as_they_lie(small_database)["small.patch.to_cell"] == ["a", "z", "B"]
    published(small_database)
    assert as_they_lie(small_database)["small.patch.to_cell"] == ["B", "a", "z"]
    with small_database.connect() as connection:
        assert read_generations(connection) == generations


def keys(rows: TapSchemaRows) -> set[str]:
    return {row.key_id for row in rows.keys if row.key_id.startswith("small.")}


DROP = "ALTER TABLE small.spectrum DROP CONSTRAINT to_star"
ADD = "ALTER TABLE small.spectrum ADD CONSTRAINT to_star FOREIGN KEY (star_id) REFERENCES small.star"
DESCRIBED = (
    "  - {name: star_id, datatype: long, description: The star}",
    """  - {name: star_id, datatype: long, description: The star}
  constraints:
  - {name: to_star, "@type": ForeignKey, columns: ["#spectrum.star_id"], referencedColumns: ["#star.id"]}""",
)


@pytest.mark.parametrize("again", [True, False])
def test_a_foreign_key_that_is_dropped_goes_and_the_difference_says_so(
    small_database: sa.Engine, felis_file: Write, *, again: bool
) -> None:
    file = felis_file()
    assert keys(published(small_database, file)) == {"small.spectrum.to_star"}
    # Whether it has been published once or twice, it is known from the database.
    assert not again or keys(published(small_database)) == {"small.spectrum.to_star"}
    with small_database.begin() as connection:
        connection.exec_driver_sql(DROP)
        changes = plan_publication(connection, assemble(connection).rows).changes
        assert [(one.kind, one.table) for one in changes] == [("removed", "keys"), ("removed", "key_columns")]
    assert keys(published(small_database)) == set()
    with small_database.begin() as connection:
        assert not plan_publication(connection, assemble(connection).rows).changes
        connection.exec_driver_sql(ADD)
    assert keys(published(small_database)) == {"small.spectrum.to_star"}


def test_a_key_that_a_file_describes_stays_whatever_the_database_enforces(
    small_database: sa.Engine, felis_file: Write
) -> None:
    # Published as it is in the database, then described: nothing changes but from where it is known.
    published(small_database, felis_file())
    file = felis_file(FELIS, DESCRIBED)
    published(small_database, file)
    with small_database.begin() as connection:
        connection.exec_driver_sql(DROP)
    assert keys(published(small_database)) == {"small.spectrum.to_star"}
    assert keys(published(small_database, file)) == {"small.spectrum.to_star"}
    # Another file takes it back.
    assert keys(published(small_database, felis_file())) == set()


def test_a_key_that_is_dropped_after_a_rollback_goes_too(
    small_database: sa.Engine, felis_file: Write
) -> None:
    published(small_database, felis_file())
    published(small_database, felis_file(FELIS, ("Right ascension", "Longitude")))
    with small_database.begin() as connection:
        rollback(connection)
    with small_database.begin() as connection:
        connection.exec_driver_sql(DROP)
    assert keys(published(small_database)) == set()


def test_rows_of_an_older_generation_are_refused_and_the_others_stay(
    small_database: sa.Engine, felis_file: Write
) -> None:
    with small_database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE SCHEMA other; CREATE TABLE other.star (id int);"
            " GRANT USAGE ON SCHEMA other TO tapdb_reader; GRANT SELECT ON other.star TO tapdb_reader"
        )
    other = felis_file(
        "name: other\ntables:\n- name: star\n  columns:\n  - {name: id, datatype: int}\n", name="other.yaml"
    )
    with small_database.begin() as mine, small_database.begin() as theirs:
        rows = assemble(mine, [felis_file()]).rows
        publish(theirs, assemble(theirs, [other]).rows)
        theirs.commit()
        with pytest.raises(OutdatedRowsError, match="made from generation 1, and generation 2 is published"):
            publish(mine, rows)
        with pytest.raises(OutdatedRowsError):
            plan_publication(mine, rows)
        # Assembled again, the rows have both.
        publish(mine, assemble(mine, [felis_file()]).rows)
        mine.commit()
    with small_database.connect() as connection:
        assert {row.schema_name for row in read_rows(connection).schemas} >= {"small", "other"}


def test_a_rollback_that_waits_for_another_publication_is_refused_or_sees_it(
    small_database: sa.Engine, felis_file: Write
) -> None:
    published(small_database, felis_file())
    with small_database.begin() as connection:
        rows = read_rows(connection)
    published(small_database, felis_file(FELIS, ("Right ascension", "Longitude")))
    with small_database.begin() as connection, pytest.raises(OutdatedRowsError):
        publish(connection, rows)
    # The rows that are published are no older than themselves.
    with small_database.begin() as connection:
        assert not publish(connection, replace(read_rows(connection), generation=1)).changes
