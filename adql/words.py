"""The reserved words of ADQL 2.1 (REC section 2.1.2) and what the functions among them take."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ADQL_WORDS",
    "AGGREGATES",
    "CAST_TARGETS",
    "FUNCTIONS",
    "FUNCTION_WORDS",
    "RESERVED_WORDS",
    "SQL_WORDS",
    "STRUCTURE_WORDS",
    "FunctionForm",
]


@dataclass(frozen=True, slots=True)
class FunctionForm:
    """How a function of the language is written.

    Parameters
    ----------
    kind
        What it returns: ``numeric``, ``string``, ``point``, ``region`` or ``any`` (that of its arguments).
    shape
        Which rule reads its arguments: ``numbers``, ``texts``, or the function's own name in lower case.
    least, most
        Number of arguments where `shape` is ``numbers`` or ``texts``.
    section
        Section of the REC.
    """

    kind: str
    shape: str
    least: int
    most: int
    section: str


# REC section 2.1.3, in its order.
# END-EXEC is reserved too, but it is no identifier to begin with: it holds a minus sign.
_SQL_WORDS = """
ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BEGIN BETWEEN BIT
BIT_LENGTH BOTH BY CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER CHAR_LENGTH CHARACTER_LENGTH CHECK
CLOSE COALESCE COLLATE COLLATION COLUMN COMMIT CONNECT CONNECTION CONSTRAINT CONSTRAINTS CONTINUE CONVERT
CORRESPONDING COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR
DATE DAY DEALLOCATE DECIMAL DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR DIAGNOSTICS
DISCONNECT DISTINCT DOMAIN DOUBLE DROP ELSE END ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL EXTRACT
FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING HOUR IDENTITY
IMMEDIATE IN INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT INTEGER INTERSECT INTERVAL INTO IS
ISOLATION JOIN KEY LANGUAGE LAST LEADING LEFT LEVEL LIKE LOCAL LOWER MATCH MAX MIN MINUTE MODULE MONTH NAMES
NATIONAL NATURAL NCHAR NEXT NO NOT NULL NULLIF NUMERIC OCTET_LENGTH OF ON ONLY OPEN OPTION OR ORDER OUTER
OUTPUT OVERLAPS PAD PARTIAL POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC
READ REAL REFERENCES RELATIVE RESTRICT REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECOND SECTION SELECT
SESSION SESSION_USER SET SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE SUBSTRING SUM SYSTEM_USER
TABLE TEMPORARY THEN TIME TIMESTAMP TIMEZONE_HOUR TIMEZONE_MINUTE TO TRAILING TRANSACTION TRANSLATE
TRANSLATION TRIM TRUE UNION UNIQUE UNKNOWN UPDATE UPPER USAGE USER USING VALUE VALUES VARCHAR VARYING VIEW
WHEN WHENEVER WHERE WITH WORK WRITE YEAR ZONE
"""
SQL_WORDS = frozenset(_SQL_WORDS.split())

# REC section 2.1.4.
_ADQL_WORDS = """
ABS ACOS AREA ASIN ATAN ATAN2 BIGINT BOX CEILING CENTROID CIRCLE CONTAINS COORD1 COORD2 COORDSYS COS COT
DEGREES DISTANCE EXP FLOOR ILIKE INTERSECTS IN_UNIT LOG LOG10 MOD OFFSET PI POINT POLYGON POWER RADIANS
REGION RAND ROUND SIN SQRT TOP TAN TRUNCATE
"""
ADQL_WORDS = frozenset(_ADQL_WORDS.split())

RESERVED_WORDS = SQL_WORDS | ADQL_WORDS

AGGREGATES = frozenset(("AVG", "COUNT", "MAX", "MIN", "SUM"))

# REC section 4.7.1. The value says whether a length in parentheses may follow.
CAST_TARGETS = {
    "SMALLINT": False,
    "INTEGER": False,
    "BIGINT": False,
    "REAL": False,
    "DOUBLE": False,
    "CHAR": True,
    "VARCHAR": True,
    "TIMESTAMP": False,
    "POINT": False,
    "CIRCLE": False,
    "POLYGON": False,
}


def _forms(kind: str, shape: str, least: int, most: int, section: str, names: str) -> dict[str, FunctionForm]:
    form = FunctionForm(kind, shape, least, most, section)
    return dict.fromkeys(names.split(), form)


FUNCTIONS: dict[str, FunctionForm] = {
    **_forms("numeric", "numbers", 1, 1, "2.3", "ABS CEILING DEGREES EXP FLOOR LOG LOG10 RADIANS SQRT"),
    **_forms("numeric", "numbers", 1, 1, "2.3", "ACOS ASIN ATAN COS COT SIN TAN"),
    **_forms("numeric", "numbers", 2, 2, "2.3", "ATAN2 MOD POWER"),
    **_forms("numeric", "numbers", 0, 0, "2.3", "PI"),
    **_forms("numeric", "round", 1, 2, "2.3", "ROUND TRUNCATE"),
    **_forms("numeric", "rand", 0, 1, "2.3", "RAND"),
    **_forms("numeric", "one_geometry", 1, 1, "4.2.8", "AREA"),
    **_forms("region", "box", 3, 5, "4.2.9", "BOX"),
    **_forms("point", "one_geometry", 1, 1, "4.2.10", "CENTROID"),
    **_forms("region", "circle", 2, 4, "4.2.11", "CIRCLE"),
    **_forms("numeric", "two_geometries", 2, 2, "4.2.12", "CONTAINS"),
    **_forms("numeric", "one_point", 1, 1, "4.2.13", "COORD1"),
    **_forms("numeric", "one_point", 1, 1, "4.2.14", "COORD2"),
    **_forms("string", "one_geometry", 1, 1, "4.2.15", "COORDSYS"),
    **_forms("numeric", "distance", 2, 4, "4.2.16", "DISTANCE"),
    **_forms("numeric", "two_geometries", 2, 2, "4.2.17", "INTERSECTS"),
    **_forms("point", "point", 2, 3, "4.2.18", "POINT"),
    **_forms("region", "polygon", 3, 1_000_000, "4.2.19", "POLYGON"),
    **_forms("region", "region", 1, 1, "4.2.20", "REGION"),
    **_forms("string", "texts", 1, 1, "4.4.2", "LOWER"),
    **_forms("string", "texts", 1, 1, "4.4.3", "UPPER"),
    **_forms("any", "coalesce", 1, 1_000_000, "4.8.1", "COALESCE"),
    **_forms("numeric", "in_unit", 2, 2, "4.9.1", "IN_UNIT"),
}

# Words that hold a query together: where one stands that should not, a name is missing.
STRUCTURE_WORDS = frozenset(
    (
        *(
            "ALL",
            "AND",
            "AS",
            "BETWEEN",
            "BY",
            "CROSS",
            "DISTINCT",
            "EXCEPT",
            "EXISTS",
            "FROM",
            "FULL",
            "GROUP",
        ),
        *(
            "HAVING",
            "ILIKE",
            "IN",
            "INNER",
            "INTERSECT",
            "INTO",
            "IS",
            "JOIN",
            "LEFT",
            "LIKE",
            "NATURAL",
            "NOT",
        ),
        *("NULL", "OFFSET", "ON", "ONLY", "OR", "ORDER", "OUTER", "RIGHT", "SELECT", "SET", "TOP", "UNION"),
        *("USING", "VALUES", "WHERE", "WITH"),
    )
)

# Words that are reserved only because a function has that name.
FUNCTION_WORDS = frozenset(FUNCTIONS) | AGGREGATES
