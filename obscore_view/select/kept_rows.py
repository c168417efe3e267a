"""What fills the kept tables of observations, footprints and published pairs, as SQLAlchemy.

Besides: lists of columns in the statements that keep them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import INT8RANGE, JSONB

from obscore_view.config.regex import to_postgres
from obscore_view.errors import MappingError
from obscore_view.mapping import DatasetMapping
from obscore_view.registry.snapshot import Registry, SkyPixel
from tapdb.postgres.pgsphere import SPoly

view_definition = sa.table(
    "view_definition",
    *map(sa.column, ("view_schema", "view_name", "registry_schema", "config_yaml", "config_sha256")),
    sa.column("fingerprint", JSONB()),
    *map(sa.column, ("geometry_mode", "software_version", "created_at", "kept", "stage")),
    sa.column("progress", JSONB()),
    schema="tapdb",
)
dataset_type_mapping = sa.table(
    "dataset_type_mapping",
    *map(sa.column, ("view_schema", "view_name", "dataset_type")),
    sa.column("number", sa.SmallInteger()),
    sa.column("registered"),
    sa.column("dimensions", sa.ARRAY(sa.Text())),
    *map(sa.column, ("dataproduct_type", "dataproduct_subtype", "calib_level", "o_ucd", "access_format")),
    *map(sa.column, ("obs_collection", "facility_name", "s_xel1", "s_xel2")),
    *map(sa.column, ("obs_id_fmt", "access_url_fmt", "obs_publisher_did_fmt")),
    sa.column("extra_columns", JSONB()),
    sa.column("kept"),
    schema="tapdb",
)


OBSERVATIONS = ("visit", "exposure")
"""Elements that stand for a pointing of the telescope at a time."""

_tapdb = sa.func.tapdb
_TEXT_TYPES = ("text", "character")


def butler_table(registry: Registry, name: str) -> sa.TableClause:
    """Return a table of the registry with the columns that it really has.

    Raises
    ------
    MappingError
        Raised if there is no such table: a dimension such as ``band`` or ``healpix9`` has none.
    """
    columns = registry.columns.get(name)
    if columns is None:
        raise MappingError(
            f"records[{name}]", f'schema "{registry.schema}" has no table "{name}"', "take another field"
        )
    return sa.table(
        name, *(sa.column(column, _type_of(kind)) for column, kind in columns.items()), schema=registry.schema
    )


def field_name(path: tuple[str, ...]) -> str:
    """Return the column with a field of a record for format strings: ``record_timespan_begin_utc_isot``."""
    return "_".join(("record", *path))


def record_field(relation: sa.FromClause, element: str, path: tuple[str, ...]) -> sa.ColumnElement[Any]:
    """Return a field of a dimension record.

    Parameters
    ----------
    relation
        Butler's table of the element.
    element
        Name of the element, for the error.
    path
        The field and what is taken of it. Of a timespan that is ``begin`` or ``end``, ``utc``, and ``isot``
        (text, six decimals) or ``mjd`` (days).

    Raises
    ------
    MappingError
        Raised if the table has no such column or the path is not one of these.
    """
    where = f"records[{element}].{'.'.join(path)}"
    if path[0] == "timespan" and "timespan" in relation.c:
        bound = {"begin": sa.func.lower, "end": sa.func.upper}.get(path[1] if len(path) > 1 else "")
        forms = {"utc.isot": _tapdb.utc_isot, "utc.mjd": _tapdb.utc_mjd}
        form = forms.get(".".join(path[2:]))
        if bound is None or form is None:
            raise MappingError(
                where, "of a timespan only .begin or .end, .utc, and .isot or .mjd can be taken"
            )
        result = form(bound(relation.c.timespan))
        return sa.type_coerce(result, sa.Text() if path[-1] == "isot" else sa.Double())
    name = "id" if path == (element,) and element not in relation.c else path[0]
    if len(path) > 1 or name not in relation.c:
        known = ", ".join(column.name for column in relation.c if column.name != "region")
        raise MappingError(where, f"there is no such field; {element} has {known}")
    return relation.c[name]


def wavelength(
    mapping: DatasetMapping,
    bound: int,
    physical_filter: sa.ColumnElement[Any] | None,
    band: sa.ColumnElement[Any],
) -> sa.ColumnElement[Any]:
    """Return the shortest (``bound`` 0) or longest (1) wavelength in metres.

    The pair of a physical filter wins over that of its band as a whole, NULLs included.
    """
    ranges = {
        key: sa.literal(pair[bound], sa.Double()) if pair[bound] is not None else sa.null()
        for key, pair in mapping.config.spectral_ranges.items()
    }
    if not ranges:
        return sa.cast(sa.null(), sa.Double())
    result: sa.ColumnElement[Any] = sa.case(ranges, value=band)
    if physical_filter is not None:
        result = sa.case(ranges, value=physical_filter, else_=result)
    return sa.cast(result, sa.Double())


def observation_select(mapping: DatasetMapping, element: str) -> sa.Select[Any]:
    """Return the SELECT of all visits or exposures.

    Its columns are the element's key (``instrument``, ``id``), ``physical_filter``, ``band``, ``em_min`` and
    ``em_max`` (m), ``target_name``, ``exposure_time`` (s), ``t_min`` and ``t_max`` (UTC, MJD), ``day_obs``,
    and the fields that format strings refer to.
    """
    registry = mapping.registry
    record = butler_table(registry, element).alias("r")
    filters = butler_table(registry, "physical_filter").alias("pf")
    columns: dict[str, sa.ColumnElement[Any]] = {
        "instrument": sa.cast(record.c.instrument, sa.Text()),
        "id": record.c.id,
    }
    source: sa.FromClause = record.outerjoin(
        filters,
        sa.and_(filters.c.instrument == record.c.instrument, filters.c.name == record.c.physical_filter),
    )
    columns |= {
        "physical_filter": sa.cast(record.c.physical_filter, sa.Text()),
        "band": sa.cast(filters.c.band, sa.Text()),
        "em_min": wavelength(mapping, 0, record.c.physical_filter, filters.c.band),
        "em_max": wavelength(mapping, 1, record.c.physical_filter, filters.c.band),
        "target_name": sa.cast(record.c.target_name, sa.Text()),
        "exposure_time": record.c.exposure_time,
        "t_min": sa.type_coerce(_tapdb.utc_mjd(sa.func.lower(record.c.timespan)), sa.Double()),
        "t_max": sa.type_coerce(_tapdb.utc_mjd(sa.func.upper(record.c.timespan)), sa.Double()),
    }
    for implied in ("day_obs", "group"):
        if implied in record.c:
            columns[implied] = record.c[implied]
    for path in mapping.record_fields.get(element, ()):
        value = record_field(record, element, path)
        if isinstance(value.type, sa.Text) and path[0] != "timespan":
            # Python writes a NULL so; written here and not in the view, so that an index on the column can
            # be used.
            value = sa.func.coalesce(sa.cast(value, sa.Text()), sa.literal("None", sa.Text()))
        columns[field_name(path)] = value
    return sa.select(*(value.label(name) for name, value in columns.items())).select_from(source)


def _type_of(kind: str) -> sa.types.TypeEngine[Any]:
    if kind.startswith(_TEXT_TYPES):
        return sa.Text()
    known: dict[str, sa.types.TypeEngine[Any]] = {
        "bigint": sa.BigInteger(),
        "smallint": sa.SmallInteger(),
        "integer": sa.Integer(),
        "double precision": sa.Double(),
        "boolean": sa.Boolean(),
        "uuid": sa.Uuid(),
        "int8range": INT8RANGE(),
        "timestamp without time zone": sa.DateTime(),
    }
    return known.get(kind, sa.types.NullType())


FOOTPRINT_COLUMNS = ("s_ra", "s_dec", "s_fov", "outline", "pgs_region")
"""What is kept of a region: bounding circle (degrees, ICRS), vertices as text, pg_sphere polygon."""

OUTLINE_START = len("POLYGON ICRS ") + 1
"""Where in ``s_region`` the text begins that is kept, counted from 1."""


def footprint_key(registry: Registry, element: str) -> tuple[str, ...]:
    """Return the key columns of Butler's table of an element: ``("skymap", "tract", "id")`` for patch."""
    found = registry.universe.elements.get(element)
    key = None if found is None else found.key
    required = registry.universe.required(element)
    return tuple(key if name == element and key else name for name in required)


def pixel_region(pixel: SkyPixel, number: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the region of a pixel of the sky, as Butler would store it."""
    return sa.type_coerce(_tapdb.sky_pixel(pixel.system, pixel.level, number), sa.Text())


def decoded_select(registry: Registry, element: str, relation: str) -> sa.Select[Any]:
    """Return the SELECT that decodes all regions of an element at once, for a table to be filled from.

    Its columns are the element's key and `FOOTPRINT_COLUMNS`; records without a polygon have no row.

    Parameters
    ----------
    registry, element
        Which regions.
    relation
        Butler's table with them; of pixels, a table that names some.
    """
    table = butler_table(registry, relation)
    pixel = registry.universe.pixel(element)
    record: sa.FromClause = table.alias("r")
    if pixel is not None:
        record = sa.select(table.c[element]).distinct().subquery("r")
    region = record.c.region if pixel is None else pixel_region(pixel, record.c[element])
    decoded = (
        sa.func.tapdb.footprint(region)
        .table_valued("s_ra", "s_dec", "s_fov", "s_region", sa.column("pgs_region", SPoly("public")))
        .lateral("f")
    )
    # The kept text lacks what is the same for all: 13 bytes a region.
    outline = sa.func.substr(decoded.c.s_region, OUTLINE_START).label("outline")
    return sa.select(
        *_key(registry, element, record),
        decoded.c.s_ra,
        decoded.c.s_dec,
        decoded.c.s_fov,
        outline,
        decoded.c.pgs_region,
    ).select_from(record.join(decoded, sa.true()))


def lazy_select(registry: Registry, element: str) -> sa.Select[Any]:
    """Return the SELECT with a function call for each column, made only for the requested columns.

    The polygon is the expression that an index over Butler's table has.
    """
    record = butler_table(registry, element).alias("r")
    return sa.select(*_key(registry, element, record), *lazy_footprint(record.c.region))


def lazy_footprint(region: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Return `FOOTPRINT_COLUMNS` of a region, each as a function call of its own."""
    circle: Any = _tapdb.bounding_circle(region, type_=sa.ARRAY(sa.Double()))
    return (
        *(circle[number].label(name) for number, name in enumerate(("s_ra", "s_dec", "s_fov"), start=1)),
        sa.func.substr(_tapdb.s_region(region), OUTLINE_START).label("outline"),
        sa.type_coerce(_tapdb.pgs_region(region), SPoly("public")).label("pgs_region"),
    )


def _key(registry: Registry, element: str, record: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [
        sa.cast(record.c[name], sa.Text()).label(name)
        if isinstance(record.c[name].type, sa.Text)
        else record.c[name]
        for name in footprint_key(registry, element)
    ]


_RUN = 1
"""Type of a RUN collection (``CollectionType`` of daf_butler)."""


def is_published(mapping: DatasetMapping, collection: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that a row of ``collection`` is a RUN collection that is published.

    These are those whose name one of the configuration's regular expressions matches as a whole; all, if it
    has none.
    """
    names = mapping.config.collection_rule.names
    matches = (
        sa.or_(*(collection.c.name.op("~")(to_postgres(name)) for name in names)) if names else sa.true()
    )
    return sa.and_(collection.c.type == _RUN, matches)


def key_of(prefix: str, parts: Iterable[sql.Composable]) -> sql.Composable:
    """Return the key of what is kept, of the values of dimensions."""
    texts = [sql.SQL("{}::text").format(part) for part in parts]
    return sql.SQL(" || '/' || ").join([sql.Literal(prefix), *texts])


def equal(one: str, mine: Sequence[str], other: str, theirs: Sequence[str]) -> sql.Composable:
    """Return the condition that columns of two relations are equal, one by one."""
    pairs = zip(mine, theirs, strict=True)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, left), sql.Identifier(other, right))
        for left, right in pairs
    )


def listed(columns: Sequence[str], alias: str | None = None) -> sql.Composable:
    """Return columns with commas between them."""
    return sql.SQL(", ").join(
        sql.Identifier(column) if alias is None else sql.Identifier(alias, column) for column in columns
    )


def listed_after(columns: Sequence[str], alias: str | None = None) -> sql.Composable:
    """Return columns with a comma before each."""
    return sql.SQL(", {}").format(listed(columns, alias)) if columns else sql.SQL("")


def assigned(columns: Sequence[str], alias: str, theirs: Sequence[str]) -> sql.Composable:
    """Return what sets columns to those of another relation."""
    return sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Identifier(alias, other))
        for column, other in zip(columns, theirs, strict=True)
    )


_BOTH = "(SELECT {columns} FROM changed UNION SELECT {columns} FROM gone)"
_EITHER = (
    "((SELECT {columns} FROM changed EXCEPT SELECT {columns} FROM gone) "
    "UNION (SELECT {columns} FROM gone EXCEPT SELECT {columns} FROM changed))"
)


def rows_by_event(columns: Sequence[str]) -> dict[str, sql.Composable]:
    """Return the relation with the key columns of the rows that an event concerns, by event."""
    both = sql.SQL(_BOTH).format(columns=listed(columns))
    return {"INSERT": sql.SQL("changed"), "UPDATE": both, "DELETE": sql.SQL("gone")}


def rows_that_differ(columns: Sequence[str]) -> sql.Composable:
    """Return the relation with columns of the rows of an UPDATE in which one of them has changed."""
    return sql.SQL(_EITHER).format(columns=listed(columns))


def rows_of(source: sql.Composable, condition: sql.Composable, rows: sql.Composable) -> sql.Composable:
    """Return the part of a FROM clause that reads the rows ``s`` of a source that belong to rows ``c``.

    They are looked up for each ``c`` by itself, and OFFSET 0 keeps it so. PostgreSQL may not try the order
    that begins with ``c``: a source may have as many relations as `join_collapse_limit` allows, or more; and
    it would then read all of the source. No statistics matter either, which a young registry lacks.

    Parameters
    ----------
    source
        The source.
    condition
        Condition on ``s`` and ``c``.
    rows
        What ``c`` is, with this name.
    """
    return sql.SQL("{} CROSS JOIN LATERAL (SELECT s.* FROM {} s WHERE {} OFFSET 0) s").format(
        rows, source, condition
    )
