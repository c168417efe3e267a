"""The benchmark of the PPDB runs, tiny: its figures mean nothing, but all of them are there."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ppdb.benchmark import run
from benchmarks.ppdb.reach import REACHES
from benchmarks.ppdb.rewriting import REWRITING_REACHES
from benchmarks.ppdb.stream import Stream


def test_a_tiny_run_has_every_figure(tmp_path: Path) -> None:
    stream = Stream(objects=60, nights=20)
    figures = run(stream, fast=2, slow=1, chunks=2, apdb_objects=60, plans=tmp_path / "plans")
    wanted = {reach.key for reach in REACHES} - {reach.key for reach in REWRITING_REACHES}
    assert wanted <= figures.keys()
    assert figures["current_ratio"] == max(
        value for key, value in figures.items() if key.endswith("_current_ratio")
    )
    assert {"current_ratio_median", "ingest_chunk_ratio", "replicate_ratio", "verify_s"} <= figures.keys()
    assert {f"{key}_ratio{age}" for key in ("by_id", "object_scan") for age in ("_99", "_50", "_10")} <= set(
        figures
    )
    assert figures["DiaObject_latest_rows"] == 300
    assert figures["DiaObject_versioned_rows"] == 300 + 240
    assert figures["DiaSource_latest_rows"] == 1500
    assert figures["DiaSource_versioned_rows"] > 1500
    assert (
        (tmp_path / "plans" / "cone-as_of.txt").read_text().startswith(("Append", "Index", "Seq", "Bitmap"))
    )
