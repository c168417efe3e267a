"""What a FIELD of an upload becomes: columns of a table, what is sent for them, and a column of ADQL.

Values are sent in the binary form of COPY: what a type has there is what its number, text or array has in
Python. pg_sphere's types have none: PostgreSQL computes geometries from columns that are sent. Where there is
no such geometry, such as of a point beyond a pole, it is NULL.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg import sql

from adql import ColumnMetadata
from adql.backends.postgres.sphere import clean_vertices, polygon_problem, polygon_text
from adql.metadata import Position
from adql.types import GEOMETRIES, ValueType, value_type
from tapdb.votable import Field
from tapdb.votable.fields import COMPLEX, TEXTS, shape_of

Make = Callable[[Any], Any]

# Type of a column, and name of the type that has the same binary form and takes values of Python.
_TYPES = {
    "boolean": ("boolean", "bool"),
    "unsignedByte": ("smallint", "int2"),
    "short": ("smallint", "int2"),
    "int": ("integer", "int4"),
    "long": ("bigint", "int8"),
    "float": ("real", "float4"),
    "double": ("double precision", "float8"),
}
_TEXT = ("text", "text")
_DOUBLES = ("double precision[]", "float8[]")

_POINT = sql.SQL(
    "CASE WHEN {latitude} BETWEEN -90 AND 90 AND {longitude} > '-Infinity' AND {longitude} < 'Infinity'"
    " THEN spoint({longitude_radians}, {latitude_radians}) END"
)
_CIRCLE = sql.SQL("CASE WHEN {radius} BETWEEN 0 AND 90 THEN scircle({centre}, {radius_radians}) END")
# Of the smallest numbers PostgreSQL has no radians, but an error.
_RADIANS = sql.SQL("CASE WHEN abs({angle}) > 1e-300 THEN radians({angle}) ELSE 0 END")
_SMALLEST = 1e-300
_POLYGON = sql.SQL("CAST({text} AS spoly)")
_AS_DOUBLE = sql.SQL("CAST({} AS double precision)")
_ELEMENT = sql.SQL("{}[{}]")

# Names and UCDs of the columns of a position, the likeliest first.
_UCD_PAIRS = (
    ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main"),
    ("pos_eq_ra_main", "pos_eq_dec_main"),
    ("pos.eq.ra", "pos.eq.dec"),
)
_NAME_PAIRS = (
    ("ra", "dec"),
    ("s_ra", "s_dec"),
    ("coord_ra", "coord_dec"),
    ("raj2000", "dej2000"),
    ("ra_icrs", "de_icrs"),
    ("_raj2000", "_dej2000"),
)

_MOMENT = re.compile(
    r"(?P<year>\d{4,6})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,12}))?)?)?Z?"
    r"(?P<era> BC)?",
    re.ASCII,
)
_INFINITE = {"infinity": 2**63 - 1, "-infinity": -(2**63)}
# PostgreSQL counts microseconds from the first moment of 2000, back to -4713-11-24.
_DAY = 86_400_000_000
_EPOCH_DAYS = 730_119
_FIRST, _LAST = -2_451_545 * _DAY, 9_223_371_331_200_000_000
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2


@dataclass(frozen=True, slots=True)
class Sent:
    """A column that is sent.

    Parameters
    ----------
    sql_name, sql_type
        Name and type in the table.
    wire_type
        Name of a type of PostgreSQL whose binary form is sent.
    make
        Makes what is sent of a plain value, and raises a `ValueError` if there is no such value; `None` if it
        is sent as it is.
    """

    sql_name: str
    sql_type: str
    wire_type: str
    make: Make | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """A column that PostgreSQL computes, with an index over the sphere.

    Parameters
    ----------
    sql_name, sql_type
        Name and type in the table.
    expression
        What it is.
    """

    sql_name: str
    sql_type: str
    expression: sql.Composable


@dataclass(frozen=True, slots=True)
class UploadColumn:
    """What becomes of a FIELD.

    Parameters
    ----------
    metadata
        The column that a query names.
    sent
        Columns of the table that its value is sent to.
    computed
        The geometry that it is, if it is one.
    """

    metadata: ColumnMetadata
    sent: tuple[Sent, ...]
    computed: Computed | None = None


def upload_column(field: Field, number: int) -> UploadColumn:
    """Return what becomes of a FIELD.

    Parameters
    ----------
    field
        The column as the VOTable describes it.
    number
        Its number: the table names its columns by it, since a FIELD may have any name.
    """
    type_ = _type_of(field)
    name = f"column_{number}"
    if type_.family in GEOMETRIES:
        return _geometry(field, type_, number)
    sent = Sent(name, *_sent_types(type_), _maker(type_))
    return UploadColumn(ColumnMetadata(field.name, type_, name), (sent,))


def stored_position(columns: Sequence[UploadColumn]) -> tuple[Position, Computed] | None:
    """Return the position that two columns of numbers are, to be stored as a point; `None` if not there."""
    numbers = [column for column in columns if column.metadata.type.family == "numeric"]
    by_ucd = {
        (column.metadata.type.ucd or "").lower().replace(" ", ""): column for column in reversed(numbers)
    }
    by_name = {column.metadata.name.lower(): column for column in reversed(numbers)}
    for known, pairs in ((by_ucd, _UCD_PAIRS), (by_name, _NAME_PAIRS)):
        for longitude, latitude in pairs:
            if longitude in known and latitude in known:
                return _position(known[longitude].metadata, known[latitude].metadata)
    return None


def _position(longitude: ColumnMetadata, latitude: ColumnMetadata) -> tuple[Position, Computed]:
    name = "stored_position"
    angles = (_AS_DOUBLE.format(sql.Identifier(column.sql_name)) for column in (longitude, latitude))
    return Position(longitude.name, latitude.name, name), Computed(name, "spoint", _point(*angles))


def _point(longitude: sql.Composable, latitude: sql.Composable) -> sql.Composed:
    return _POINT.format(
        longitude=longitude,
        latitude=latitude,
        longitude_radians=_RADIANS.format(angle=longitude),
        latitude_radians=_RADIANS.format(angle=latitude),
    )


def _type_of(field: Field) -> ValueType:
    """Return the type of a column: that of its xtype only if its values can be such."""
    datatype = "boolean" if field.datatype == "bit" else COMPLEX.get(field.datatype, field.datatype)
    # How long texts are is not checked: those that come back have any length.
    arraysize = "*" if field.datatype in TEXTS else shape_of(field)
    facts = {fact: getattr(field, fact) for fact in ("unit", "ucd", "utype", "description")}
    type_ = value_type(datatype, arraysize, field.xtype, **facts)
    plain = value_type(datatype, arraysize, None, **facts)
    is_real = field.datatype in {"float", "double"}
    fits = {
        "time": plain.family == "string",
        "uuid": plain.family == "string",
        "point": is_real and arraysize == "2",
        "circle": is_real and arraysize == "3",
        "polygon": is_real and arraysize is not None and "x" not in arraysize,
        # The text of a region has no geometry.
        "region": False,
    }
    return type_ if fits.get(type_.family, True) else replace(plain, xtype=field.xtype or None)


def _sent_types(type_: ValueType) -> tuple[str, str]:
    """Return the type of a column, and that whose binary form is sent."""
    if type_.family == "time":
        # Both are eight bytes.
        return "timestamp", "int8"
    if type_.family == "uuid":
        return "uuid", "bytea"
    if type_.datatype in TEXTS:
        return _TEXT
    if type_.family == "binary":
        return "bytea", "bytea"
    own, sent = _TYPES[type_.datatype]
    return (own, sent) if type_.arraysize is None else (f"{own}[]", f"{sent}[]")


def _maker(type_: ValueType) -> Make | None:
    if type_.family == "time":
        return microseconds
    if type_.family == "uuid":
        return _uuid_bytes
    shape = (type_.arraysize or "").split("x")[:-1]
    if shape and type_.datatype not in TEXTS and type_.family != "binary":
        return lambda values: _nested(values, [int(size) for size in shape])
    return None


def _geometry(field: Field, type_: ValueType, number: int) -> UploadColumn:
    """Return a geometry: the numbers as they came, and what pg_sphere makes of them."""
    name, computed_name = f"column_{number}", f"geometry_{number}"
    sent = [Sent(name, *_DOUBLES)]
    numbers = [_ELEMENT.format(sql.Identifier(name), sql.Literal(place)) for place in (1, 2, 3)]
    if type_.family == "polygon":
        text = f"text_{number}"
        sent.append(Sent(text, *_TEXT, _polygon))
        computed = Computed(computed_name, "spoly", _POLYGON.format(text=sql.Identifier(text)))
    else:
        point = _point(*numbers[:2])
        radians = _RADIANS.format(angle=numbers[2])
        circle = _CIRCLE.format(centre=point, radius=numbers[2], radius_radians=radians)
        computed = (
            Computed(computed_name, "spoint", point)
            if type_.family == "point"
            else Computed(computed_name, "scircle", circle)
        )
    metadata = ColumnMetadata(field.name, type_, computed_name, array_column=name)
    return UploadColumn(metadata, tuple(sent), computed)


def _polygon(numbers: Sequence[float | None]) -> str | None:
    """Return a polygon as pg_sphere reads it; `None` if the sphere has no such one."""
    angles = [math.nan if one is None else one if abs(one) > _SMALLEST else 0.0 for one in numbers]
    vertices = list(zip(angles[::2], angles[1::2], strict=False))
    if len(angles) % 2 or not all(
        math.isfinite(longitude) and abs(latitude) <= 90  # noqa: PLR2004  the poles
        for longitude, latitude in vertices
    ):
        return None
    vertices = clean_vertices(vertices)
    return None if polygon_problem(vertices) else polygon_text(vertices)


def _nested(values: Sequence[Any], sizes: Sequence[int]) -> Sequence[Any]:
    """Return an array as PostgreSQL has it: its last index is the first one of VOTable."""
    for size in sizes:
        values = [values[begin : begin + size] for begin in range(0, len(values), size)]
    return values


def _uuid_bytes(text: str) -> bytes | None:
    return UUID(text.strip()).bytes if text.strip() else None


def microseconds(text: str) -> int | None:
    """Return a time as PostgreSQL counts it; `None` for an empty text, which is how some write NULL.

    Parameters
    ----------
    text
        As DALI has it (1.1 section 3.3.3), or as PostgreSQL shows what is beyond its years.

    Raises
    ------
    ValueError
        Raised if it is no such time.
    """
    text = text.strip()
    if not text:
        return None
    if text.lower() in _INFINITE:
        return _INFINITE[text.lower()]
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("write YYYY-MM-DDThh:mm:ss in UTC")
    year, month, day, hour, minute, second = (
        int(found[part] or 0) for part in ("year", "month", "day", "hour", "minute", "second")
    )
    if not year:
        raise ValueError("there is no year 0")
    # PostgreSQL takes a leap second for the next one. The year before 1 is 1 BC.
    year = 1 - year if found["era"] else year
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 0 if not 1 <= month <= len(_MONTHS) else _MONTHS[month - 1] + (is_leap and month == _FEBRUARY)
    ends_day = (hour, minute, second, int(found["fraction"] or 0)) == (24, 0, 0, 0)
    if not 1 <= day <= length or not (ends_day or hour < 24) or minute > 59 or second > 60:  # noqa: PLR2004
        raise ValueError("there is no such day or time")
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400
    days += sum(_MONTHS[: month - 1]) + (is_leap and month > _FEBRUARY) + day - 1
    fraction = round(int((found["fraction"] or "0").ljust(12, "0")) / 1_000_000)
    moment = (days - _EPOCH_DAYS) * _DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
    if not _FIRST <= moment < _LAST:
        raise ValueError("PostgreSQL has no such time")
    return moment
