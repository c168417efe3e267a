"""Diagrams from text: ``docs/diagrams/NAME.yaml`` becomes ``docs/images/NAME.svg``.

Code hosts show them too. Boxes stand on a grid, arrows join them. Colours are fit for light and dark pages,
and there is no style sheet in a picture, which a strict Content-Security-Policy would leave out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import yaml

__all__ = ["DIAGRAMS", "IMAGES", "draw"]

_DOCS = Path(__file__).resolve().parents[1] / "docs"
DIAGRAMS, IMAGES = _DOCS / "diagrams", _DOCS / "images"

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _TOP, _EDGE = 176, 58, 74, 30, 34, 4
# Fill, line: both have enough contrast with the text on them, and with white and near black around them.
_COLOURS = {"": ("#eef1f5", "#7b8794"), "ours": ("#d6ebff", "#2f7fc6")}
_TEXT, _FAINT, _LINE = "#16202b", "#3c4a58", "#7b8794"
_FONT = "font-family='system-ui, sans-serif'"


def draw(diagram: dict[str, Any]) -> str:
    """Return the SVG of a diagram.

    Parameters
    ----------
    diagram
        ``title`` for those who do not see it, ``columns`` with their headings, ``boxes`` by name (``at``
        column and row, ``name``, ``text``, ``colour``), ``arrows`` from box to box with a word.
    """
    boxes: dict[str, dict[str, Any]] = diagram["boxes"]
    columns = len(diagram["columns"])
    rows = 1 + max(one["at"][1] for one in boxes.values())
    width = 2 * _EDGE + columns * _WIDTH + (columns - 1) * _GAP_X
    height = 2 * _EDGE + _TOP + rows * _HEIGHT + (rows - 1) * _GAP_Y
    named = f"role='img' aria-label={quoteattr(diagram['title'])}"
    size = f"viewBox='0 0 {width} {height}' width='{width}' height='{height}'"
    head = "id='head' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} {named}>",
        f"<title>{escape(diagram['title'])}</title>",
        f"<defs><marker {head}><path d='M0 0L8 4L0 8z' fill='{_LINE}'/></marker></defs>",
    ]
    for number, heading in enumerate(diagram["columns"]):
        x = _EDGE + number * (_WIDTH + _GAP_X) + _WIDTH / 2
        parts.append(_words(x, 20, heading, size=13, colour=_LINE))
    parts += [_arrow(boxes[start]["at"], boxes[end]["at"], word) for start, end, word in diagram["arrows"]]
    parts += [_box(one) for one in boxes.values()]
    return "\n".join([*parts, "</svg>\n"])


def _box(box: dict[str, Any]) -> str:
    x, y = _corner(box["at"])
    fill, line = _COLOURS[box.get("colour", "")]
    frame = (
        f"<rect x='{x}' y='{y}' width='{_WIDTH}' height='{_HEIGHT}' rx='8' fill='{fill}' stroke='{line}' "
        "stroke-width='1.5'/>"
    )
    middle = x + _WIDTH / 2
    name = _words(middle, y + 25, box["name"], size=15, colour=_TEXT, weight=600)
    return "\n".join([frame, name, _words(middle, y + 44, box["text"], size=12.5, colour=_FAINT)])


def _arrow(start: list[int], end: list[int], word: str) -> str:
    (x1, y1), (x2, y2) = _corner(start), _corner(end)
    if start[0] == end[0]:
        path = f"M{x1 + _WIDTH / 2} {y1 + _HEIGHT}V{y2 - 2}"
    else:
        x1, x2, y1, y2 = x1 + _WIDTH, x2 - 2, y1 + _HEIGHT / 2, y2 + _HEIGHT / 2
        bend = (x1 + x2) / 2
        path = f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"
    line = f"<path d='{path}' fill='none' stroke='{_LINE}' stroke-width='1.5' marker-end='url(#head)'/>"
    return "\n".join(
        [line, _words((x1 + x2) / 2, (y1 + y2) / 2 - 8, word, size=12, colour=_LINE)] if word else [line]
    )


def _words(x: float, y: float, text: str, *, size: float, colour: str, weight: int = 400) -> str:
    place = f"x='{x:g}' y='{y:g}' text-anchor='middle'"
    look = f"{_FONT} font-size='{size:g}' font-weight='{weight}' fill='{colour}'"
    return f"<text {place} {look}>{escape(text)}</text>"


def _corner(at: list[int]) -> tuple[float, float]:
    column, row = at
    return _EDGE + column * (_WIDTH + _GAP_X), _EDGE + _TOP + row * (_HEIGHT + _GAP_Y)


def main() -> int:
    """Draw all diagrams that are not current, and say which."""
    for source in sorted(DIAGRAMS.glob("*.yaml")):
        picture = draw(yaml.safe_load(source.read_text(encoding="utf-8")))
        target = IMAGES / f"{source.stem}.svg"
        if not target.exists() or target.read_text(encoding="utf-8") != picture:
            target.write_text(picture, encoding="utf-8")
            print(f"Wrote docs/images/{target.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
