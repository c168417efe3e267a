"""Nothing but published tables, columns and functions reaches the database, and no text of a query does."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import pytest

from adql import AdqlError, AdqlNameError, AdqlSyntaxError, parse, to_postgres, validate
from tests.adql.published_tables import METADATA

PROBES = {
    "functions": [
        "SELECT pg_sleep(10) FROM cat.Object",
        "SELECT PG_SLEEP(10) FROM cat.Object",
        "SELECT pg_read_file('/etc/passwd') FROM cat.Object",
        "SELECT lo_import('/etc/passwd') FROM cat.Object",
        "SELECT dblink('host=x', 'SELECT 1') FROM cat.Object",
        "SELECT set_config('role', 'postgres', 1) FROM cat.Object",
        "SELECT query_to_xml('SELECT 1', 1, 1, '') FROM cat.Object",
        "SELECT generate_series(1, 1000000000) FROM cat.Object",
        "SELECT repeat('a', 1000000000) FROM cat.Object",
        "SELECT current_setting('data_directory') FROM cat.Object",
        "SELECT 1 FROM cat.Object WHERE 1 = pg_sleep(10)",
        "SELECT 1 FROM cat.Object GROUP BY pg_sleep(10)",
        "SELECT 1 FROM cat.Object ORDER BY pg_sleep(10)",
        "SELECT COALESCE(pg_sleep(10), 1) FROM cat.Object",
        "SELECT ABS(pg_sleep(10)) FROM cat.Object",
        "SELECT 1 FROM cat.Object AS a JOIN cat.Source AS b ON a.objectId = pg_backend_pid()",
        "SELECT 1 FROM cat.Object WHERE objectId IN (SELECT txid_current() FROM cat.Source)",
        "WITH a AS (SELECT pg_sleep(10) AS x FROM cat.Object) SELECT 1 FROM cat.Object",
        "SELECT row_to_json(o) FROM cat.Object AS o",
        "SELECT spoint(1, 2) FROM cat.Object",
        "SELECT abs_(1) FROM cat.Object",
    ],
    "tables": [
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT * FROM pg_class",
        "SELECT * FROM information_schema.tables",
        'SELECT * FROM "pg_catalog"."pg_class"',
        "SELECT * FROM postgres.pg_catalog.pg_class",
        "SELECT * FROM uws.jobs",
        "SELECT * FROM tap_upload.mine_42",
        "SELECT * FROM TAP_UPLOAD.others",
        "SELECT 1 FROM cat.Object, pg_class",
        "SELECT 1 FROM cat.Object JOIN pg_class ON 1 = 1",
        "SELECT 1 FROM cat.Object WHERE EXISTS (SELECT * FROM pg_authid)",
        "SELECT band FROM cat.Object UNION SELECT rolname FROM pg_authid",
        "WITH p AS (SELECT * FROM pg_authid) SELECT 1 FROM cat.Object",
        "SELECT * FROM (SELECT * FROM pg_authid) AS q",
    ],
    "columns": [
        "SELECT ctid FROM cat.Object",
        "SELECT xmin, cmax, tableoid FROM cat.Object",
        "SELECT o FROM cat.Object AS o",
        "SELECT Object FROM cat.Object",
        "SELECT o.pg_column_size FROM cat.Object AS o",
        "SELECT o.row_to_json FROM cat.Object AS o",
        "SELECT o.text FROM cat.Object AS o",
        "SELECT pgs_region FROM ivoa.ObsCore",
        "SELECT o.pgs_center FROM ivoa.ObsCore AS o",
        "SELECT q.pgs_region FROM (SELECT * FROM ivoa.ObsCore) AS q",
        'SELECT q."#1 region" FROM (SELECT s_region FROM ivoa.ObsCore) AS q',
        'SELECT "#4 center" FROM (SELECT * FROM ivoa.ObsCore) AS q',
        "SELECT objectId FROM cat.Object ORDER BY ctid",
        "SELECT pg_authid.rolname FROM cat.Object",
        "SELECT 1 FROM cat.Object AS a JOIN cat.Object AS b USING (ctid)",
    ],
}


@pytest.mark.parametrize("text", [text for texts in PROBES.values() for text in texts])
def test_what_is_not_published_cannot_be_named(text: str) -> None:
    query = parse(text)
    with pytest.raises(AdqlNameError):
        validate(query, METADATA)
    with pytest.raises(AdqlNameError):
        to_postgres(query, METADATA)


INJECTIONS = [
    "SELECT objectId FROM cat.Object; DROP TABLE cat.Object",
    "SELECT objectId FROM cat.Object;; DROP TABLE cat.Object",
    "SELECT objectId FROM cat.Object WHERE name = 'a'; DELETE FROM cat.Object WHERE 'a' = 'a'",
    "SELECT objectId FROM cat.Object INTO OUTFILE '/tmp/x'",
    "SELECT objectId INTO x FROM cat.Object",
    "SELECT objectId FROM cat.Object FOR UPDATE",
    "SELECT CAST('pg_authid' AS regclass) FROM cat.Object",
    "SELECT 'pg_authid'::regclass FROM cat.Object",
    "SELECT {fn now()} FROM cat.Object",
    "SELECT U&'\\0061' FROM cat.Object",
    "SELECT $$a$$ FROM cat.Object",
    "SELECT objectId FROM cat.Object WHERE objectId = $1",
    "SELECT objectId FROM cat.Object WHERE name ~ '(a+)+$'",
    "SELECT objectId FROM cat.Object WHERE name SIMILAR TO '(a|a)*'",
    "WITH d AS (DELETE FROM cat.Object RETURNING *) SELECT * FROM d",
    "SELECT objectId FROM cat.Object /* ; DROP TABLE t */",
    "SELECT objectId FROM cat.Object WHERE name = E'\\''; DROP TABLE t --'",
    "SELECT @@version FROM cat.Object",
    "SELECT CURRENT_USER FROM cat.Object",
    "SELECT SESSION_USER FROM cat.Object",
    "SELECT objectId FROM cat.Object WHERE EXISTS (SELECT 1)",
    "TABLE cat.Object",
    "SELECT objectId FROM LATERAL (SELECT 1) AS q",
    "SELECT objectId FROM ROWS FROM (pg_sleep(1))",
    "SELECT objectId FROM cat.Object TABLESAMPLE SYSTEM (1)",
    "SELECT pg_catalog.pg_sleep(5) FROM cat.Object",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_is_no_query_of_adql_is_refused_by_the_grammar(text: str) -> None:
    with pytest.raises(AdqlSyntaxError):
        parse(text)


HOSTILE = [
    "'; DROP TABLE t; --",
    "\\'; DROP TABLE t; --",
    "$1 $2 :x %s %(x)s {x} ?",
    '" || pg_sleep(9) || "',
    "*/ SELECT 1 /*",
    "\N{RIGHT SINGLE QUOTATION MARK} OR 1=1",
    "'' '",
    "\\",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_string_reaches_the_server_as_a_parameter_only(value: str) -> None:
    literal = "'" + value.replace("'", "''") + "'"
    compiled = to_postgres(parse(f"SELECT objectId FROM cat.Object WHERE name = {literal}"), METADATA)
    assert compiled.parameters == (value,)
    assert compiled.sql.endswith('WHERE ("Object"."name" = $1)')


@pytest.mark.parametrize("value", [*HOSTILE, "a" * 100, "é" * 40, "#1 region"])
def test_a_name_that_a_user_gives_is_quoted(value: str) -> None:
    name = '"' + value.replace('"', '""') + '"'
    compiled = to_postgres(parse(f"SELECT {name}.objectId AS {name} FROM cat.Object AS {name}"), METADATA)
    assert compiled.columns[0].name == value
    assert compiled.sql.count('"') % 2 == 0
    outside = "".join(compiled.sql.split('"')[0::2])
    assert outside.split() == ["SELECT", ".", "AS", "FROM", ".", "AS"]


def test_a_name_of_common_table_expression_never_reaches_the_server() -> None:
    compiled = to_postgres(
        parse('WITH "pg_class; x" AS (SELECT band FROM cat.Object) SELECT * FROM "pg_class; x"'),
        METADATA,
    )
    assert "with_1" in compiled.sql
    assert 'FROM "with_1" AS "pg_class; x"' in compiled.sql


def test_boxes_inside_boxes_do_not_grow_without_bound() -> None:
    text = "coord_ra"
    for _ in range(20):
        text = f"AREA(BOX({text}, coord_dec, 1, 1))"
    with pytest.raises(AdqlError):
        to_postgres(parse(f"SELECT {text} FROM cat.Object"), METADATA)
