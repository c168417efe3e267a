"""The benchmark of rewriting measures real queries over the real schema."""

from __future__ import annotations

from adql import parse, validate
from benchmarks.ppdb.rewriting import QUERIES, REWRITING_REACHES, felis_catalog, rewriting_figures
from ppdb_replay.rewriting.as_of import as_of


def test_every_query_that_is_measured_is_right_over_the_schema_of_felis() -> None:
    catalog = felis_catalog()
    assert len(catalog.tables) == 8
    assert len(catalog.tables[0].columns) > 80
    for text in QUERIES:
        validate(as_of(parse(text), 41, catalog), catalog.metadata)


def test_every_figure_is_there() -> None:
    figures = rewriting_figures(repeats=1)
    assert {reach.key for reach in REWRITING_REACHES} <= figures.keys()
    assert all(value > 0 for value in figures.values())
