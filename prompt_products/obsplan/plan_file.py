"""A schedule: CSV with a header, or JSON with a list of objects; columns by the names of ObsLocTAP."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prompt_products.errors import PlanRefusedError
from prompt_products.obsplan.plan_columns import NAMES, NUMBERS

DEFAULTS: Mapping[str, Any] = {
    "category": "Other",
    "priority": 1,
    "execution_status": "Planned",
    "tracking_type": "Sidereal",
}
"""What a schedule need not say."""


def read_plan(path: Path, given: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of the line or object, from 1, and the values of each observation of a schedule.

    Parameters
    ----------
    path
        File, ``.json`` or else CSV.
    given
        Values of columns that the schedule leaves out.

    Raises
    ------
    PlanRefusedError
        Raised if it is no such file, a column has another name, or a value is not a number.
    """
    for number, row in _rows(path):
        unknown = sorted(set(row) - set(NAMES), key=str)
        if unknown:
            raise PlanRefusedError(
                path.name,
                number,
                f"{unknown[0]} is no column of ObsLocTAP",
                f"columns are {', '.join(NAMES)}",
            )
        values = {name: _value(path, number, name, value) for name, value in row.items()}
        said = {name: value for name, value in values.items() if value is not None}
        yield number, {**DEFAULTS, **given, **said}


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanRefusedError(path.name, None, "it is not text in UTF-8", "give CSV or JSON") from error
    except OSError as error:
        raise PlanRefusedError(
            path.name, None, str(error.strerror), "name a file that can be read"
        ) from error
    if path.suffix.lower() != ".json":
        yield from _lines(path, text)
        return
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PlanRefusedError(path.name, None, f"it is not JSON: {error}", "mend it") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PlanRefusedError(path.name, None, "it is not a list of objects", "write [{...}, ...]")
    yield from enumerate(found, start=1)


def _lines(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise PlanRefusedError(
                    path.name, reader.line_num, "the line has not as many fields as the header", "mend it"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise PlanRefusedError(path.name, reader.line_num, f"it is not CSV: {error}", "mend it") from error


def _value(path: Path, number: int, name: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, (list, dict, bool)):
        raise PlanRefusedError(path.name, number, f"{name} is no text and no number", "mend it")
    if name not in NUMBERS:
        text = str(value)
        if "\0" in text:
            raise PlanRefusedError(path.name, number, f"{name} has a NUL in it", "take it out")
        return text
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise PlanRefusedError(path.name, number, f"{name} is {value!r}, not a number", "mend it")
    return found
