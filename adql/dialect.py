"""What a service tolerates beyond the letter of ADQL 2.1."""

from dataclasses import dataclass

from adql.metadata import UserFunction
from adql.types import ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Options of the grammar, and the user-defined functions that a service offers.

    Parameters
    ----------
    name
        Name on the command line.
    function_words_as_names
        A word that is reserved only as the name of a function (``distance``, ``area``) is a name where no
        parenthesis follows: Rubin's tutorials write ``DISTANCE(...) AS distance``. It stands in the tree as
        a delimited identifier in lower case, so that the printed query is strict ADQL.
    case_expressions
        ``CASE WHEN ... THEN ... ELSE ... END``, which DaCHS and CADC accept.
    scalar_subqueries
        A subquery with one column as a value, which CADC accepts.
    functions
        User-defined functions that come with the dialect.
    """

    name: str
    function_words_as_names: bool = False
    case_expressions: bool = False
    scalar_subqueries: bool = False
    functions: tuple[UserFunction, ...] = ()


# Qserv's scisql functions, which Rubin's tutorials use. A flux that is not positive has no magnitude: NULL,
# not an error.
_SCISQL = (
    UserFunction(
        "scisql_nanojanskyToAbMag",
        ("numeric",),
        ValueType("numeric", "double", unit="mag"),
        ("(31.4 - 2.5 * log(CAST(NULLIF(GREATEST(", 0, ", 0), 0) AS double precision)))"),
        is_pure=True,
        elsewhere={
            "duckdb": (
                "CAST('31.4' AS DOUBLE) - CAST('2.5' AS DOUBLE) * LOG10(CAST(NULLIF(GREATEST(",
                0,
                ", 0), 0) AS DOUBLE))",
            )
        },
    ),
    UserFunction(
        "scisql_nanojanskyToAbMagSigma",
        ("numeric", "numeric"),
        ValueType("numeric", "double", unit="mag"),
        ("(2.5 / ln(10.0) * ", 1, " / CAST(NULLIF(GREATEST(", 0, ", 0), 0) AS double precision))"),
        is_pure=True,
        # PostgreSQL divides decimal numbers first.
        elsewhere={
            "duckdb": (
                "CAST('1.08573620475812956159' AS DOUBLE) * CAST(",
                1,
                " AS DOUBLE) / CAST(NULLIF(GREATEST(",
                0,
                ", 0), 0) AS DOUBLE)",
            )
        },
    ),
)

STRICT = Dialect(name="strict")
RUBIN = Dialect(name="rubin", function_words_as_names=True, functions=_SCISQL)

_DIALECTS = {dialect.name: dialect for dialect in (STRICT, RUBIN)}


def dialect_named(name: str) -> Dialect:
    """Return one of the dialects that come with the package, ``strict`` or ``rubin``.

    Raises
    ------
    KeyError
        No dialect has that name.
    """
    return _DIALECTS[name]
