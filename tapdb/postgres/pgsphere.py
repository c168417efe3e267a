"""pgSphere's types for SQLAlchemy: points, circles, polygons and boxes on the sky.

Values are in degrees in Python. pgSphere works in radians: text in radians goes to the server with all digits
and comes back with the 15 that pgSphere prints, so that what is read is rounded to 1e-12 degrees. Output in
degrees (``set_sphere_output('DEG')``) is understood as well.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy.types import UserDefinedType

_ANGLE = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?d?")
_QUARTER_DEG = 90
_TRIANGLE = 3
# What pgSphere prints around its numbers, once these are taken out; spaces do not count.
_FRAMES = {"spoint": "(,)", "scircle": "<(,),>", "sbox": "((,),(,))"}


@dataclass(frozen=True, slots=True)
class Point:
    """A direction on the sky: longitude and latitude in degrees, ``-90 <= lat_deg <= 90``."""

    lon_deg: float
    lat_deg: float

    def __post_init__(self) -> None:
        _require("longitude", self.lon_deg, "a finite number of degrees", math.isfinite(self.lon_deg))
        _require("latitude", self.lat_deg, "-90 to 90 degrees", abs(self.lat_deg) <= _QUARTER_DEG)


@dataclass(frozen=True, slots=True)
class Circle:
    """All directions within ``radius_deg`` (0 to 90 degrees: pgSphere takes no more) of ``center``."""

    center: Point
    radius_deg: float

    def __post_init__(self) -> None:
        _require("radius", self.radius_deg, "0 to 90 degrees", 0 <= self.radius_deg <= _QUARTER_DEG)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A region bounded by great circles through three or more vertices; the last is joined to the first."""

    vertices: tuple[Point, ...]

    def __post_init__(self) -> None:
        _require("number of vertices", len(self.vertices), "three or more", len(self.vertices) >= _TRIANGLE)


@dataclass(frozen=True, slots=True)
class Box:
    """A range of longitude and latitude.

    Attributes
    ----------
    south_west, north_east
        Corners; the longitudes run eastwards from the first to the second, across 0 if need be.
    """

    south_west: Point
    north_east: Point

    def __post_init__(self) -> None:
        south_deg, north_deg = self.south_west.lat_deg, self.north_east.lat_deg
        _require("southern edge", south_deg, "at most the northern edge", south_deg <= north_deg)


_Value = TypeVar("_Value", Point, Circle, Polygon, Box)


class _PgSphereType(UserDefinedType[_Value], ABC):
    """What the four types share.

    Parameters
    ----------
    schema
        Schema that holds the extension, for text that has to work with any ``search_path``; without it the
        type is named bare.
    """

    render_bind_cast = True
    type_name: ClassVar[str]

    def __init__(self, schema: str | None = None) -> None:
        self.schema = schema

    def get_col_spec(self, **_: Any) -> str:
        return self.type_name if self.schema is None else f"{self.schema}.{self.type_name}"

    # The text is the same in every dialect.
    def bind_processor(self, dialect: sa.Dialect) -> Callable[[_Value | None], str | None]:  # noqa: ARG002
        return lambda value: None if value is None else _text(value)

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[_Value], str]:  # noqa: ARG002
        # Nothing but numbers and brackets can come out of _text, so that there is nothing to escape.
        return lambda value: f"'{_text(value)}'::{self.get_col_spec()}"

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], _Value | None]:  # noqa: ARG002
        return lambda text: None if text is None else self._value(*_angles_deg(text, self.type_name))

    @abstractmethod
    def _value(self, *angles_deg: float) -> _Value:
        """Return the value that pgSphere's numbers stand for, in the order in which it prints them."""


# SQLAlchemy asks each class for a cache_ok of its own.
class SPoint(_PgSphereType[Point]):
    """pgSphere's ``spoint``; a `Point` in Python."""

    cache_ok = True
    type_name = "spoint"

    def _value(self, *angles_deg: float) -> Point:
        return Point(*angles_deg)


class SCircle(_PgSphereType[Circle]):
    """pgSphere's ``scircle``; a `Circle` in Python."""

    cache_ok = True
    type_name = "scircle"

    def _value(self, *angles_deg: float) -> Circle:
        return Circle(Point(*angles_deg[:2]), angles_deg[2])


class SPoly(_PgSphereType[Polygon]):
    """pgSphere's ``spoly``; a `Polygon` in Python."""

    cache_ok = True
    type_name = "spoly"

    def _value(self, *angles_deg: float) -> Polygon:
        return Polygon(tuple(map(Point, angles_deg[::2], angles_deg[1::2])))


class SBox(_PgSphereType[Box]):
    """pgSphere's ``sbox``; a `Box` in Python."""

    cache_ok = True
    type_name = "sbox"

    def _value(self, *angles_deg: float) -> Box:
        return Box(Point(*angles_deg[:2]), Point(*angles_deg[2:]))


def recognize_types(dialect: Any) -> None:
    """Make reflection through this dialect (of one engine; no other is touched) know pgSphere's types."""
    known = {kind.type_name: kind for kind in (SPoint, SCircle, SPoly, SBox)}
    dialect.ischema_names = {**dialect.ischema_names, **known}


def _text(value: Point | Circle | Polygon | Box) -> str:
    match value:
        case Point(lon_deg, lat_deg):
            return f"({math.radians(lon_deg)!r},{math.radians(lat_deg)!r})"
        case Circle(center, radius_deg):
            return f"<{_text(center)},{math.radians(radius_deg)!r}>"
        case Polygon(vertices):
            return "{" + ",".join(map(_text, vertices)) + "}"
        case Box(south_west, north_east):
            return f"({_text(south_west)},{_text(north_east)})"


def _angles_deg(text: str, type_name: str) -> list[float]:
    """Return the numbers of what pgSphere printed, in degrees; ValueError if its form is another."""
    numbers = _ANGLE.findall(text)
    frame = _ANGLE.sub("", text).replace(" ", "")
    if frame != _FRAMES.get(type_name, f"{{{','.join(['(,)'] * (len(numbers) // 2))}}}"):
        raise ValueError(
            f"{type_name} from pgSphere: found {text!r}, which is neither in radians nor in degrees; "
            "run set_sphere_output('RAD') in this session"
        )
    # One unit holds for the whole text: pgSphere 1.5 prints a circle's radius in degrees without the "d".
    in_degrees = any(number.endswith("d") for number in numbers)
    values = (float(number.removesuffix("d")) for number in numbers)
    # Unrounded, the pole would come back as 90.0000000000002.
    return [round(value if in_degrees else math.degrees(value), 12) for value in values]


def _require(what: str, found: float, allowed: str, holds: object) -> None:
    if not holds:
        raise ValueError(f"{what} {found}: expected {allowed}")
