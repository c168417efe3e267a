"""Notebooks as tests see them: executed, with what they have drawn as numbers."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import nbformat
import sqlalchemy as sa

from tools.notebooks import NOTEBOOKS, example_service, execute

__all__ = [
    "CURVES",
    "PATCHES",
    "REGIONS",
    "corners_of",
    "from_plane",
    "light_curve",
    "read_notebook",
    "run_notebook",
    "shape",
    "texts",
]

PATCHES = """
import json
drawn = {kind: [] for kind in colours}
for patch in axes.patches:
    if patch.get_label() in drawn:
        drawn[patch.get_label()].append(patch.get_xy()[:-1].tolist())
print(json.dumps(drawn))
"""
"""Cell that prints the polygons of a figure by kind, in degrees of its plane."""

CURVES = """
import json
panels = []
for axes in figure.axes:
    points = []
    for container in axes.containers:
        line, _, (bars,) = container.lines
        for (x, y), ((_, low), (_, high)) in zip(line.get_xydata(), bars.get_segments(), strict=True):
            points.append([float(x), float(y), round(float(high - low) / 2, 2)])
    panels.append(sorted(points))
print(json.dumps({"panels": panels, "record": record.to_json()}))
"""
"""Cell that prints the points of each panel of a figure with their errors, and the record."""

REGIONS = """
    SELECT s_region FROM ivoa.obscore
    WHERE dataproduct_subtype IN ('lsst.visit_image', 'lsst.deep_coadd', 'lsst.difference_image')
    AND pgs_region && scircle '<(0d, 0d), 1d>'
"""
"""What the notebook draws, in the words of pg_sphere."""

_CURVE = """
    SELECT "midpointMjdTai", "psfFlux"::float8, round("psfFluxErr"::numeric, 2)::float8 FROM ppdb."DiaSource"
    WHERE "timeWithdrawnMjdTai" IS NULL AND "diaObjectId" = (
        SELECT "diaObjectId" FROM ppdb."DiaSource"
        WHERE "timeWithdrawnMjdTai" IS NULL AND "diaObjectId" IS NOT NULL
        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1
    )
"""


def light_curve(connection: sa.Connection) -> list[list[float]]:
    """Return time, flux and error of the object with the most detections, as PostgreSQL has them now."""
    return sorted([float(value) for value in row] for row in connection.execute(sa.text(_CURVE)))


def corners_of(region: str) -> list[tuple[float, float]]:
    """Return the corners of ``POLYGON ICRS ra dec ...``."""
    numbers = [float(one) for one in region.split()[2:]]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def from_plane(x: float, y: float) -> tuple[float, float]:
    """Return the position of a point of the plane that touches the sky at RA 0, Dec 0, all in degrees."""
    longitude = math.atan(math.radians(x))
    return math.degrees(longitude), math.degrees(math.atan(math.radians(y) * math.cos(longitude)))


def read_notebook(name: str) -> Any:
    """Return a notebook as it is stored."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def run_notebook(name: str, probe: str) -> tuple[Any, Any]:
    """Execute a notebook in the database and the folder of the environment.

    Parameters
    ----------
    name
        Its name.
    probe
        Cell that is run after its last one, and prints JSON.

    Returns
    -------
    tuple
        The notebook with its outputs, and what the probe printed.
    """
    environment = dict(os.environ)
    with example_service(Path.cwd(), environment) as url:
        content, (printed,) = execute(NOTEBOOKS / f"{name}.ipynb", url, environment, [probe])
    return content, json.loads(printed)


def texts(content: Any) -> list[str]:
    """Return what the cells of a notebook print."""
    return [output["text"] for output in _outputs(content) if output["output_type"] == "stream"]


def shape(content: Any) -> list[tuple[str, list[str]]]:
    """Return of what kind the outputs of a notebook are."""
    return [(output["output_type"], sorted(output.get("data", ()))) for output in _outputs(content)]


def _outputs(content: Any) -> list[Any]:
    return [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]
