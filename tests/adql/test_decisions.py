"""The points that the REC leaves open, or that services decide differently: one test for each decision."""

# Queries are the subject here; none of these texts is run.
# ruff: noqa: S608

from __future__ import annotations

import pytest

from adql import RUBIN, STRICT, AdqlError, AdqlSyntaxError, AdqlTypeError, Dialect, parse, tree
from adql.names import Identifier

LENIENT = Dialect(name="lenient", case_expressions=True, scalar_subqueries=True)


def expression(text: str, dialect: Dialect = STRICT) -> tree.Expression:
    """Return the tree of one value."""
    body = parse(f"SELECT {text} FROM t", dialect=dialect).body
    assert isinstance(body, tree.Select)
    (item,) = body.items
    assert isinstance(item, tree.Output)
    return item.expression


def test_one_semicolon_may_end_a_query_and_two_may_not() -> None:
    assert parse("SELECT x FROM t;") == parse("SELECT x FROM t")
    with pytest.raises(AdqlSyntaxError, match="one query"):
        parse("SELECT x FROM t;;")


def test_an_asterisk_may_stand_among_other_columns() -> None:
    body = parse("SELECT *, x FROM t").body
    assert isinstance(body, tree.Select)
    assert body.items[0] == tree.AllColumns()


def test_a_join_needs_no_condition() -> None:
    assert str(parse("SELECT x FROM t JOIN TAP_UPLOAD.u WHERE t.x = u.x")) == (
        "SELECT x FROM t JOIN TAP_UPLOAD.u WHERE t.x = u.x"
    )


def test_a_natural_join_takes_no_condition() -> None:
    with pytest.raises(AdqlSyntaxError, match="NATURAL JOIN takes no condition"):
        parse("SELECT x FROM t NATURAL JOIN u ON t.x = u.x")


def test_string_literals_that_follow_one_another_are_one_literal() -> None:
    assert expression("'a' 'b'\n'c'") == tree.String("abc")


def test_a_scalar_subquery_is_refused_unless_the_dialect_allows_it() -> None:
    text = "SELECT x FROM t WHERE x = (SELECT MAX(y) FROM u)"
    with pytest.raises(AdqlSyntaxError, match="a subquery cannot be a value"):
        parse(text)
    assert str(parse(text, dialect=LENIENT)) == text


def test_a_case_expression_is_refused_unless_the_dialect_allows_it() -> None:
    searched = "CASE WHEN x > 1 AND y = 2 THEN 'a' WHEN x = 3 THEN 'b' ELSE 'c' END"
    simple = "CASE x WHEN 1 THEN 'a' WHEN 2 THEN 'b' END"
    for text in (searched, simple):
        with pytest.raises(AdqlSyntaxError, match="CASE is not ADQL"):
            expression(text)
        assert str(expression(text, LENIENT)) == text


def test_limit_is_refused_with_the_advice_to_use_top() -> None:
    with pytest.raises(AdqlSyntaxError, match="LIMIT is not ADQL: use TOP"):
        parse("SELECT x FROM t LIMIT 5")


def test_is_true_is_refused() -> None:
    with pytest.raises(AdqlSyntaxError):
        parse("SELECT x FROM t WHERE x IS TRUE")


@pytest.mark.parametrize("word", ["distance", "area", "region", "point"])
def test_the_name_of_a_function_is_no_name_unless_the_dialect_is_rubins(word: str) -> None:
    text = f"SELECT x AS {word} FROM t ORDER BY {word}"
    with pytest.raises(AdqlSyntaxError, match=f'write "{word}" in double quotes'):
        parse(text)
    # It becomes a delimited identifier, so that what is printed is strict ADQL.
    assert str(parse(text, dialect=RUBIN)) == f'SELECT x AS "{word}" FROM t ORDER BY "{word}"'


def test_a_function_is_called_in_rubins_dialect_too() -> None:
    query = parse("SELECT DISTANCE(a, b) AS distance FROM t WHERE DISTANCE(a, b) < 1", dialect=RUBIN)
    assert str(query) == 'SELECT DISTANCE(a, b) AS "distance" FROM t WHERE DISTANCE(a, b) < 1'


@pytest.mark.parametrize("word", ["time", "public", "catalog", "position", "section", "size"])
def test_a_word_that_is_reserved_for_sql_is_no_name_in_any_dialect(word: str) -> None:
    for dialect in (STRICT, RUBIN):
        with pytest.raises(AdqlSyntaxError, match="double quotes"):
            parse(f"SELECT x AS {word} FROM t", dialect=dialect)


@pytest.mark.parametrize("text", ["CONTAINS(POINT(1, 2), CIRCLE(1, 2, 3))", "is_good(x)"])
def test_a_function_alone_is_no_condition(text: str) -> None:
    with pytest.raises(AdqlTypeError, match="= 1"):
        parse(f"SELECT x FROM t WHERE {text}")


def test_a_number_literal_can_be_concatenated_and_a_computed_number_only_in_parentheses() -> None:
    assert expression("name || 1") == tree.Concatenation((tree.Column(Identifier("name")), tree.Number("1")))
    assert str(expression("(x + 1) || 'a'")) == "(x + 1) || 'a'"
    for text in ("x + 1 || 'a'", "'a' || x * 2", "SIN(x) || 'a'"):
        with pytest.raises(AdqlSyntaxError, match="parentheses"):
            expression(text)


def test_null_is_computed_with_in_parentheses_alone() -> None:
    # <value_expression> is NULL too, and stands in parentheses for any value.
    for text in ("2 * (NULL)", "(NULL) + 1", "-(NULL)", "x - (NULL) / 2", "(NULL) || 'a'", "'a' || (NULL)"):
        assert str(expression(text)) == text
        assert str(expression(text.replace("(NULL)", "((NULL))"))) == text
    for text in ("2 * NULL", "NULL + 1", "-NULL", "x - NULL / 2", "NULL || 'a'", "'a' || NULL"):
        with pytest.raises(AdqlTypeError, match="NULL"):
            expression(text)


def test_a_string_literal_is_no_number() -> None:
    with pytest.raises(AdqlTypeError, match="a character string is not a number"):
        expression("'30' * 2")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT x FROM (WITH a AS (SELECT x FROM t) SELECT x FROM a) AS q",
        "WITH RECURSIVE a AS (SELECT x FROM t) SELECT x FROM a",
        "WITH a (x) AS (SELECT x FROM t) SELECT x FROM a",
    ],
)
def test_with_stands_before_the_main_query_without_recursion_and_column_names(text: str) -> None:
    with pytest.raises(AdqlSyntaxError):
        parse(text)


def test_is_null_asks_for_any_value_not_only_a_column() -> None:
    body = parse("SELECT x FROM t WHERE x + 1 IS NOT NULL").body
    assert isinstance(body, tree.Select)
    assert isinstance(body.where, tree.IsNull)


@pytest.mark.parametrize("name", ["_x", "__row", "é", "\N{CYRILLIC SMALL LETTER ER}a"])
def test_a_name_starts_with_a_latin_letter_or_stands_in_double_quotes(name: str) -> None:
    with pytest.raises(AdqlSyntaxError):
        parse(f"SELECT {name} FROM t")
    assert expression(f'"{name}"') == tree.Column(Identifier(name, quoted=True))


def test_comments_start_with_two_minus_signs_only() -> None:
    parse("SELECT x FROM t -- comment")
    for text in ("SELECT x FROM t /* comment */", "SELECT x FROM t # comment", "SELECT x FROM t // comment"):
        with pytest.raises(AdqlSyntaxError):
            parse(text)


def test_a_backslash_in_a_string_is_an_ordinary_character() -> None:
    assert expression(r"'\'") == tree.String("\\")
    assert expression(r"'\n\''x'") == tree.String(r"\n\'x")


@pytest.mark.parametrize("system", ["''", "'ICRS'", "'icrs GEOCENTER'", "'GALACTIC'", "NULL"])
def test_a_coordinate_system_is_read_whatever_it_says(system: str) -> None:
    # What it means is a matter of the service: `validate` refuses those that it cannot compare.
    assert isinstance(expression(f"POINT({system}, 1, 2)"), tree.Function)


def test_the_argument_of_rand_is_any_number() -> None:
    # <unsigned_decimal> in appendix A, but double in table 1 of section 2.3.
    expression("RAND(5)")
    expression("RAND(x)")


def test_a_user_defined_function_has_a_plain_name() -> None:
    expression("scisql_nanojanskyToAbMag(x)")
    for text in ("pg_catalog.pg_sleep(5)", '"pg_sleep"(5)'):
        with pytest.raises(AdqlSyntaxError):
            expression(text)


@pytest.mark.parametrize("text", ["1x", "1.5x", "0x1F", "1_000", "5AND", "1e"])
def test_a_number_ends_with_a_separator(text: str) -> None:
    # A parser that cuts here reads `TOP 5.5 x` as `TOP 5` and a column `.5 AS x`.
    with pytest.raises(AdqlSyntaxError, match="is not a number"):
        expression(text)


@pytest.mark.parametrize("target", ["TEXT", "INT", "FLOAT", "NUMERIC", "DATE", "regclass", "json", "oid"])
def test_cast_produces_the_types_of_the_rec_alone(target: str) -> None:
    with pytest.raises(AdqlSyntaxError, match="not a type that CAST can produce"):
        expression(f"CAST(x AS {target})")


def test_intersect_binds_tighter_than_union_and_except() -> None:
    query = parse("SELECT a FROM t UNION SELECT b FROM u INTERSECT SELECT c FROM v EXCEPT SELECT d FROM w")
    assert isinstance(query.body, tree.SetOperation)
    assert [step.operator for step in query.body.steps] == ["UNION", "EXCEPT"]
    middle = query.body.steps[0].query
    assert isinstance(middle, tree.SetOperation)
    assert [step.operator for step in middle.steps] == ["INTERSECT"]


def test_a_set_operator_without_all_is_not_called_distinct() -> None:
    with pytest.raises(AdqlSyntaxError):
        parse("SELECT x FROM t UNION DISTINCT SELECT y FROM u")


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    body = parse("SELECT x FROM t WHERE NOT a = 1 AND b = 2 OR c = 3").body
    assert isinstance(body, tree.Select)
    assert isinstance(body.where, tree.Or)
    (both, _) = body.where.operands
    assert isinstance(both, tree.And)
    assert isinstance(both.operands[0], tree.Not)


def test_polygon_takes_columns_as_points_where_they_cannot_be_pairs_of_numbers() -> None:
    for text in ("POLYGON(a, b, c)", "POLYGON(a, b, c, d, e)", "POLYGON(a, b, c, d, e, f)"):
        assert isinstance(expression(text), tree.Function)
    with pytest.raises(AdqlError):
        expression("POLYGON(1, 2, 3, 4, 5)")


def test_a_function_of_the_language_is_upper_case_in_the_tree_and_a_user_defined_one_is_as_written() -> None:
    assert str(expression("abs(Gavo_Match(x))")) == "ABS(Gavo_Match(x))"


def test_a_join_inside_of_a_join_stands_in_parentheses_and_has_no_alias() -> None:
    for text in (
        "SELECT x FROM t JOIN u JOIN v ON u.y = v.y ON t.x = u.x",
        "SELECT q.x FROM (t JOIN u USING (x)) AS q",
    ):
        with pytest.raises(AdqlSyntaxError):
            parse(text)
    parse("SELECT x FROM t JOIN (u JOIN v ON u.y = v.y) ON t.x = u.x")


def test_parentheses_around_a_value_are_forgotten() -> None:
    assert str(expression("ROUND(x, (2))")) == "ROUND(x, 2)"
    assert str(expression("POINT(('ICRS'), ((1)), 2)")) == "POINT('ICRS', 1, 2)"
    assert str(expression("((x))")) == "x"
