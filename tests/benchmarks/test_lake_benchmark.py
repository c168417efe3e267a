"""The benchmark of the history in files runs, tiny: its figures mean nothing, but all of them are there."""

from __future__ import annotations

import pytest

from benchmarks.lake import REACHES, run


@pytest.mark.soak
def test_a_tiny_run_has_every_figure_and_no_digest_differs() -> None:
    figures = run(100, fast=1, slow=1, nights=1, night_sources=20, loaded=10)
    assert {reach.key for reach in REACHES} <= figures.keys()
    assert {"scan_band_speedup", "export_ratio", "refresh_s", "refresh_ratio"} <= figures.keys()
    assert figures["digests_different"] == 0
    assert figures["export_rows"] == 2500 + 9 * 2 + 500 + 400
