"""The check against published metadata: names resolved, types known, everything else refused."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import pytest
from hypothesis import given, settings

from adql import (
    AdqlError,
    AdqlLimitError,
    AdqlTypeError,
    Dialect,
    Limits,
    Metadata,
    Query,
    metadata_from_rows,
    parse,
    tree,
    validate,
)
from adql.names import Identifier
from tests.adql.published_tables import METADATA
from tests.adql.queries import BadQuery, bad_queries
from tests.adql.trees import queries


def checked(text: str) -> Query:
    """Return a query that has been checked against the small service."""
    return validate(parse(text), METADATA)


@pytest.mark.parametrize("bad", bad_queries("semantic_errors.txt"), ids=lambda bad: bad.text[:80])
def test_what_is_not_published_or_does_not_fit_is_refused_with_a_reason(bad: BadQuery) -> None:
    query = parse(bad.text)
    with pytest.raises(AdqlError) as caught:
        validate(query, METADATA)
    assert type(caught.value) is bad.error
    assert bad.fragment in f"{caught.value.problem}: {caught.value.hint}"
    assert caught.value.column is not None


def test_names_are_resolved_to_what_is_published() -> None:
    assert str(checked("SELECT OBJECTID, o.COORD_RA FROM CAT.object AS o")) == (
        "SELECT o.objectId, o.coord_ra FROM cat.Object AS o"
    )
    assert str(checked("SELECT obs_id FROM obscore")) == "SELECT ivoa.ObsCore.obs_id FROM ivoa.ObsCore"


def test_all_columns_are_written_out_and_hidden_ones_are_not_among_them() -> None:
    assert str(checked("SELECT * FROM ivoa.ObsCore AS o")) == (
        "SELECT o.obs_id, o.s_ra, o.s_dec, o.s_region, o.t_min FROM ivoa.ObsCore AS o"
    )
    assert str(checked("SELECT b.*, a.band FROM cat.Object AS a, other.Object AS b")) == (
        "SELECT b.objectId, b.note, a.band FROM cat.Object AS a, other.Object AS b"
    )


def test_a_reserved_word_is_published_and_written_in_double_quotes() -> None:
    assert str(checked('SELECT "size" FROM cat.Object AS o')) == 'SELECT o."size" FROM cat.Object AS o'


def test_double_quotes_choose_between_names_that_differ_in_case() -> None:
    (column,) = checked('SELECT "Kind" FROM spelling.Kinds').columns
    assert column.name == "Kind"


def test_a_common_table_expression_shadows_a_published_table() -> None:
    query = checked("WITH ObsCore AS (SELECT band FROM cat.Object) SELECT * FROM obscore")
    assert [column.name for column in query.columns] == ["band"]
    # With its schema it is the published table again.
    query = checked("WITH ObsCore AS (SELECT band FROM cat.Object) SELECT * FROM ivoa.obscore")
    assert query.columns[0].name == "obs_id"


def test_a_subquery_sees_the_columns_of_the_query_around_it() -> None:
    text = (
        "SELECT band FROM cat.Object AS o "
        "WHERE EXISTS (SELECT 1 FROM cat.Source AS s WHERE s.objectId = o.objectId)"
    )
    assert str(checked(text)).endswith("WHERE s.objectId = o.objectId)")
    inner = "SELECT o.band FROM cat.Object AS o WHERE o.objectId IN (SELECT objectId FROM cat.Source AS o)"
    assert "(SELECT o.objectId FROM cat.Source AS o)" in str(checked(inner))


def test_using_becomes_a_condition_and_its_columns_one_column() -> None:
    query = checked("SELECT objectId, note FROM cat.Source AS s JOIN other.Object AS o USING (objectId)")
    assert str(query) == (
        "SELECT s.objectId, o.note FROM cat.Source AS s JOIN other.Object AS o ON s.objectId = o.objectId"
    )


def test_all_columns_of_a_natural_join_are_the_merged_ones_first() -> None:
    query = checked("SELECT * FROM other.Object NATURAL JOIN cat.Source")
    assert [column.name for column in query.columns] == [
        *("objectId", "note", "sourceId", "ra", "dec", "psfFlux", "band")
    ]


def test_the_merged_column_of_a_right_join_is_the_right_one() -> None:
    query = checked("SELECT objectId FROM cat.Source AS s RIGHT JOIN other.Object AS o USING (objectId)")
    assert str(query).startswith("SELECT o.objectId FROM")


def test_order_by_a_name_or_number_means_the_output_column() -> None:
    query = checked("SELECT coord_ra AS x, coord_dec AS coord_ra FROM cat.Object ORDER BY coord_ra, 1 DESC")
    assert str(query).endswith("ORDER BY 2, 1 DESC")


def test_order_by_an_expression_may_use_an_output_name() -> None:
    query = checked("SELECT psfFlux / psfFluxErr AS snr FROM cat.Object AS o ORDER BY ABS(snr) DESC")
    assert str(query).endswith("ORDER BY ABS(o.psfFlux / o.psfFluxErr) DESC")


def test_group_by_may_use_an_output_name_unless_a_column_is_called_so() -> None:
    query = checked("SELECT ROUND(coord_ra, 1) AS cell, COUNT(*) FROM cat.Object AS o GROUP BY cell")
    assert str(query).endswith("GROUP BY ROUND(o.coord_ra, 1)")
    with pytest.raises(AdqlError, match="must stand in GROUP BY"):
        checked("SELECT ROUND(coord_ra, 1) AS band FROM cat.Object GROUP BY band")


def test_a_grouped_value_may_be_part_of_what_is_shown() -> None:
    checked(
        "SELECT 10 * ROUND(coord_ra, 1) + COUNT(*), band FROM cat.Object GROUP BY ROUND(coord_ra, 1), band"
    )


def test_a_term_that_is_repeated_is_checked_once_and_is_the_same_node_in_all_its_places() -> None:
    query = checked(
        "SELECT coord_ra + 1 AS a, COUNT(*) FROM cat.Object GROUP BY a, band ORDER BY coord_ra + 1, COUNT(*)"
    )
    body = query.body
    assert isinstance(body, tree.Select)
    first, second = [item.expression for item in body.items if isinstance(item, tree.Output)]
    assert body.group_by[0] is first
    assert [term.expression for term in query.order_by] == [first, second]
    assert all(one.expression is other for one, other in zip(query.order_by, (first, second), strict=True))


def test_a_name_in_a_repeated_term_is_a_column_before_it_is_an_output() -> None:
    query = checked("SELECT coord_dec AS coord_ra, coord_ra + 1 FROM cat.Object AS o ORDER BY coord_ra + 1")
    assert str(query).endswith("ORDER BY o.coord_ra + 1")
    inner = checked(
        "SELECT q.psfFlux + 1 AS x FROM (SELECT psfFlux FROM cat.Source) AS q ORDER BY x + 1, psfFlux + 1"
    )
    assert str(inner).endswith("ORDER BY (q.psfFlux + 1) + 1, q.psfFlux + 1")


@pytest.mark.parametrize(
    "place", ["SELECT {0}, {0} FROM t", "SELECT {0} FROM t ORDER BY {0}", "SELECT 1 FROM t GROUP BY {0}, {0}"]
)
def test_a_subquery_counts_against_the_limits_each_time_that_it_is_repeated(place: str) -> None:
    dialect = Dialect(name="with subqueries", scalar_subqueries=True)
    text = place.format("(SELECT MAX(psfFlux) FROM cat.Source)").replace(" t", " cat.Object")
    validate(parse(text, dialect=dialect), METADATA, limits=Limits(max_tables=3))
    with pytest.raises(AdqlLimitError, match="more than 2 tables"):
        validate(parse(text, dialect=dialect), METADATA, limits=Limits(max_tables=2))


def test_the_checked_query_means_the_same_when_it_is_checked_again() -> None:
    for text in (
        "SELECT * FROM cat.Source NATURAL JOIN other.Object",
        "SELECT DISTANCE(coord_ra, coord_dec, 1, 2) AS d FROM cat.Object WHERE band = 'r' ORDER BY d",
        "WITH a AS (SELECT REGION('CIRCLE ICRS 1 2 3') AS c FROM cat.Object) SELECT * FROM a",
        "SELECT name FROM cat.Object WHERE objectId = '12' AND epoch > '2024-01-01' AND detect_isPrimary = 1",
    ):
        once = checked(text)
        assert validate(once, METADATA) == once
        assert validate(parse(str(once)), METADATA) == once


def test_columns_without_a_name_get_one() -> None:
    query = checked("SELECT COUNT(*), 1 + 1, 'a', MAX(objectId), coord_ra FROM cat.Object GROUP BY coord_ra")
    assert [column.name for column in query.columns] == ["count", "column_2", "column_3", "max", "coord_ra"]


def test_columns_of_the_same_name_have_different_names_in_the_sql() -> None:
    query = checked(
        "SELECT a.objectId, b.objectId, 1 AS objectId_2, 2 AS objectId FROM cat.Object AS a, cat.Source AS b"
    )
    assert [column.name for column in query.columns] == ["objectId", "objectId", "objectId_2", "objectId"]
    assert len({column.sql_name for column in query.columns}) == 4


@pytest.mark.parametrize(
    "literal",
    ["'2024-01-01'", "'2024-01-01T12:30:00'", "'2024-01-01T12:30:00.123Z'", "'2024-01-01 12:30:00'"],
)
def test_a_literal_in_dali_form_can_be_compared_with_a_timestamp(literal: str) -> None:
    checked(
        f"SELECT objectId FROM cat.Object WHERE epoch >= {literal} AND epoch BETWEEN {literal} AND {literal}"
    )


def test_a_literal_that_is_a_number_can_be_compared_with_a_number() -> None:
    assert str(checked("SELECT o.objectId FROM cat.Object AS o WHERE o.objectId IN ('1', '-2')")).endswith(
        "IN (1, -2)"
    )


def test_a_literal_with_thousands_of_digits_is_no_number() -> None:
    with pytest.raises(AdqlError, match="cannot be compared"):
        checked(f"SELECT objectId FROM cat.Object WHERE objectId = '{'0' * 5000}1'")


@pytest.mark.parametrize("literal", ["1", "0", "'true'", "'T'", "'false'"])
def test_a_boolean_column_can_be_compared_with_one_zero_and_words_for_them(literal: str) -> None:
    checked(f"SELECT objectId FROM cat.Object WHERE detect_isPrimary = {literal}")


@pytest.mark.parametrize(
    "system",
    ["", "ICRS", "icrs", "FK5", "J2000", "ICRS GEOCENTER", "J2000 BARYCENTER SPHERICAL2", "TOPOCENTER"],
)
def test_frames_that_are_icrs_to_within_the_precision_are_accepted(system: str) -> None:
    checked(f"SELECT POINT('{system}', 1, 2) FROM cat.Object")


def test_the_longitude_may_be_negative_as_it_only_wraps_around() -> None:
    checked("SELECT CIRCLE(-3.0, 4.0, 10.0) FROM cat.Object")


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("SELECT 1 FROM cat.Object AS a, cat.Object AS b, cat.Object AS c", Limits(max_tables=2)),
        ("SELECT * FROM cat.Object", Limits(max_columns=10)),
        ("SELECT * FROM cat.Object", Limits(max_terms=10)),
        ("SELECT 1 FROM cat.Object NATURAL JOIN cat.Source", Limits(max_columns=5)),
        ("SELECT 1 FROM (SELECT * FROM cat.Object) AS q", Limits(max_columns=15)),
    ],
)
def test_limits_hold_for_what_a_short_query_expands_to(text: str, limits: Limits) -> None:
    checked(text)
    with pytest.raises(AdqlLimitError):
        validate(parse(text), METADATA, limits=limits)


SWAPPED = (
    "POINT({}, {})",
    "POINT('ICRS', {}, {})",
    "CIRCLE({}, {}, 1)",
    "BOX({}, {}, 1, 1)",
    "DISTANCE({}, {}, 1, 2)",
    "DISTANCE(1, 2, {}, {})",
    "POLYGON(1, 2, 3, 4, {}, {})",
)


def _sky(longitude: tuple[str, str | None], latitude: tuple[str, str | None]) -> Metadata:
    """Return a table with two columns, each with its UCD."""
    columns = [
        {"table_name": "s.sky", "column_name": name, "datatype": "double", "ucd": ucd}
        for name, ucd in (longitude, latitude)
    ]
    return metadata_from_rows([{"table_name": "s.sky"}], columns)


@pytest.mark.parametrize("form", SWAPPED)
@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [
        (("ra", "pos.eq.ra;meta.main"), ("dec", "pos.eq.dec;meta.main")),
        (("glon", "pos.galactic.lon"), ("glat", "pos.galactic.lat")),
        (("x", "pos.eq.ra"), ("y", "pos.eq.dec")),
        (("x", "pos.eq.ra"), ("dec_y", "pos.eq.dec")),
    ],
)
def test_columns_that_stand_the_wrong_way_round_are_refused_and_the_right_way_taken(
    form: str, longitude: tuple[str, str | None], latitude: tuple[str, str | None]
) -> None:
    metadata = _sky(longitude, latitude)
    one, other = longitude[0], latitude[0]
    validate(parse(f"SELECT {form.format(one, other)} FROM s.sky"), metadata)
    with pytest.raises(AdqlTypeError, match=rf"write s\.sky\.{one}, s\.sky\.{other};"):
        validate(parse(f"SELECT {form.format(other, one)} FROM s.sky"), metadata)
    # A computed value has no UCD.
    validate(parse(f"SELECT {form.format(other + ' + 0', one)} FROM s.sky"), metadata)


@pytest.mark.parametrize("form", SWAPPED)
@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [
        # The UCDs are wrong, as the names say.
        (("ra", "pos.eq.dec"), ("dec", "pos.eq.ra")),
        (("coord_ra", "pos.eq.dec"), ("coord_dec", "pos.eq.ra")),
        (("RAJ2000", "pos.eq.dec"), ("DEJ2000", "pos.eq.ra")),
        (("l", "pos.galactic.lat"), ("b", "pos.galactic.lon")),
        # One UCD alone says nothing.
        (("x", "pos.eq.dec"), ("y", None)),
        (("x", None), ("y", "pos.eq.ra")),
        (("x", "pos.eq.dec"), ("y", "pos.eq.dec")),
        (("x", "stat.error;pos.eq.dec"), ("y", "stat.error;pos.eq.ra")),
        (("x", "pos.cartesian.x"), ("y", "pos.cartesian.y")),
    ],
)
def test_ucds_that_prove_nothing_refuse_no_query(
    form: str, longitude: tuple[str, str | None], latitude: tuple[str, str | None]
) -> None:
    query = f"SELECT {form.format(longitude[0], latitude[0])} FROM s.sky"
    validate(parse(query), _sky(longitude, latitude))


def test_a_tree_that_was_not_parsed_is_checked_too_and_its_errors_have_no_place() -> None:
    made = tree.Query(
        tree.Select(
            (tree.Output(tree.Column(Identifier("nosuch"))),),
            (tree.Table((Identifier("cat"), Identifier("Source"))),),
        )
    )
    with pytest.raises(AdqlError, match="there is no column nosuch") as caught:
        validate(made, METADATA)
    assert caught.value.line is None


@given(queries())
@settings(max_examples=100)
def test_any_tree_is_checked_or_refused(query: Query) -> None:
    for metadata in (METADATA, Metadata(())):
        try:
            validate(query, metadata)
        except AdqlError:
            continue
