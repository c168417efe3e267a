"""The history of a PPDB in files: what is written is what the database has, in valid HATS catalogues."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hats.catalog.catalog import Catalog
from hats.io.validation import is_valid_catalog
from hats.loaders.read_hats import read_hats
from psycopg import sql

from ppdb_replay.errors import LakeHistoryError, LakeUnreadableError
from ppdb_replay.lake.checking import check_lake
from ppdb_replay.lake.export import export_lake, plan_export
from ppdb_replay.lake.layout import lake_type
from ppdb_replay.lake.opening import open_lake
from ppdb_replay.versions.install import install
from tapdb.cli.root import main
from tapdb.postgres.engine import checked_connection, driver_connection
from tests.ppdb_replay.changing_ppdb import change
from tests.ppdb_replay.lake_rows import assert_same, differences
from tests.ppdb_replay.ppdb_rows import connect, delete_object, engine_connection, insert_object

TYPES = {
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["NaN", "Infinity", "-Infinity", "-0.0", "1e-45", "3.4028235e38", "0.1"],
    "double precision": ["NaN", "Infinity", "-Infinity", "-0.0", "5e-324", "1.7976931348623157e308", "0.1"],
    "boolean": ["true", "false"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "text": ["", "Ünïcødé 🜨", 'it\'s \\ "quoted"\n\ttwice', "x" * 5000],
    "bytea": ["\\x", "\\x00ff5c27"],
    "character varying(8)": ["", "ånström ", "12345678"],
    "character(3)": ["a", "", "æøå"],
    "timestamp without time zone": ["infinity", "-infinity", "2026-01-01 00:00:00.000001", "0044-03-15 BC"],
    "timestamp(3) with time zone": ["infinity", "2026-01-01 00:00:00.123+05", "0001-01-01 00:00:00+00"],
    "numeric": ["NaN", "123456789012345678901234567890.123456789", "0.10"],
    "numeric(10,2)": ["-12345678.90", "0.00"],
    "date": ["2026-02-28", "infinity"],
    "jsonb": ['{"a": [1, null, "ü"]}'],
    "interval": ["1 year 2 mons -3 days 04:05:06.7"],
    "integer[]": ["{1,NULL,-3}", "{}"],
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A lake, and the database of which it is."""

    url: sa.URL
    where: Path


def _column(data_type: str) -> str:
    return "t " + data_type


def _fill(url: sa.URL) -> None:
    """Write rows with all values of all types, and what visits write."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(_column(one)), sql.SQL(one)) for one in TYPES
    )
    with engine_connection(url) as connection:
        table = sql.SQL(
            'CREATE TABLE ppdb."Typed" (id bigint PRIMARY KEY, ra double precision, dec double precision, {})'
        )
        driver_connection(connection).execute(table.format(columns))
        driver_connection(connection).execute('CREATE TABLE ppdb."Named" (name text PRIMARY KEY, n integer)')
        install(connection, tables=["Typed", "Named"])
    with connect(url, autocommit=True) as ppdb:
        ppdb.execute('INSERT INTO ppdb."Typed" (id) SELECT generate_series(1, 200)')
        number = 1
        for data_type, values in TYPES.items():
            for value in values:
                ppdb.execute(
                    sql.SQL('UPDATE ppdb."Typed" SET {} = {}, ra = id, dec = id - 50 WHERE id = {}').format(
                        sql.Identifier(_column(data_type)), sql.Literal(value), sql.Literal(number)
                    )
                )
                number += 1
        for ra, dec in (
            ("359.9999999999", "90"),
            ("-1e-20", "-90"),
            ("NaN", "1"),
            ("1", "Infinity"),
            ("0", "91"),
        ):
            number += 1
            ppdb.execute('UPDATE ppdb."Typed" SET ra = %s, dec = %s WHERE id = %s', [ra, dec, number])
        ppdb.execute('DELETE FROM ppdb."Typed" WHERE id = 2')
        for seed in range(1, 4):
            change(ppdb, seed)
        ppdb.execute("INSERT INTO ppdb.\"Named\" SELECT 'ö' || i, i FROM generate_series(1, 90) i")
        ppdb.execute('UPDATE ppdb."Named" SET n = 0 WHERE n > 50')


@pytest.fixture(scope="module")
def exported(
    clone_for_session: Callable[[str], sa.URL], ppdb_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """Return a lake of many small files, and its database."""
    url = clone_for_session(ppdb_template)
    _fill(url)
    where = tmp_path_factory.mktemp("lake") / "lake"
    with checked_connection(url) as connection:
        export_lake(connection, where, chunk_rows=40, piece_rows=16)
    return Exported(url, where)


def test_all_rows_of_all_tables_read_back_as_the_database_has_them(exported: Exported) -> None:
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        assert_same(lake, ppdb)
        (count,) = lake.connection.execute('SELECT count(*) FROM lake."DiaObject"').fetchall()[0]
        assert count > 100


def test_a_row_that_differs_by_a_bit_would_be_found(exported: Exported) -> None:
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        ppdb.execute('ALTER TABLE ppdb."Typed" DISABLE TRIGGER ALL')
        ppdb.execute('UPDATE ppdb."Typed" SET "t real" = 0.10000001 WHERE "t real" = 0.1::real')
        found = differences(lake, ppdb)[0]
        assert re.fullmatch(r"Typed: 1 of [0-9]+ missing, 1 of others", found)


def test_columns_have_the_types_of_the_database(exported: Exported) -> None:
    expected = {_column(one): lake_type(one) or "VARCHAR" for one in TYPES}
    with open_lake(exported.where) as lake:
        found = dict(
            lake.connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'Typed'"
            ).fetchall()
        )
    spelled = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    assert {name: spelled.get(found[name], found[name]) for name in expected} == expected
    assert expected[_column("uuid")] == "UUID"
    assert expected[_column("timestamp(3) with time zone")] == "TIMESTAMPTZ"


@pytest.mark.parametrize("data_type", ["real", "double precision"])
def test_nan_is_found_as_the_largest_number(exported: Exported, data_type: str) -> None:
    column = sql.Identifier(_column(data_type))
    frame = 'SELECT count(*) FROM {}."Typed" WHERE {} > {}'
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        for least in ("1e300", "'Infinity'::double precision", "-1"):
            held, expected = (
                sql.SQL(frame).format(sql.Identifier(schema), column, sql.SQL(least)).as_string()
                for schema in ("lake", "ppdb_history")
            )
            assert lake.connection.execute(held).fetchone() == ppdb.execute(expected).fetchone()


def test_each_table_with_positions_is_a_valid_hats_catalogue(exported: Exported) -> None:
    with open_lake(exported.where) as lake:
        hats = lake.state.hats
    assert set(hats) == {"DiaObject", "DiaSource", "DiaForcedSource", "Typed"}
    for folder in hats.values():
        assert is_valid_catalog(exported.where / folder, strict=True)


def test_a_file_that_is_missing_would_be_found_by_hats(exported: Exported, tmp_path: Path) -> None:
    with open_lake(exported.where) as lake:
        shutil.copytree(exported.where / lake.state.hats["DiaObject"], tmp_path / "DiaObject")
    next((tmp_path / "DiaObject").rglob("Npix=*.parquet")).unlink()
    assert not is_valid_catalog(tmp_path / "DiaObject", strict=True)


def test_hats_reads_the_objects_of_a_cone_as_the_database_has_them(exported: Exported) -> None:
    ra, dec, radius = 11.0, -4.0, 0.7
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        catalogue = read_hats(exported.where / lake.state.hats["DiaObject"])
        assert isinstance(catalogue, Catalog)
        cone = catalogue.filter_by_cone(ra, dec, radius * 3600)
        assert 0 < len(cone.get_healpix_pixels()) < len(catalogue.get_healpix_pixels())
        found = set()
        for pixel in cone.get_healpix_pixels():
            rows = catalogue.read_pixel_to_pandas(pixel)
            near = _distance(rows["ra"], rows["dec"], ra, dec) < radius
            found |= set(zip(rows["diaObjectId"][near], rows["snap_from"][near], strict=True))
        expected = ppdb.execute(
            'SELECT "diaObjectId", snap_from FROM ppdb_history."DiaObject" '
            "WHERE spoint(radians(ra), radians(dec)) <@ "
            "scircle(spoint(radians(%s), radians(%s)), radians(%s))",
            [ra, dec, radius],
        ).fetchall()
    assert found == set(expected)
    assert len(found) > 10


def _distance(
    ra: object, dec: object, ra_0: float, dec_0: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ra_1, dec_1 = np.radians(np.asarray(ra)), np.radians(np.asarray(dec))
    ra_2, dec_2 = math.radians(ra_0), math.radians(dec_0)
    cosine = np.sin(dec_1) * math.sin(dec_2) + np.cos(dec_1) * math.cos(dec_2) * np.cos(ra_1 - ra_2)
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return found


def test_files_are_sorted_by_pixel_and_vectors_are_those_of_pg_sphere(exported: Exported) -> None:
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        files = sorted((exported.where / lake.state.hats["DiaObject"]).rglob("Npix=*.parquet"))
        assert len(files) > 3
        for file in files:
            table = pq.read_table(file, columns=["_healpix_29", "snap_from"])
            keys = list(zip(table["_healpix_29"].to_pylist(), table["snap_from"].to_pylist(), strict=True))
            assert keys == sorted(keys)
        held = lake.connection.execute(
            'SELECT "diaObjectId", snap_from, _x, _y, _z FROM lake."DiaObject"'
        ).fetchall()
        with psycopg.Cursor(ppdb) as cursor:
            expected = cursor.execute(
                'SELECT "diaObjectId", snap_from, cos(radians(dec)) * cos(radians(ra)), '
                "cos(radians(dec)) * sin(radians(ra)), sin(radians(dec)) "
                'FROM ppdb_history."DiaObject"',
                binary=True,
            ).fetchall()
    assert sorted(held) == sorted(expected)


def test_a_lake_knows_the_snapshots_and_tables_of_its_database(exported: Exported) -> None:
    with open_lake(exported.where) as lake, connect(exported.url) as ppdb:
        rows = ppdb.execute(
            "SELECT snapshot_id, t_mjd_tai, encode(ppdb_history.snapshot_digest(snapshot_id), 'hex') "
            "FROM ppdb_history.snapshot ORDER BY 1"
        ).fetchall()
        assert lake.newest_snapshot == rows[-1][0]
        for number, time_, digest in rows[:: len(rows) // 5]:
            found = lake.snapshot(number)
            assert found is not None
            assert (found.snapshot.t_mjd_tai, found.digest) == (time_, digest)
            assert lake.snapshot_at(time_) == found
            assert lake.snapshot_at(time_ + 1e-9) == found
        assert lake.snapshot(rows[-1][0] + 1) is None
        assert lake.snapshot_at(rows[0][1] - 1) is None
        assert lake.clock_id == rows[0][2]
        columns = {one.name: one for one in lake.tables["Typed"].columns}
        assert columns[_column("real")].data_type == "real"
        assert lake.tables["DiaSource"].by_object
        assert not lake.tables["DiaObject"].by_object
        assert lake.tables["Named"].position is None


def test_a_query_on_a_lake_reads_no_other_file(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a\n1\n")
    with open_lake(exported.where) as lake, pytest.raises(Exception, match="Permission"):
        lake.connection.execute("SELECT * FROM read_csv(?)", [f"{tmp_path}/other.csv"])


def test_what_does_not_fit_into_memory_is_kept_out_of_the_lake(exported: Exported) -> None:
    before = sorted(exported.where.rglob("*"))
    with open_lake(exported.where) as lake:
        run = lake.connection.execute
        run("SET memory_limit = '100MB'")
        # Rows of 300 MB, sorted.
        query = (
            "SELECT count(*), max(n) FROM (SELECT row_number() OVER (ORDER BY text) n FROM "
            "(SELECT repeat('x', 100) || i AS text FROM range(3000000) t(i)))"
        )
        assert run(query).fetchall() == [(3_000_000, 3_000_000)]
    assert sorted(exported.where.rglob("*")) == before


def test_files_that_are_missing_cut_or_damaged_are_named(exported: Exported, tmp_path: Path) -> None:
    where = tmp_path / "lake"
    shutil.copytree(exported.where, where)
    assert check_lake(where, deep=True) == ()
    gone, cut, damaged = sorted((where / "main" / "DiaObject").rglob("Npix=*.parquet"))[:3]
    gone.unlink()
    written = cut.stat().st_size
    os.truncate(cut, 200)
    content = bytearray(damaged.read_bytes())
    # In a page of the first column.
    content[20] ^= 0xFF
    damaged.write_bytes(content)
    names = [str(one.relative_to(where)) for one in (gone, cut, damaged)]
    sizes = [(names[0], "is not there"), (names[1], f"has 200 bytes, and {written} were written")]
    assert [(one.file, one.problem) for one in check_lake(where)] == sizes
    deep = check_lake(where, deep=True)
    assert [one.file for one in deep] == names
    assert deep[2].problem.startswith("is damaged: ")
    told = CliRunner().invoke(main, ["ppdb", "lake", "check", str(where), "--deep"])
    assert (told.exit_code, "3 files are missing or damaged" in told.stderr) == (1, True)
    assert CliRunner().invoke(main, ["ppdb", "lake", "check", str(exported.where)]).exit_code == 0


def test_an_open_lake_cannot_be_written(exported: Exported) -> None:
    with open_lake(exported.where) as lake, pytest.raises(Exception, match="read-only"):
        lake.connection.execute('DELETE FROM lake."DiaObject"')


def test_a_lake_may_be_moved(exported: Exported, tmp_path: Path) -> None:
    shutil.copytree(exported.where, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere" / "main" / "DiaForcedSource")
    with open_lake(tmp_path / "elsewhere") as lake:
        assert lake.connection.execute('SELECT count(*) > 0 FROM lake."DiaSource"').fetchone() == (True,)
        with pytest.raises(Exception, match="DiaForcedSource"):
            lake.connection.execute('SELECT sum(ra) FROM lake."DiaForcedSource"').fetchone()


def test_an_export_that_is_killed_goes_on_where_it_was(exported: Exported, tmp_path: Path) -> None:
    where = tmp_path / "lake"
    # So many files that it is killed while it writes some.
    arguments = [sys.executable, "-m", "tests.ppdb_replay.lake_killing", "export", str(where), "7"]
    address = exported.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [*arguments], env={**os.environ, "TAPDB_URL": address}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout)
    assert killed["killed"] >= 3
    assert killed["half_done"] >= 3
    with open_lake(where) as lake, connect(exported.url) as ppdb:
        assert_same(lake, ppdb)
        for folder in lake.state.hats.values():
            assert is_valid_catalog(where / folder, strict=True)
    assert not (where / ".staging").exists()


def test_an_export_that_began_elsewhere_is_not_gone_on_with(
    exported: Exported, clone_database: Callable[[str], sa.URL], ppdb_template: str, tmp_path: Path
) -> None:
    where = tmp_path / "lake"
    other = clone_database(ppdb_template)
    with connect(other, autocommit=True) as ppdb:
        insert_object(ppdb, 1)
    with checked_connection(other) as connection, pytest.raises(RuntimeError):
        export_lake(connection, where, progress=_fail)
    with checked_connection(exported.url) as connection, pytest.raises(LakeHistoryError, match="has begun"):
        export_lake(connection, where)


def _fail(*_arguments: object) -> None:
    raise RuntimeError


def test_versions_that_are_missing_in_the_database_are_not_exported(
    clone_database: Callable[[str], sa.URL], ppdb_template: str, tmp_path: Path
) -> None:
    url = clone_database(ppdb_template)
    with connect(url, autocommit=True) as ppdb:
        for number in range(5):
            insert_object(ppdb, number)
        ppdb.execute('ALTER TABLE ppdb."DiaObject" DISABLE TRIGGER ALL')
        delete_object(ppdb, 3)
    with checked_connection(url) as connection, pytest.raises(LakeHistoryError, match="of 5 versions"):
        export_lake(connection, tmp_path / "lake")


def test_a_lake_is_not_written_over(exported: Exported) -> None:
    with checked_connection(exported.url) as connection, pytest.raises(LakeUnreadableError, match="refresh"):
        export_lake(connection, exported.where)


@pytest.mark.parametrize("where", ["/proc/lake", "{folder}/a-file/lake", "{folder}/broken"])
def test_what_cannot_be_written_or_read_is_one_message(
    exported: Exported, where: str, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    shutil.copytree(exported.where, tmp_path / "broken")
    for file in (tmp_path / "broken" / "catalogs").iterdir():
        file.write_bytes(b"no database" * 1000)
    url = exported.url.render_as_string(hide_password=False)
    place = where.format(folder=tmp_path)
    command = "compact" if place.endswith("broken") else "export"
    state = json.loads((tmp_path / "broken" / "lake.json").read_text())
    (tmp_path / "broken" / "lake.json").write_text(json.dumps({**state, "hats_snapshot_id": 1}))
    options = [] if command == "compact" else ["--url", url]
    result = CliRunner().invoke(main, ["ppdb", "lake", command, place, *options])
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 2
    (line,) = [one for one in result.stderr.splitlines() if one.startswith("Error: ")]
    assert place in line


def test_the_commands_say_what_would_be_written_and_what_is_there(exported: Exported) -> None:
    url = exported.url.render_as_string(hide_password=False)
    with checked_connection(exported.url) as connection:
        rows = plan_export(connection).rows
    dry = CliRunner().invoke(main, ["ppdb", "lake", "export", "nowhere", "--url", url, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "HATS catalogue, and a copy by diaObjectId" in dry.stdout
    assert f"{rows} versions" in dry.stderr
    assert not Path("nowhere").exists()
    status = CliRunner().invoke(
        main, ["ppdb", "lake", "status", str(exported.where), "--url", url, "--format", "json"]
    )
    assert status.exit_code == 0, status.output
    content = json.loads(status.stdout)
    assert content["snapshots_behind"] == 0
    assert content["is_of_this_database"]
    files = [one for folder in ("main", "catalogs") for one in (exported.where / folder).rglob("*")]
    assert content["files"] == sum(one.is_file() for one in files)
    missing = CliRunner().invoke(main, ["ppdb", "lake", "status", "nowhere", "--url", url])
    assert missing.exit_code == 2
    assert "tapdb ppdb lake export" in missing.stderr
