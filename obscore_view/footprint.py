"""Where on the sky records are: one SELECT over the regions of visits, detectors, tracts or patches.

The view either reads this SELECT as it stands, or a table that is kept equal to it (`obscore_view.kept`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from obscore_view.observation import butler_table
from obscore_view.snapshot import Registry
from tapdb.pgsphere import SPoly

__all__ = ["FOOTPRINT_COLUMNS", "decoded_select", "footprint_key", "lazy_select"]

FOOTPRINT_COLUMNS = ("s_ra", "s_dec", "s_fov", "outline", "pgs_region")
"""What is kept of a region: bounding circle (degrees, ICRS), vertices as text, pg_sphere polygon."""

_STCS_PREFIX_LENGTH = len("POLYGON ICRS ")


def footprint_key(registry: Registry, element: str) -> tuple[str, ...]:
    """Return the key columns of Butler's table of an element: ``("skymap", "tract", "id")`` for patch."""
    found = registry.universe.elements[element]
    return tuple(found.key if name == element and found.key else name for name in found.required)


def decoded_select(registry: Registry, element: str) -> sa.Select[Any]:
    """Return the SELECT that decodes all regions of an element at once, for a table to be filled from.

    Its columns are the element's key and `FOOTPRINT_COLUMNS`; records without a polygon have no row.
    """
    record = butler_table(registry, element).alias("r")
    decoded = (
        sa.func.tapdb.footprint(record.c.region)
        .table_valued("s_ra", "s_dec", "s_fov", "s_region", sa.column("pgs_region", SPoly("public")))
        .lateral("f")
    )
    # The kept text lacks what is the same for all: 13 bytes a region.
    outline = sa.func.substr(decoded.c.s_region, _STCS_PREFIX_LENGTH + 1).label("outline")
    return sa.select(
        *_key(registry, element, record),
        decoded.c.s_ra,
        decoded.c.s_dec,
        decoded.c.s_fov,
        outline,
        decoded.c.pgs_region,
    ).select_from(record.join(decoded, sa.true()))


def lazy_select(registry: Registry, element: str) -> sa.Select[Any]:
    """Return the SELECT with a function call for each column, made only for columns that are asked for.

    The polygon is the expression that an index over Butler's table has.
    """
    record = butler_table(registry, element).alias("r")
    functions = sa.func.tapdb
    circle: Any = functions.bounding_circle(record.c.region, type_=sa.ARRAY(sa.Double()))
    return sa.select(
        *_key(registry, element, record),
        *(circle[number].label(name) for number, name in enumerate(("s_ra", "s_dec", "s_fov"), start=1)),
        sa.func.substr(functions.s_region(record.c.region), _STCS_PREFIX_LENGTH + 1).label("outline"),
        sa.type_coerce(functions.pgs_region(record.c.region), SPoly("public")).label("pgs_region"),
    )


def _key(registry: Registry, element: str, record: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [
        sa.cast(record.c[name], sa.Text()).label(name)
        if isinstance(record.c[name].type, sa.Text)
        else record.c[name]
        for name in footprint_key(registry, element)
    ]
