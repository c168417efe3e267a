"""The benchmark of programs over Butler data runs, tiny: figures mean nothing, but all are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tasks import REACHES, measure_tasks


@pytest.mark.soak
def test_every_figure_is_measured(tmp_path: Path) -> None:
    figures = measure_tasks(tmp_path, quanta=20, edges=3000, rounds=1)
    assert {one.key for one in REACHES} <= figures.keys()
    assert figures["ancestors_found"] > 20
    assert figures["provenance_edges"] == 20 * 5
