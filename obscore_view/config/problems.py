"""What pydantic found wrong with a configuration, in words of the configuration."""

import difflib
import json
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from obscore_view.config.model import Section
from tapdb.errors import likeliest

Problem = tuple[tuple[str | int, ...], str, str]
"""Path in the configuration, what was found, what to do."""

_MISSING = "required, but missing"
_UNKNOWN = "unknown key"
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "date_type": "a date, YYYY-MM-DD",
    "date_from_datetime_parsing": "a date, YYYY-MM-DD",
    "datetime_type": "a date or time, YYYY-MM-DDThh:mm:ss",
    "datetime_from_date_parsing": "a date or time, YYYY-MM-DDThh:mm:ss",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "union_tag_not_found": "a constant or a mapping with a template",
}
_WIDTH = 60
_NAMES = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "a truth value",
    int: "a number",
    float: "a number",
}


def explain(error: ValidationError, model: type[Section]) -> list[Problem]:
    """Return what is wrong with the input of a model, each with its path and a remedy."""
    findings: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if not str(part).startswith("("))
        finding = (path, *_words(detail, path, model))
        # The branches of a union each complain about the same value.
        if not any(path == other[0] for other in findings):
            findings.append(finding)
    mistyped = {(*path[:-1], advice) for path, problem, advice in findings if problem == _UNKNOWN}
    return [
        finding
        for finding in findings
        if finding[1] != _MISSING or (*finding[0][:-1], _meant(str(finding[0][-1]))) not in mistyped
    ]


def _meant(name: str) -> str:
    return f'did you mean "{name}"?'


def _words(detail: ErrorDetails, path: Sequence[str | int], model: type[Section]) -> tuple[str, str]:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return _MISSING, f"add it: {_describe(path, model)}"
    if kind == "extra_forbidden":
        return _UNKNOWN, _advise_key(str(path[-1]), _section_at(path[:-1], model), model)
    expected = _EXPECTED.get(kind)
    if kind in {"enum", "literal_error"}:
        expected = str(detail["ctx"]["expected"])
    elif kind == "value_error":
        expected = str(detail["ctx"]["error"])
    elif kind in {"too_short", "too_long", "missing_argument"}:
        expected = f"a list of {detail['ctx'].get('min_length', detail['ctx'].get('max_length'))}"
    remedy = "put it in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"found {_show(value)}, expected {expected or detail['msg']}", remedy


def _advise_key(key: str, section: type[Section], root: type[Section]) -> str:
    known = section.model_fields
    if difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return likeliest(key, known)
    if key in root.model_fields:
        return "move it to the top level"
    for place, field in root.model_fields.items() if section is root else ():
        inner = _section_in(field.annotation)
        if inner is not None and key in inner.model_fields:
            return f"move it into {place}"
    return likeliest(key, known)


def _section_at(path: Sequence[str | int], root: type[Section]) -> type[Section]:
    """Return the section that a path leads into; names of dataset types and the like are passed over."""
    section = root
    named: type[Section] | None = None
    for part in path:
        if named is not None:
            section, named = named, None
        elif part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if (inner := _section_in(annotation)) is None:
                continue
            if _is_mapping(annotation):
                named = inner
            else:
                section = inner
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _describe(path: Sequence[str | int], root: type[Section]) -> str:
    field = _section_at(path[:-1], root).model_fields.get(str(path[-1]))
    return " ".join((field.description if field and field.description else "it has no default").split())


def _show(value: object) -> str:
    """Return a value as a user of YAML would speak of it."""
    if value is None:
        return "nothing"
    text = json.dumps(value, default=str)
    return f"{_NAMES.get(type(value), 'a value')} {text if len(text) <= _WIDTH else f'{text[:_WIDTH]}...'}"
