"""A search of SIA 2.0 (REC-SIA-2.0-20151223 section 2.1) as ADQL over a table with the columns of ObsCore.

Pure: parameters in, the text of a query out. What it finds is what the standard says and no more: intervals
hold their ends, a value that is NULL meets no condition, values of one parameter are alternatives, and
conditions of several parameters hold together.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from adql.backends.postgres.sphere import clean_vertices, polygon_problem
from tap_query.errors import SearchParameterError

STANDARD = "ivo://ivoa.net/std/SIA#query-2.0"
"""Identifier of the standard (section 2.3)."""

NEEDED_COLUMNS = frozenset(
    {
        *("access_format", "calib_level", "dataproduct_type", "em_max", "em_min", "em_res_power"),
        *("facility_name", "instrument_name", "obs_collection", "obs_publisher_did", "pol_states"),
        *("s_fov", "s_region", "s_resolution", "t_exptime", "t_max", "t_min", "t_resolution", "target_name"),
    }
)
"""Columns that a table has to have."""

POLARIZATIONS = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX", "POLI", "POLA")
"""Values of POL (ObsCore 1.1 section 3.3.6.2)."""

PRODUCT_TYPES = (*("image", "cube", "spectrum", "sed", "timeseries", "visibility", "event", "measurements"),)
"""Values of DPTYPE (ObsCore 1.1 section 3.3.1); the standard itself names the first two."""

_FOUND_BY_INDEX = ("POS", "TIME", "ID", "TARGET")
# UUID of the dataset in our own views: an index has it, which the text of an identifier has not.
_DATASET = "registry_dataset_id"
# Other tables may have an identifier for several files, or for each part of a dataset.
_KEYS = ("obs_publisher_did", "obs_id", "access_url", "access_format", "dataproduct_type", "t_min", "em_min")
_UUID_LENGTH = 36
# What is nearer to zero would be no number any more in radians, which is an error.
_SMALLEST = 1e-300
_LARGEST_RADIUS, _FULL_CIRCLE, _POLE = 90.0, 360.0, 90.0
# Longitudes that are compared at once, and up to which latitude as many as that.
_WIDE, _NARROW, _POLAR = 120.0, 15.0, 80.0
_MOST_SHOWN = 60
_INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}

_Condition = Callable[[str], str]
"""Makes a condition in ADQL of one value; a `ValueError` says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SiaParameter:
    """A parameter of a search.

    Attributes
    ----------
    name
        Its name.
    condition
        Makes a condition of one value.
    form
        How a value is written, for those whose value cannot be read.
    datatype, arraysize, xtype, unit
        How VOTable describes a value.
    options
        Its values, where there are only a few.
    column
        Column that is equal to a value, where that is the condition.
    """

    name: str
    condition: _Condition
    form: str
    datatype: str = "char"
    arraysize: str | None = "*"
    xtype: str | None = None
    unit: str | None = None
    options: Sequence[str] = ()
    column: str = ""


def sia_query(
    parameters: Mapping[str, Sequence[str]], table: str, columns: Sequence[str], *, ordered: bool = True
) -> str:
    """Return a search as ADQL.

    Parameters
    ----------
    parameters
        Values by name in capitals; those of other names are ignored, and empty values too (DALI 1.1).
    table
        Name of the table, as a query writes it.
    columns
        Names of its columns, which all are in the result, in this order.
    ordered
        Whether the rows come in the same order each time, which costs nothing where no row is wanted.

    Raises
    ------
    SearchParameterError
        Raised if a value cannot be used.
    """
    if any(value.strip() for value in parameters.get("UPLOAD", ())):
        raise SearchParameterError(
            "UPLOAD", "this search takes no tables", "repeat POS for each position, or send a query to TAP"
        )
    conditions = [
        condition
        for parameter in SIA_PARAMETERS
        if (condition := _condition(parameter, parameters.get(parameter.name, ()), columns))
    ]
    parts = ["SELECT", ", ".join(columns), "FROM", table]
    if conditions:
        parts += ("WHERE", " AND ".join(conditions))
    if ordered:
        # The planner would walk the index of the datasets from the first to a few that lie in a circle, which
        # an index of its own finds at once; identifiers have none.
        is_found = any(parameters.get(name) for name in _FOUND_BY_INDEX)
        keys = ["obs_publisher_did"] if is_found else [_DATASET]
        if _DATASET not in columns:
            keys = [one for one in _KEYS if one in columns]
        parts += ("ORDER BY", ", ".join(keys))
    return " ".join(parts)


def _condition(parameter: SiaParameter, values: Sequence[str], columns: Collection[str]) -> str:
    """Return what the values of a parameter mean together; empty if there are none."""
    found = dict.fromkeys(_of_value(parameter, value) for value in values if value.strip())
    if parameter.name == "ID" and found:
        return _of_identifiers([value.strip() for value in values if value.strip()], columns)
    if len(found) > 1 and parameter.column:
        # A query may have more values in a list than conditions.
        listed = (one.removeprefix(f"{parameter.column} = ") for one in found)
        return f"{parameter.column} IN ({', '.join(listed)})"
    return f"({' OR '.join(found)})" if len(found) > 1 else "".join(found)


def _of_value(parameter: SiaParameter, value: str) -> str:
    try:
        return parameter.condition(value)
    except ValueError as error:
        shown = value if len(value) <= _MOST_SHOWN else f"{value[: _MOST_SHOWN - 3]}..."
        raise SearchParameterError(parameter.name, f"{shown!a}: {error}", f"write {parameter.form}") from None


# -- texts and numbers
# ----------------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("it has a NUL character")
    return "'" + value.replace("'", "''") + "'"


def _equal(column: str, value: str) -> str:
    """Return that a text is the same, capitals and all (section 2.1)."""
    return f"{column} = {_text(value.strip())}"


def _one_of(column: str, options: Sequence[str], value: str) -> str:
    if value.strip() not in options:
        raise ValueError("it has no such value")
    return f"{column} = {_text(value.strip())}"


def _polarized(value: str) -> str:
    if value.strip() not in POLARIZATIONS:
        raise ValueError("it is no state of polarization")
    return f"pol_states LIKE {_text(f'%/{value.strip()}/%')}"


def _whole(column: str, value: str) -> str:
    text = value.strip()
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= len("-999")):
        raise ValueError("it is no whole number")
    return f"{column} = {int(text)}"


def _of_identifiers(values: Sequence[str], columns: Collection[str]) -> str:
    """Return that a dataset has one of some identifiers, whose case does not matter (section 2.1.12)."""
    texts = ", ".join(dict.fromkeys(_text(value.lower()) for value in values))
    condition = f"LOWER(obs_publisher_did) IN ({texts})"
    uuids = [value[-_UUID_LENGTH:].lower() for value in values]
    if _DATASET in columns and all(map(_is_uuid, uuids)):
        listed = ", ".join(dict.fromkeys(map(_text, uuids)))
        return f"{_DATASET} IN ({listed}) AND {condition}"
    return condition


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    digits = "".join(parts)
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and not digits.strip("0123456789abcdef")


def _number(text: str) -> float:
    """Return a number as VOTable writes it; infinity only where its sign is there or not.

    Raises
    ------
    ValueError
        Raised for anything else, and for NaN.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text[:_MOST_SHOWN]!a} is no number")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text[:_MOST_SHOWN]!a} is no number") from None
    if math.isnan(number) or (math.isinf(number) and text.lower() not in _INFINITE):
        raise ValueError(f"{text[:_MOST_SHOWN]!a} is no number that can be used")
    return number


def _ends(value: str) -> tuple[float, float]:
    """Return the ends of an interval; one number is both of its ends."""
    numbers = [_number(word) for word in value.split()]
    if len(numbers) == 1 and math.isfinite(numbers[0]):
        return numbers[0], numbers[0]
    if len(numbers) != 2:  # noqa: PLR2004  its two ends
        raise ValueError(f"it has {len(numbers)} numbers")
    low, high = numbers
    if low > high or low == math.inf or high == -math.inf:
        raise ValueError("its first end is greater than its second")
    return low, high


def _overlap(lowest: str, highest: str, value: str) -> str:
    """Return that the interval of two columns has a point in common with that of a value."""
    low, high = _ends(value)
    before = f"{lowest} IS NOT NULL" if high == math.inf else f"{lowest} <= {high!r}"
    after = f"{highest} IS NOT NULL" if low == -math.inf else f"{highest} >= {low!r}"
    return f"({before} AND {after})"


def _within(column: str, value: str) -> str:
    """Return that a column lies in the interval of a value."""
    low, high = _ends(value)
    parts = [f"{column} >= {low!r}"] if low > -math.inf else []
    parts += [f"{column} <= {high!r}"] if high < math.inf else []
    return f"({' AND '.join(parts) or f'{column} IS NOT NULL'})"


# -- regions
# ----------------------------------------------------------------------------------------------------------


def _position(value: str) -> str:
    """Return that the region of a dataset has a point in common with a shape (section 2.1.1)."""
    shape, *words = value.split()
    make = _SHAPES.get(shape.upper())
    if make is None:
        raise ValueError(f"{shape[:_MOST_SHOWN]!a} is no shape")
    return make([_degrees(_number(word)) for word in words])


def _degrees(number: float) -> float:
    return math.copysign(_SMALLEST, number) if 0 < abs(number) < _SMALLEST else number


def _circle(numbers: Sequence[float]) -> str:
    if len(numbers) != 3:  # noqa: PLR2004  a place and a radius
        raise ValueError(f"a circle has three numbers, not {len(numbers)}")
    longitude, latitude, radius = numbers
    _check_place(longitude, latitude)
    if not 0 <= radius <= _LARGEST_RADIUS:
        raise ValueError(f"the radius is not between 0 and {_LARGEST_RADIUS:g} degrees")
    if radius == 0:
        return f"CONTAINS(POINT({longitude!r}, {latitude!r}), s_region) = 1"
    return f"INTERSECTS(s_region, CIRCLE({longitude!r}, {latitude!r}, {radius!r})) = 1"


def _polygon(numbers: Sequence[float]) -> str:
    if len(numbers) < 6 or len(numbers) % 2:  # noqa: PLR2004  three vertices of two numbers
        raise ValueError(f"{len(numbers)} numbers are not three or more pairs")
    vertices = list(zip(numbers[::2], numbers[1::2], strict=True))
    for longitude, latitude in vertices:
        _check_place(longitude, latitude)
    if (problem := polygon_problem(clean_vertices(vertices))) is not None:
        raise ValueError(problem)
    return f"INTERSECTS(s_region, POLYGON({', '.join(map(repr, numbers))})) = 1"


def _range(numbers: Sequence[float]) -> str:
    """Return that a region meets what lies between longitudes and latitudes; the first may be the greater."""
    if len(numbers) != 4:  # noqa: PLR2004  two intervals
        raise ValueError(f"a range has four numbers, not {len(numbers)}")
    if math.inf in (numbers[0], numbers[2]) or -math.inf in (numbers[1], numbers[3]):
        raise ValueError("an interval has no point in common with infinity")
    west, east, south, north = (
        min(max(number, least), most) if math.isinf(number) else number
        for number, (least, most) in zip(
            numbers, [(0.0, _FULL_CIRCLE)] * 2 + [(-_POLE, _POLE)] * 2, strict=True
        )
    )
    _check_place(west, south)
    _check_place(east, north)
    if south > north:
        raise ValueError("the first latitude is greater than the second")
    if west == 0 and east == _FULL_CIRCLE and (cap := _cap(south, north)):
        return cap
    widest = _WIDE if max(-south, north) <= _POLAR else _NARROW
    pieces = [
        f"INTERSECTS(s_region, REGION('PositionInterval ICRS {one!r} {south!r} {other!r} {north!r}')) = 1"
        for one, other in _narrow(west, east, widest)
    ]
    return f"({' OR '.join(pieces)})" if len(pieces) > 1 else pieces[0]


def _cap(south: float, north: float) -> str:
    """Return the condition on all that lies around a pole, or on the whole sky; empty for all else."""
    if (south, north) == (-_POLE, _POLE):
        return "s_region IS NOT NULL"
    if north == _POLE and 0 <= south < _POLE:
        return _circle((0.0, _POLE, _POLE - south))
    if south == -_POLE and -_POLE < north <= 0:
        return _circle((0.0, -_POLE, north + _POLE))
    return ""


def _narrow(west: float, east: float, widest: float) -> Sequence[tuple[float, float]]:
    """Return intervals of some width at most that together are one, which may cross longitude 0.

    pg_sphere sees where a side of a region crosses a meridian, and not that it crosses one parallel twice:
    the narrower the interval, the less of a region that has nothing but that in common with it. It is
    25 arcsec of a side of 2 degrees in the middle of the hemispheres, and more around the poles.
    """
    width = east - west if west <= east else east + _FULL_CIRCLE - west
    count = max(1, math.ceil(width / widest))
    cuts = [west, *((west + width * part / count) % _FULL_CIRCLE for part in range(1, count)), east]
    return list(pairwise(cuts))


def _check_place(longitude: float, latitude: float) -> None:
    if not 0 <= longitude <= _FULL_CIRCLE:
        raise ValueError(
            f"the longitude {longitude:g} is not between 0 and 360 degrees (a range may begin at 350 and end "
            "at 10)"
        )
    if not -_POLE <= latitude <= _POLE:
        raise ValueError(f"the latitude {latitude:g} is not between -90 and 90 degrees")


_SHAPES: Mapping[str, Callable[[Sequence[float]], str]] = {
    "CIRCLE": _circle,
    "RANGE": _range,
    "POLYGON": _polygon,
}
_POSITIONS = "CIRCLE 62.0 -37.0 0.5, RANGE 61 63 -38 -36 or POLYGON 61 -38 63 -38 62 -36"
_INTERVAL = "a number, or two numbers of which the first may be -Inf and the second +Inf"


def _interval(name: str, columns: Sequence[str], unit: str | None) -> SiaParameter:
    make = partial(_overlap, *columns) if len(columns) > 1 else partial(_within, *columns)
    return SiaParameter(name, make, _INTERVAL, "double", "2", "interval", unit)


def _name(name: str, column: str) -> SiaParameter:
    return SiaParameter(name, partial(_equal, column), "a text", column=column)


SIA_PARAMETERS: tuple[SiaParameter, ...] = (
    SiaParameter("POS", _position, _POSITIONS),
    _interval("BAND", ("em_min", "em_max"), "m"),
    _interval("TIME", ("t_min", "t_max"), "d"),
    SiaParameter("POL", _polarized, " or ".join(POLARIZATIONS), options=POLARIZATIONS),
    _interval("FOV", ("s_fov",), "deg"),
    _interval("SPATRES", ("s_resolution",), "arcsec"),
    _interval("SPECRP", ("em_res_power",), None),
    _interval("EXPTIME", ("t_exptime",), "s"),
    _interval("TIMERES", ("t_resolution",), "s"),
    _name("ID", "obs_publisher_did"),
    _name("COLLECTION", "obs_collection"),
    _name("FACILITY", "facility_name"),
    _name("INSTRUMENT", "instrument_name"),
    SiaParameter(
        "DPTYPE",
        partial(_one_of, "dataproduct_type", PRODUCT_TYPES),
        " or ".join(PRODUCT_TYPES),
        options=PRODUCT_TYPES,
    ),
    SiaParameter("CALIB", partial(_whole, "calib_level"), "a level such as 2", "int", None),
    _name("TARGET", "target_name"),
    _name("FORMAT", "access_format"),
)
"""All parameters that search, in the order of the standard."""
