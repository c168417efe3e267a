"""A view as a file: what is in it is what the view has, at any size with the same memory."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from astropy.io import votable
from click.testing import CliRunner
from lsst.daf.butler.registry.obscore import RegionTypeWarning
from lsst.dax.obscore import ExporterConfig, ObscoreExporter

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.layout import FIRST_RUN, SECOND_RUN
from obscore_view.columns import find_column
from obscore_view.errors import ViewMissingError
from obscore_view.export import Form, export_view
from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tapdb.sources import execute_text
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.view_fixtures import VIEW_OVER_LIVE

VIEW = "ivoa.obscore"


def exported(connection: sa.Connection, view: str = VIEW, **options: Any) -> bytes:
    file = io.BytesIO()
    export_view(connection, view, file, **options)
    return file.getvalue()


def parquet(connection: sa.Connection, view: str = VIEW) -> pa.Table:
    return pq.read_table(io.BytesIO(exported(connection, view)))


def view_rows(connection: sa.Connection, names: list[str], view: str = VIEW) -> list[dict[str, Any]]:
    query: sa.Select[*tuple[Any, ...]] = (
        sa.select(*map(sa.column, names)).select_from(sa.text(view)).order_by(sa.text("registry_dataset_id"))
    )
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [{**row, "registry_dataset_id": str(row["registry_dataset_id"])} for row in rows]


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["registry_dataset_id"]))


def test_a_parquet_file_has_the_rows_types_and_metadata_of_the_view(
    view_connection_readonly: sa.Connection,
) -> None:
    table = parquet(view_connection_readonly)
    found = by_id(table.to_pylist())
    assert len(found) > 100
    assert found == view_rows(view_connection_readonly, table.column_names)
    query = "SELECT * FROM ivoa.obscore LIMIT 0"
    columns = list(view_connection_readonly.exec_driver_sql(query).keys())
    assert table.column_names == [name for name in columns if not name.startswith("pgs_")]
    kinds = {str(table.schema.field(name).type) for name in ("s_ra", "t_min", "em_max")}
    assert kinds == {"double"}
    assert str(table.schema.field("lsst_visit").type) == "int64"
    assert str(table.schema.field("lsst_has_detector").type) == "bool"
    for name in table.column_names:
        metadata = {key.decode(): value.decode() for key, value in table.schema.field(name).metadata.items()}
        standard = find_column(name)
        assert metadata["description"]
        if standard is not None:
            expected = {"unit": standard.unit, "ucd": standard.ucd, "utype": standard.utype}
            assert {key: metadata.get(key) for key in expected} == expected


def test_texts_that_csv_finds_hard_come_through_in_every_format(
    view_connection_readonly: sa.Connection,
) -> None:
    connection = view_connection_readonly
    execute_text(
        connection,
        r"""
        CREATE VIEW public.hard AS SELECT number, words, amount, truth, moment::timestamp(3) FROM (VALUES
          (1::bigint, E'a "quoted",\ntext\r\n\t<&> é'::text, 'NaN'::float8, true,
           '2026-01-02 03:04:05.678'::timestamp),
          (2, '', '-Infinity', false, NULL),
          (3, NULL, NULL, NULL, '0001-01-01'),
          (9223372036854775807, 'NULL', 0.1, NULL, NULL)
        ) v(number, words, amount, truth, moment)
        """,
    )
    table = pq.read_table(io.BytesIO(exported(connection, "public.hard")))
    assert table["words"].to_pylist() == ['a "quoted",\ntext\r\n\t<&> é', "", None, "NULL"]
    assert table["number"].to_pylist()[-1] == 2**63 - 1
    assert [str(one) for one in table["amount"].to_pylist()] == ["nan", "-inf", "None", "0.1"]
    assert table["truth"].to_pylist() == [True, False, None, None]
    assert str(table["moment"].to_pylist()[0]) == "2026-01-02 03:04:05.678000"
    document = votable.parse(io.BytesIO(exported(connection, "public.hard", form="votable")))
    array = document.get_first_table().array
    assert str(array["public_hard_words"][0]) == 'a "quoted",\ntext\r\n\t<&> é'
    assert list(array["public_hard_truth"])[:2] == [True, False]
    assert np.isneginf(array["public_hard_amount"][1])
    assert str(array["public_hard_moment"][0]) == "2026-01-02T03:04:05.678"


def test_a_csv_file_is_what_postgresql_writes(view_connection_readonly: sa.Connection) -> None:
    text = exported(view_connection_readonly, form="csv").decode()
    assert text.startswith("dataproduct_type,calib_level,")
    assert text.count("\n") == len(parquet(view_connection_readonly)) + 1


def test_a_votable_has_the_rows_of_the_view_and_no_warnings(view_connection_readonly: sa.Connection) -> None:
    content = exported(view_connection_readonly, form="votable")
    document = votable.parse(io.BytesIO(content), verify="exception")
    table = document.get_first_table()
    rows = parquet(view_connection_readonly).to_pylist()
    assert len(table.array) == len(rows)
    expected = {row["registry_dataset_id"]: row for row in rows}
    for row in table.to_table(use_names_over_ids=True):
        wanted = expected[str(row["registry_dataset_id"])]
        assert str(row["obs_id"]) == wanted["obs_id"]
        for name in ("s_ra", "t_min", "access_estsize"):
            found = None if np.ma.is_masked(row[name]) or np.isnan(row[name]) else row[name]
            assert found == wanted[name]
    fields = {field.name: field for field in table.fields}
    assert fields["s_ra"].utype == "obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1"
    assert str(fields["s_ra"].unit) == "deg"
    assert fields["t_min"].ref == "utc"


def test_stilts_finds_no_fault_in_a_votable_and_one_in_a_broken_one(
    view_connection_readonly: sa.Connection, stilts: Stilts, tmp_path: Path
) -> None:
    path = tmp_path / "obscore.vot"
    content = exported(view_connection_readonly, form="votable")
    path.write_bytes(content)
    # Extended type uuid is of DALI 1.2, which STILTS does not know; releases word it differently.
    unknown = 'xtype value "uuid"'
    assert [line for line in stilts.votable_errors(path) if unknown not in line] == []
    assert content.count(b'ref="utc"') > 1
    path.write_bytes(content.replace(b'ref="utc"', b'ref="nothing"'))
    assert any("'nothing'" in line for line in stilts.votable_errors(path))


@pytest.mark.parametrize("form", ["parquet", "csv", "votable"])
def test_a_view_without_rows_gives_a_file_with_its_columns(
    view_connection_readonly: sa.Connection, form: Form
) -> None:
    connection = view_connection_readonly
    execute_text(connection, "CREATE VIEW public.nothing AS SELECT * FROM ivoa.obscore WHERE false")
    content = exported(connection, "public.nothing", form=form)
    if form == "parquet":
        table = pq.read_table(io.BytesIO(content))
        assert (table.num_rows, "s_ra" in table.column_names) == (0, True)
    else:
        assert b"s_ra" in content
        assert b"visit_image" not in content


def test_who_may_only_read_can_export_and_a_view_that_is_not_there_is_an_error(
    view_connection_readonly: sa.Connection,
) -> None:
    execute_text(view_connection_readonly, "SET LOCAL ROLE tapdb_reader")
    assert len(parquet(view_connection_readonly)) > 100
    there = r"has embargo\.obscore, ivoa\.obscore, untouched\.obscore\nName one"
    with pytest.raises(ViewMissingError, match=rf"no ObsCore view ivoa\.nothing; this database {there}"):
        exported(view_connection_readonly, "ivoa.nothing")


def test_the_file_equals_that_of_dax_obscore_where_both_have_a_row(
    view_pair_readonly: Pair, view_connection_readonly: sa.Connection, tmp_path: Path
) -> None:
    config = obscore_config()
    for key in ("collection_type", "namespace", "version", "table_name", "indices", "spatial_plugins"):
        del config[key]
    config["dataset_types"] = {"visit_image": config["dataset_types"]["visit_image"]}
    config["collections"] = [FIRST_RUN, SECOND_RUN]
    path = tmp_path / "dax.parquet"
    with view_pair_readonly.live.butler() as butler, warnings.catch_warnings():
        # The exporter warns of every region that is no polygon; they are there on purpose.
        warnings.simplefilter("ignore", RegionTypeWarning)
        ObscoreExporter(butler, ExporterConfig.model_validate(config)).to_parquet(str(path))
    theirs = pq.read_table(path)
    ours = parquet(view_connection_readonly, VIEW_OVER_LIVE)
    shared = [name for name in theirs.column_names if name in ours.column_names]
    assert len(shared) > 30
    mine = {row["obs_publisher_did"]: row for row in ours.select(shared).to_pylist()}
    rows = theirs.select(shared).to_pylist()
    assert len(rows) > 20
    for row in rows:
        found = mine[row["obs_publisher_did"]]
        for name in shared:
            if isinstance(row[name], float):
                assert found[name] == pytest.approx(row[name], rel=1e-12, abs=1e-9), name
            else:
                assert found[name] == row[name], name


def test_memory_does_not_grow_with_the_view(view_pair: Pair, tmp_path: Path) -> None:
    program = """
import resource, sys
import sqlalchemy as sa
from obscore_view.export import export_view
from tapdb.postgres.engine import create_engine
with create_engine().connect() as connection, open(sys.argv[2], "wb") as file:
    rows = export_view(connection, sys.argv[1], file, form=sys.argv[3])
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    script = tmp_path / "run.py"
    script.write_text(program)
    peaks: dict[tuple[str, int], int] = {}
    engine = create_engine(view_pair.url)
    sizes = (60, 600)
    with engine.begin() as connection:
        size = connection.scalar(sa.text("SELECT count(*) FROM ivoa.obscore")) or 0
        for copies in sizes:
            execute_text(
                connection,
                """
                CREATE VIEW public.copies_{n} AS
                SELECT o.* FROM ivoa.obscore o, generate_series(1, {n})
                """.replace("{n}", str(copies)),
            )
    engine.dispose()
    for form in ("parquet", "votable"):
        for copies in sizes:
            done = subprocess.run(
                [sys.executable, str(script), f"public.copies_{copies}", str(tmp_path / "file"), form],
                env=client_environment(view_pair.url),
                capture_output=True,
                text=True,
                check=True,
            )
            rows, peak = map(int, done.stdout.split())
            assert rows == copies * size
            peaks[form, copies] = peak
        # Ten times the rows, about 120,000: their text alone is 84 MB.
        assert peaks[form, sizes[1]] - peaks[form, sizes[0]] < 45, peaks


def test_a_file_has_its_name_only_once_it_is_whole(view_pair_readonly: Pair, tmp_path: Path) -> None:
    url = view_pair_readonly.url.render_as_string(hide_password=False)
    path = tmp_path / "obscore.parquet"
    arguments = ["obscore", "export", "--url", url, "-o", str(path)]
    done = CliRunner().invoke(main, [*arguments, "--view", VIEW])
    assert done.exit_code == 0, done.output
    assert pq.read_table(path).num_rows > 100
    assert f"rows of {VIEW}" in done.stderr
    path.unlink()
    refused = CliRunner().invoke(main, [*arguments, "--view", "plain.nothing"])
    assert refused.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    nowhere = CliRunner().invoke(main, [*arguments[:-1], str(tmp_path / "no" / "x.csv"), "--view", VIEW])
    assert nowhere.exit_code == 1
    assert "No such file or directory" in nowhere.stderr
    printed = CliRunner().invoke(
        main, [*arguments[:-1], "-", "--format", "csv", "--view", VIEW, "--compression", "zstd"]
    )
    assert printed.stdout.startswith("dataproduct_type,")
