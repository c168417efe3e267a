"""A table with a column of each type that TAP_SCHEMA publishes, and its values: NULL, extremes, nesting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine

HARD = "é ß 日本 🌌 \"q\", 'a' <b> & [bold]c\\n\t\r\n d"
NAN, INF = float("nan"), float("inf")
BIG = "123456789012345678901234567890.5"
DOCUMENT = f'{{"a": {BIG},  "a": [null, "é"]}}'
FELIS = """
name: served
description: A table of all types
tables:
- name: all_types
  description: All types
  columns: [{name: id, datatype: int, description: Number of the row}]
"""

# Type in PostgreSQL; two values as PostgreSQL reads them; the same as JSON has them. A third row is NULL.
COLUMNS: dict[str, tuple[str, tuple[str, str], tuple[Any, Any]]] = {
    "a_bool": ("bool", ("f", "t"), (False, True)),
    "a_int2": ("int2", ("-32768", "32767"), (-(2**15), 2**15 - 1)),
    "a_int4": ("int4", ("-2147483648", "2147483647"), (-(2**31), 2**31 - 1)),
    "a_int8": ("int8", (str(-(2**63)), str(2**63 - 1)), (-(2**63), 2**63 - 1)),
    "a_oid": ("oid", ("0", "4294967295"), (0, 2**32 - 1)),
    "a_float4": ("float4", ("-3.4028235e+38", "1e-45"), (-3.4028235e38, 1e-45)),
    "b_float4": ("float4", ("NaN", "0.1"), (NAN, 0.1)),
    "a_float8": ("float8", ("-1.7976931348623157e+308", "5e-324"), (-1.7976931348623157e308, 5e-324)),
    "b_float8": ("float8", ("Infinity", "-Infinity"), (INF, -INF)),
    "a_numeric": ("numeric(15,5)", ("-9999999999.99999", "0.00001"), (-9999999999.99999, 0.00001)),
    "a_text": ("text", ("", HARD), ("", HARD)),
    "a_varchar": ("varchar(5)", ("🌌🌌🌌🌌🌌", "éa"), ("🌌🌌🌌🌌🌌", "éa")),
    "a_bpchar": ("char(3)", ("a", "abc"), ("a  ", "abc")),
    "a_name": ("name", ("x", "é" * 31), ("x", "é" * 31)),
    "a_citext": ("citext", ("", HARD), ("", HARD)),
    "a_smoc": ("smoc", ("3/1-4", "0/0-11"), ("3/1-4", "0/0-11")),
    "a_uuid": (
        "uuid",
        ("0" * 32, "f" * 32),
        ("00000000-0000-0000-0000-000000000000", "f" * 8 + "-ffff" * 3 + "-" + "f" * 12),
    ),
    "a_timestamp": (
        "timestamp",
        ("infinity", "2024-01-01 03:00:00.123457"),
        ("infinity", "2024-01-01T03:00:00.123457"),
    ),
    "b_timestamp": (
        "timestamp",
        ("0044-03-15 BC", "294276-12-31 23:59:59.999999"),
        ("0044-03-15T00:00:00 BC", "294276-12-31T23:59:59.999999"),
    ),
    "a_timestamptz": (
        "timestamptz",
        ("-infinity", "2024-01-01 03:00:00.12+02"),
        ("-infinity", "2024-01-01T01:00:00.12"),
    ),
    "b_timestamptz": (
        "timestamptz",
        ("0044-03-15 00:00+00 BC", "12000-01-01 00:00+00"),
        ("0044-03-15T00:00:00 BC", "12000-01-01T00:00:00"),
    ),
    "a_date": ("date", ("infinity", "2024-02-29"), ("infinity", "2024-02-29")),
    "b_date": ("date", ("0044-03-15 BC", "5874897-12-31"), ("0044-03-15 BC", "5874897-12-31")),
    "a_json": (
        "json",
        (DOCUMENT, "null"),
        (DOCUMENT, "null"),
    ),
    "a_jsonb": ("jsonb", (f"[{BIG}, {{}}]", '"x"'), (f"[{BIG}, {{}}]", '"x"')),
    "a_bytea": ("bytea", ("\\x", "\\x0001feff"), ([], [0, 1, 254, 255])),
    "a_spoint": ("spoint", ("(0, 0)", "(1, -0.5)"), ([0.0, 0.0], [math.degrees(1), math.degrees(-0.5)])),
    "a_scircle": (
        "scircle",
        ("<(0, 0), 0.5>", "<(1, 0), 0>"),
        ([0.0, 0.0, math.degrees(0.5)], [math.degrees(1), 0.0, 0.0]),
    ),
    "a_spoly": (
        "spoly",
        ("{(0,0),(1,0),(0,1)}", "{(0,0),(1,0),(1,1),(0,1)}"),
        (
            [0.0, 0.0, math.degrees(1), 0.0, 0.0, math.degrees(1)],
            [math.degrees(one) for one in (0, 0, 1, 0, 1, 1, 0, 1)],
        ),
    ),
    "a_bools": ("bool[]", ("{t,NULL,f}", "{}"), ([True, None, False], [])),
    "a_shorts": ("int2[]", ("{1,NULL,32767}", "{}"), ([1, None, 32767], [])),
    "a_ints": ("int4[]", ("{-2147483647,NULL}", "[0:1]={5,6}"), ([-(2**31) + 1, None], [5, 6])),
    "a_longs": ("int8[]", ("{9223372036854775807,NULL}", "{0}"), ([2**63 - 1, None], [0])),
    "a_floats": ("float4[]", ("{0.1,NULL,-Infinity}", "{}"), ([0.1, None, -INF], [])),
    "a_doubles": ("float8[]", ("{1.5,NULL,NaN,Infinity}", "{5e-324}"), ([1.5, None, NAN, INF], [5e-324])),
    "a_numerics": ("numeric(10,2)[]", ("{1.25,NULL}", "{-99999999.99}"), ([1.25, None], [-99999999.99])),
    "a_domains": ("served.small_number[]", ("{1,NULL,3}", "[3:4]={4,5}"), ([1, None, 3], [4, 5])),
    "a_truths": ("served.truth[]", ("{t,NULL}", "{f}"), ([True, None], [False])),
    "a_domain": ("served.small_number", ("-5", "5"), (-5, 5)),
    "a_mood": ("served.mood", ("sad", "über"), ("sad", "über")),
}

REALS = {"a_floats", "a_doubles", "a_numerics"}

UNPUBLISHED = {
    "x_texts": "text[]", "x_uuids": "uuid[]", "x_moments": "timestamp[]", "x_matrix": "int8[][]",
    "x_decimals": "numeric", "x_digits": "numeric(20,0)", "x_ranges": "int4multirange",
    "x_range": "tstzrange", "x_points": "spoint[]", "x_interval": "interval", "x_jsons": "jsonb[]",
}  # fmt: skip


@pytest.fixture(scope="session")
def served_url(
    clone_for_session: Callable[[str], sa.URL],
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> sa.URL:
    """Return the URL of a database that publishes a table with a column of each type."""
    url = clone_for_session(migrated_template)
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in (
            "CREATE EXTENSION IF NOT EXISTS citext",
            "CREATE SCHEMA served",
            "CREATE DOMAIN served.small_number AS int CHECK (abs(VALUE) < 10)",
            "CREATE DOMAIN served.truth AS bool",
            "CREATE TYPE served.mood AS ENUM ('sad', 'über')",
        ):
            connection.exec_driver_sql(statement)
        kinds = {name: kind for name, (kind, _, _) in COLUMNS.items()} | UNPUBLISHED
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        connection.exec_driver_sql(f"CREATE TABLE served.all_types (id int PRIMARY KEY, {listed})")
        connection.exec_driver_sql("INSERT INTO served.all_types (id) VALUES (3)")
        names = ", ".join(COLUMNS)
        places = ", ".join(f"%s::text::{kind}" for kind, _, _ in COLUMNS.values())
        for number in (0, 1):
            connection.exec_driver_sql(
                f"INSERT INTO served.all_types (id, {names}) VALUES ({number + 1}, {places})",  # noqa: S608
                tuple(texts[number] for _, texts, _ in COLUMNS.values()),
            )
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA served TO tapdb_reader")
        connection.exec_driver_sql("GRANT SELECT ON served.all_types TO tapdb_reader")
    engine.dispose()
    text = url.render_as_string(hide_password=False)
    file = tmp_path_factory.mktemp("felis") / "served.yaml"
    file.write_text(FELIS)
    done = CliRunner(env={"TAPDB_URL": text}).invoke(main, ["tap-schema", "publish", str(file)])
    assert done.exit_code == 0, done.output
    return url


def expected(name: str) -> list[Any]:
    return [*COLUMNS[name][2], None]


def same(found: Any, wanted: Any) -> bool:
    """Return whether two values are one: NaN is itself, angles may differ in the last bits."""
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float) and isinstance(found, (float, int)):
        both_nan = math.isnan(found) and math.isnan(wanted)
        return both_nan or math.isclose(found, wanted, rel_tol=1e-15, abs_tol=1e-323)
    return type(found) is type(wanted) and bool(found == wanted)


QUERY = f"SELECT {', '.join(COLUMNS)} FROM served.all_types ORDER BY id"  # noqa: S608
