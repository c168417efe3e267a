"""pgSphere's types: values go to a real server and come back."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tapdb.postgres.pgsphere import Box, Circle, Point, Polygon, SBox, SCircle, SPoint, SPoly, recognize_types

_VALUES: list[tuple[Any, object]] = [
    (SPoint(), Point(10.5, -20.25)),
    (SPoint(), Point(0, 90)),
    (SPoint(), Point(123.456, -90)),
    (SCircle(), Circle(Point(359.999, 0), 1e-6)),
    (SCircle(), Circle(Point(12, 34), 90)),
    (SPoly(), Polygon((Point(359, -1), Point(1, -1), Point(1, 1), Point(359, 1)))),
    (SPoly(), Polygon((Point(0, 89), Point(120, 89), Point(240, 89)))),
    (SBox(), Box(Point(350, -5), Point(10, 90))),
]

_longitudes = st.floats(0, 360, exclude_max=True)
_latitudes = st.floats(-90, 90)
_points = st.builds(Point, _longitudes, _latitudes)


def _separation_deg(a: Point, b: Point) -> float:
    """Haversine; in degrees."""
    lon = math.radians(a.lon_deg - b.lon_deg)
    lat = math.radians(a.lat_deg - b.lat_deg)
    cosines = math.cos(math.radians(a.lat_deg)) * math.cos(math.radians(b.lat_deg))
    half = math.sin(lat / 2) ** 2 + cosines * math.sin(lon / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))


@pytest.mark.parametrize(("kind", "value"), _VALUES)
def test_a_value_comes_back_as_it_was_sent(connection: sa.Connection, kind: Any, value: object) -> None:
    bound = connection.scalar(sa.select(sa.bindparam("value", value, kind)))
    assert bound == value


@pytest.mark.parametrize(("kind", "value"), _VALUES)
def test_a_literal_says_the_same_as_a_bound_value(
    connection: sa.Connection, kind: Any, value: object
) -> None:
    qualified = type(kind)(schema="public")
    text = sa.select(sa.literal(value, qualified)).compile(
        dialect=connection.dialect, compile_kwargs={"literal_binds": True}
    )
    connection.exec_driver_sql("SET search_path = ''")
    printed = connection.exec_driver_sql(str(text)).scalar_one()
    assert kind.result_processor(connection.dialect, None)(printed) == value


@pytest.mark.parametrize("kind", [SPoint(), SCircle(), SPoly(), SBox()])
def test_null_stays_null(connection: sa.Connection, kind: Any) -> None:
    assert connection.scalar(sa.select(sa.bindparam("value", None, kind))) is None


def test_the_server_and_python_agree_on_degrees(connection: sa.Connection) -> None:
    point, box = sa.literal(Point(30, 60), SPoint()), sa.literal(Box(Point(350, -5), Point(10, 5)), SBox())
    row = connection.execute(
        sa.select(
            sa.func.degrees(sa.func.long(point)),
            sa.func.degrees(sa.func.lat(point)),
            sa.cast(sa.literal_column("'(30d,60d)'"), SPoint()).bool_op("=")(point),
            sa.literal(Point(0, 0), SPoint()).bool_op("<@")(box),
            sa.literal(Point(180, 0), SPoint()).bool_op("<@")(box),
        )
    ).one()
    assert row[:2] == (pytest.approx(30, abs=1e-12), pytest.approx(60, abs=1e-12))
    assert row[2:] == (True, True, False)


@given(points=st.lists(_points, min_size=1, max_size=20))
def test_any_point_survives_the_way_there_and_back(connection: sa.Connection, points: list[Point]) -> None:
    sent: list[Any] = [sa.literal(point, SPoint()) for point in points]
    received = connection.execute(sa.select(*sent)).one()
    # pgSphere takes what is below 1e-9 rad (6e-8 deg) for 0.
    assert all(_separation_deg(a, b) < 1e-7 for a, b in zip(points, received, strict=True))


def test_output_in_degrees_is_read_as_well(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SELECT set_sphere_output('DEG')")
    for kind, value in _VALUES:
        assert connection.scalar(sa.select(sa.bindparam("value", value, kind))) == value


@pytest.mark.parametrize("printed", ["<(12d , 34d) , 0.5d>", "<(12d, 34d) , 0.5>"])
def test_the_radius_of_a_circle_in_degrees_is_read_as_each_release_prints_it(
    connection: sa.Connection, printed: str
) -> None:
    read = SCircle().result_processor(connection.dialect, None)
    assert read(printed) == Circle(Point(12, 34), 0.5)


def test_output_in_hours_is_refused_and_the_error_says_what_to_run(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SELECT set_sphere_output('HMS')")
    with pytest.raises(ValueError, match=r"spoint from pgSphere: found .*h.*set_sphere_output\('RAD'\)"):
        connection.scalar(sa.select(sa.literal(Point(10, 20), SPoint())))


def test_columns_are_made_and_recognized_by_reflection(connection: sa.Connection) -> None:
    metadata = sa.MetaData()
    footprint = Polygon((Point(10, 20), Point(11, 20), Point(11, 21)))
    table = sa.Table(
        "footprint", metadata, sa.Column("region", SPoly()), sa.Column("center", SPoint("public"))
    )
    metadata.create_all(connection)
    connection.execute(
        table.insert(), [{"region": footprint, "center": Point(10.5, 20.5)}, {"region": None, "center": None}]
    )
    assert connection.execute(sa.select(table)).all() == [(footprint, Point(10.5, 20.5)), (None, None)]

    # daf_butler makes its own types known to all dialects of the process, once its plug-in is loaded.
    dialect: Any = connection.dialect
    dialect.ischema_names = {
        name: kind for name, kind in dialect.ischema_names.items() if not name.startswith("sp")
    }
    with pytest.warns(sa.exc.SAWarning, match="Did not recognize type 'sp(oly|oint)'"):
        sa.inspect(connection).get_columns("footprint")
    recognize_types(connection.dialect)
    with warnings.catch_warnings(action="error"):
        columns = sa.inspect(connection).get_columns("footprint")
    assert [type(column["type"]) for column in columns] == [SPoly, SPoint]


def test_statements_with_these_types_are_cached_by_type() -> None:
    keys = {
        str(sa.select(sa.bindparam("value", None, kind))._generate_cache_key())
        for kind in (SPoint(), SCircle(), SPoint("public"), SPoint("public"))
    }
    assert len(keys) == 3
    assert "None" not in keys


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Point(0, 90.1), r"latitude 90.1: expected -90 to 90 degrees"),
        (lambda: Point(math.nan, 0), r"longitude nan: expected a finite number"),
        (lambda: Circle(Point(0, 0), 91), r"radius 91: expected 0 to 90"),
        (lambda: Polygon((Point(0, 0), Point(1, 1))), r"number of vertices 2: expected three or more"),
        (lambda: Box(Point(0, 5), Point(1, 4)), r"southern edge 5: expected at most the northern edge"),
    ],
)
def test_values_that_are_no_region_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
