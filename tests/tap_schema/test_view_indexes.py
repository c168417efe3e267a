"""A column of a view is published as indexed exactly where PostgreSQL's planner uses an index for it."""

from __future__ import annotations

import re

import sqlalchemy as sa

from tap_schema.catalog import read_catalog

TABLE = """
CREATE SCHEMA many;
CREATE TABLE many.t (id int PRIMARY KEY, grp int, free int);
CREATE INDEX ON many.t (grp);
INSERT INTO many.t SELECT i, mod(i, 1000), i FROM generate_series(1, 20000) AS i;
ANALYZE many.t;
"""
VIEWS = {
    "plain": "SELECT id, grp, free FROM many.t",
    "of_a_view": "SELECT grp AS g, id FROM many.plain WHERE free > 7",
    "in_part": "SELECT s.id, s.free FROM (SELECT * FROM many.t WHERE grp > 3) AS s",
    "both": "SELECT id FROM many.t UNION SELECT grp FROM many.t",
    "either": "SELECT id FROM many.t UNION ALL SELECT free FROM many.t",
    "in_common": "SELECT id FROM many.t INTERSECT SELECT grp FROM many.t",
    "without": "SELECT id FROM many.t EXCEPT SELECT grp FROM many.t",
    "distinct_rows": "SELECT DISTINCT id, grp FROM many.t",
    "one_of_each": "SELECT DISTINCT ON (grp) grp, id FROM many.t ORDER BY grp, free",
    "grouped": "SELECT grp, count(*)::int AS n FROM many.t GROUP BY grp",
    "grouped_twice": "SELECT grp, id FROM many.t GROUP BY GROUPING SETS ((grp), (id))",
    "numbered": "SELECT id, grp, row_number() OVER (PARTITION BY grp ORDER BY id)::int AS n FROM many.t",
    "first_ones": "SELECT id, grp FROM many.t ORDER BY id LIMIT 9000",
    "from_later": "SELECT id FROM (SELECT id FROM many.t OFFSET 5) AS s",
    "sampled": "SELECT id FROM many.t TABLESAMPLE bernoulli (50)",
    "named": "WITH x AS (SELECT id FROM many.t) SELECT id FROM x",
    "named_twice": "WITH x AS (SELECT id FROM many.t) SELECT x.id FROM x JOIN x AS y ON x.id = y.id + 1",
    "kept": "WITH x AS MATERIALIZED (SELECT id FROM many.t) SELECT id FROM x",
    "not_kept": "WITH x AS NOT MATERIALIZED (SELECT id FROM many.t) SELECT id FROM x JOIN x AS y USING (id)",
}


def searched(connection: sa.Connection, view: str, column: str) -> bool:
    """Return whether PostgreSQL looks a value of a column up in indexes alone."""
    lines = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM many.{view} WHERE {column} = 17").scalars()  # noqa: S608
    plan = "\n".join(lines)
    return "Seq Scan" not in plan and re.search(r"(Index|Recheck) Cond: .* 17\b", plan) is not None


def test_a_column_of_a_view_is_indexed_where_the_planner_uses_an_index(small_database: sa.Engine) -> None:
    with small_database.connect() as connection:
        connection.exec_driver_sql(TABLE)
        for name, query in VIEWS.items():
            connection.exec_driver_sql(f"CREATE VIEW many.{name} AS {query}")
        connection.exec_driver_sql("CREATE MATERIALIZED VIEW many.stored AS SELECT * FROM many.t")
        connection.exec_driver_sql("CREATE INDEX ON many.stored (free)")
        connection.exec_driver_sql("CREATE VIEW many.of_stored AS SELECT * FROM many.stored")
        connection.exec_driver_sql("ANALYZE many.stored")
        # Only where there is no index that serves is a table then read whole.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        found = {
            f"{table.name}.{column.name}": column.indexed
            for table in read_catalog(connection, ["many"]).tables
            for column in table.columns
        }
        planned = {name: searched(connection, *name.split(".")) for name in found}
    assert found == planned
    assert len([name for name, indexed in found.items() if indexed]) > len(VIEWS) // 2


def test_the_planner_is_seen_to_use_an_index_and_not_to(small_database: sa.Engine) -> None:
    with small_database.connect() as connection:
        connection.exec_driver_sql(TABLE)
        assert searched(connection, "t", "id")
        assert not searched(connection, "t", "free")
