"""The benchmark of the observing log and CAOM2 runs, tiny: figures mean nothing, but all are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.observing_log import REACHES, measure_observing_log


@pytest.mark.soak
def test_every_figure_is_measured(tmp_path: Path) -> None:
    figures = measure_observing_log(tmp_path, visits=3, planes=200, repeats=1)
    assert {one.key for one in REACHES} <= figures.keys()
    assert figures["log_night_rows"] > 0
    assert figures["caom_planes"] >= 200
