"""A lineage as a tree of text, as a picture (SVG) and as JSON."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from external_code.provenance.lineage import Lineage

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 250, 46, 90, 18, 12
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>"""
_LONGEST = 44
COLOURS = {
    "dataset": "#fff7d6",
    "missing": "#eeeeee",
    "unknown": "#f5f5f5",
    "success": "#dbeafe",
    "failure": "#fecaca",
}
"""Colours of boxes: of datasets, made or not, and of executions by status."""


def lineage_tree(lineage: Lineage) -> str:
    """Return a lineage as lines of text; what stands higher up already is named, not repeated.

    Parameters
    ----------
    lineage
        The lineage.
    """
    return "\n".join(_tree_lines(lineage, lineage.dataset, "", "", set())) + "\n"


def _tree_lines(lineage: Lineage, dataset: UUID, first: str, rest: str, seen: set[UUID]) -> Iterator[str]:
    title = " ".join(_title(lineage, dataset))
    quantum = lineage.made_by.get(dataset)
    if quantum is not None and dataset in seen:
        yield f"{first}{title} (see above)"
        return
    seen.add(dataset)
    yield f"{first}{title}"
    if quantum is None:
        return
    yield f"{rest}└─ made by {' '.join(_quantum_title(lineage, quantum))}"
    parts = _ordered(lineage, lineage.read_by[quantum])
    for number, one in enumerate(parts):
        last = number == len(parts) - 1
        yield from _tree_lines(
            lineage, one, f"{rest}   {'└─' if last else '├─'} ", f"{rest}   {'   ' if last else '│  '}", seen
        )


def _ordered(lineage: Lineage, datasets: list[UUID]) -> list[UUID]:
    return sorted(datasets, key=lambda one: (*_title(lineage, one), str(one)))


def _title(lineage: Lineage, dataset: UUID) -> tuple[str, str]:
    found = lineage.datasets.get(dataset)
    if found is None:
        return "dataset", str(dataset)
    values = " ".join(f"{name}={value}" for name, value in sorted(found.data_id.items()))
    missing = "" if found.produced else " (not made)"
    return found.dataset_type, f"{values} [{found.run}]{missing}"


def _quantum_title(lineage: Lineage, quantum: UUID) -> tuple[str, str]:
    found = lineage.quanta.get(quantum)
    return (str(quantum), "") if found is None else (found.task, f"({found.status})")


def lineage_json(lineage: Lineage) -> dict[str, Any]:
    """Return a lineage as plain values.

    Parameters
    ----------
    lineage
        The lineage.
    """
    return {
        "dataset": str(lineage.dataset),
        "datasets": [
            {
                "dataset": str(one.dataset),
                "dataset_type": one.dataset_type,
                "run": one.run,
                "data_id": dict(one.data_id),
                "produced": one.produced,
                "level": lineage.levels[identifier],
            }
            for identifier, one in lineage.datasets.items()
        ],
        "quanta": [
            {"quantum": str(one.quantum), "task": one.task, "status": one.status}
            for one in lineage.quanta.values()
        ],
        "made_by": {str(made): str(quantum) for made, quantum in lineage.made_by.items()},
        "used": {str(quantum): [str(one) for one in used] for quantum, used in lineage.read_by.items()},
    }


def lineage_svg(lineage: Lineage) -> str:
    """Return a lineage as a picture: what a dataset was made of is left of it, time goes to the right.

    Parameters
    ----------
    lineage
        The lineage.
    """
    places = _places(lineage)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    parts = [_HEAD.format(width=width, height=height)]
    for made, quantum in lineage.made_by.items():
        parts.append(_arrow(places[quantum], places[made]))
    for quantum, used in lineage.read_by.items():
        parts += [_arrow(places[one], places[quantum]) for one in used]
    for one, place in places.items():
        parts.append(_box(lineage, one, place))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(lineage: Lineage) -> dict[UUID, tuple[int, int]]:
    """Return the upper left corner of each box: a column for each level of datasets, and of executions."""
    columns: dict[int, list[UUID]] = defaultdict(list)
    for dataset, level in lineage.levels.items():
        columns[2 * level].append(dataset)
    for made, quantum in lineage.made_by.items():
        column = columns[2 * lineage.levels[made] + 1]
        if quantum not in column:
            column.append(quantum)
    last = max(columns)
    places: dict[UUID, tuple[int, int]] = {}
    for number, column in columns.items():
        for row, one in enumerate(column):
            places.setdefault(
                one, (_MARGIN + (last - number) * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
            )
    return places


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x1, y1 = end[0], end[1] + _HEIGHT // 2
    middle = (x0 + x1) // 2
    path = f"M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}"
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#arrow)"/>'


def _box(lineage: Lineage, one: UUID, place: tuple[int, int]) -> str:
    x, y = place
    if one in lineage.read_by:
        title, more = _quantum_title(lineage, one)
        quantum = lineage.quanta.get(one)
        status = "unknown" if quantum is None else quantum.status
        colour, radius = COLOURS.get(status, COLOURS["unknown"]), _HEIGHT // 2
    else:
        title, more = _title(lineage, one)
        dataset = lineage.datasets.get(one)
        colour, radius = COLOURS["missing" if dataset is None or not dataset.produced else "dataset"], 3
    short = more if len(more) <= _LONGEST else f"{more[:_LONGEST]}…"
    return (
        f"<g><title>{escape(f'{title} {more} {one}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}" '
        f'fill="{colour}" stroke="#333"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-weight="bold">{escape(title)}</text>'
        f'<text x="{x + 10}" y="{y + 36}" font-size="10">{escape(short)}</text></g>'
    )
