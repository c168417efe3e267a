"""The reserved words of ADQL 2.1 (REC section 2.1.2), and the table of its functions."""

from dataclasses import dataclass

MANY = 1_000_000
"""Number of arguments of a function that takes as many as are written; `adql.limits` bounds it."""

# Units of results that follow from the first argument.
SAME_UNIT = "same"
ROOT_UNIT = "root"
POWER_UNIT = "power"


@dataclass(frozen=True, slots=True)
class FunctionForm:
    """How a function of the language is called, and what it returns.

    Parameters
    ----------
    kind
        What it returns: ``numeric``, ``string``, ``point``, ``region`` or ``any`` (that of its arguments).
    arguments
        Sort of the arguments: `adql.forms` reads it, `adql.check.functions` finds its types.
    least, most
        Number of arguments.
    section
        Section of the REC.
    unit
        Unit of the result of a mathematical function: a unit, or how it follows from the first argument.
    """

    kind: str
    arguments: str
    least: int
    most: int
    section: str
    unit: str | None = None


# REC section 2.1.3, in its order.
# END-EXEC is reserved too, but its minus sign keeps it from being an identifier anyway.
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


FUNCTIONS: dict[str, FunctionForm] = {
    "ABS": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit=SAME_UNIT),
    "CEILING": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit=SAME_UNIT),
    "DEGREES": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit="deg"),
    "EXP": FunctionForm("numeric", "numbers", 1, 1, "2.3"),
    "FLOOR": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit=SAME_UNIT),
    **dict.fromkeys(("LOG", "LOG10"), FunctionForm("numeric", "numbers", 1, 1, "2.3")),
    "RADIANS": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit="rad"),
    "SQRT": FunctionForm("numeric", "numbers", 1, 1, "2.3", unit=ROOT_UNIT),
    **dict.fromkeys(("ACOS", "ASIN", "ATAN"), FunctionForm("numeric", "numbers", 1, 1, "2.3", unit="rad")),
    **dict.fromkeys(("COS", "COT", "SIN", "TAN"), FunctionForm("numeric", "numbers", 1, 1, "2.3")),
    "ATAN2": FunctionForm("numeric", "numbers", 2, 2, "2.3", unit="rad"),
    "MOD": FunctionForm("numeric", "numbers", 2, 2, "2.3", unit=SAME_UNIT),
    "POWER": FunctionForm("numeric", "numbers", 2, 2, "2.3", unit=POWER_UNIT),
    "PI": FunctionForm("numeric", "numbers", 0, 0, "2.3"),
    "ROUND": FunctionForm("numeric", "round", 1, 2, "2.3", unit=SAME_UNIT),
    "TRUNCATE": FunctionForm("numeric", "round", 1, 2, "2.3", unit=SAME_UNIT),
    "RAND": FunctionForm("numeric", "rand", 0, 1, "2.3"),
    "AREA": FunctionForm("numeric", "one_geometry", 1, 1, "4.2.8"),
    "BOX": FunctionForm("region", "box", 3, 5, "4.2.9"),
    "CENTROID": FunctionForm("point", "one_geometry", 1, 1, "4.2.10"),
    "CIRCLE": FunctionForm("region", "circle", 2, 4, "4.2.11"),
    "CONTAINS": FunctionForm("numeric", "two_geometries", 2, 2, "4.2.12"),
    "COORD1": FunctionForm("numeric", "one_point", 1, 1, "4.2.13"),
    "COORD2": FunctionForm("numeric", "one_point", 1, 1, "4.2.14"),
    "COORDSYS": FunctionForm("string", "one_geometry", 1, 1, "4.2.15"),
    "DISTANCE": FunctionForm("numeric", "distance", 2, 4, "4.2.16"),
    "INTERSECTS": FunctionForm("numeric", "two_geometries", 2, 2, "4.2.17"),
    "POINT": FunctionForm("point", "point", 2, 3, "4.2.18"),
    "POLYGON": FunctionForm("region", "polygon", 3, MANY, "4.2.19"),
    "REGION": FunctionForm("region", "region", 1, 1, "4.2.20"),
    "LOWER": FunctionForm("string", "texts", 1, 1, "4.4.2"),
    "UPPER": FunctionForm("string", "texts", 1, 1, "4.4.3"),
    "COALESCE": FunctionForm("any", "coalesce", 1, MANY, "4.8.1"),
    "IN_UNIT": FunctionForm("numeric", "in_unit", 2, 2, "4.9.1"),
}

# Words that hold a query together: where one stands that should not, a name is missing.
_STRUCTURE_WORDS = """
ALL AND AS BETWEEN BY CROSS DISTINCT EXCEPT EXISTS FROM FULL GROUP HAVING ILIKE IN INNER INTERSECT INTO IS
JOIN LEFT LIKE NATURAL NOT NULL OFFSET ON ONLY OR ORDER OUTER RIGHT SELECT SET TOP UNION USING VALUES WHERE
WITH
"""
STRUCTURE_WORDS = frozenset(_STRUCTURE_WORDS.split())

# Words that are reserved only because a function has that name.
FUNCTION_WORDS = frozenset(FUNCTIONS) | AGGREGATES

RESERVED_WORDS = SQL_WORDS | ADQL_WORDS | FUNCTION_WORDS
