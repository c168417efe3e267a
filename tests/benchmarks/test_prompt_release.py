"""The benchmark of what is released runs, and its figures are those that it is to reach."""

from __future__ import annotations

from benchmarks.prompt_release import REACHES, measure_release
from examples.lsstcam import Pair


def test_cones_of_what_is_released_are_timed_beside_those_of_all_rows(view_pair: Pair) -> None:
    figures = measure_release(view_pair.url, repeats=1, view="ivoa.obscore")
    assert {one.key for one in REACHES} <= figures.keys()
    assert all(value > 0 for value in figures.values())
