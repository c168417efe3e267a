"""Python format strings as SQL: each replacement field as the text that `str.format` would put there."""

from functools import reduce
from typing import Any

import sqlalchemy as sa

from obscore_view.config.template import (
    DatasetId,
    DatasetTypeName,
    DimensionKey,
    EarlierColumn,
    FormatSpec,
    Literal,
    RecordField,
    ReplacementField,
    RunName,
    Template,
)
from obscore_view.errors import MappingError
from obscore_view.select.kept_rows import OBSERVATIONS
from obscore_view.select.relations import BranchJoins

ColumnValues = dict[str, sa.ColumnElement[Any]]
"""What is known by name when a string is filled: ``id``, ``run``, ``dataset_type``, columns set before."""


def field_value(
    field: ReplacementField, relations: BranchJoins, values: ColumnValues
) -> sa.ColumnElement[Any] | None:
    """Return the value that a field stands for, in its own type; None if the datasets lack it."""
    if field.steps:
        raise MappingError(
            f"{{{field.reference}}}", "attributes can be taken of records only", "write {records[x].y}"
        )
    match field.reference:
        case DimensionKey(name):
            return relations.dimension(name)
        case RecordField(element, path):
            return relations.record(element, path)
        case EarlierColumn(name):
            return values.get(name)
        case DatasetId():
            return values["id"]
        case RunName():
            return values["run"]
        case DatasetTypeName():
            return values["dataset_type"]


def missing_reference(template: Template, relations: BranchJoins, values: ColumnValues) -> str | None:
    """Return what a format string refers to and the datasets lack (Python's KeyError); None if nothing."""
    for part in template.parts:
        if isinstance(part, ReplacementField) and field_value(part, relations, values) is None:
            return str(part.reference)
    return None


def template_text(
    template: Template, relations: BranchJoins, values: ColumnValues
) -> sa.ColumnElement[Any] | None:
    """Return the text of a format string; None if the datasets lack something that it refers to.

    A NULL in the registry is the text ``None``, as in Python.

    Raises
    ------
    MappingError
        Raised for a record field that does not exist, or a format that SQL cannot write.
    """
    parts: list[sa.ColumnElement[Any]] = []
    for part in template.parts:
        if isinstance(part, Literal):
            parts.append(sa.literal(part.text, sa.Text()))
            continue
        value = field_value(part, relations, values)
        if value is None:
            return None
        parts.append(_text(value, part, template))
    if not parts:
        return sa.literal("", sa.Text())
    return reduce(lambda left, right: left.concat(right), parts)


def _text(value: sa.ColumnElement[Any], field: ReplacementField, template: Template) -> sa.ColumnElement[Any]:
    if field.conversion in {"r", "a"}:
        raise MappingError(
            template.text, f"the conversion !{field.conversion} cannot be written in SQL", "leave it out"
        )
    spec = field.spec
    if spec is None:
        text = _plain(value)
    elif field.conversion == "s":
        # The text is formatted, that of a NULL too.
        return _formatted(sa.func.coalesce(_plain(value), "None", type_=sa.Text()), spec, template)
    else:
        text = _formatted(value, spec, template)
    # Keys are never NULL; fields of records may be. Text of visits and exposures has that seen to already.
    is_text = isinstance(value.type, sa.Text) and spec is None
    if isinstance(field.reference, RecordField) and not (is_text and field.reference.element in OBSERVATIONS):
        return sa.func.coalesce(text, "None", type_=sa.Text())
    return text


def _plain(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a value as Python's ``str`` writes it."""
    if isinstance(value.type, sa.Double | sa.Float):
        return sa.func.tapdb.python_float(value, type_=sa.Text())
    if isinstance(value.type, sa.Boolean):
        return sa.case((value, "True"), (~value, "False"))
    return sa.cast(value, sa.Text())


def _formatted(value: sa.ColumnElement[Any], spec: FormatSpec, template: Template) -> sa.ColumnElement[Any]:
    """Return a value formatted as Python's mini-language says, for integers, fixed-point numbers and text."""
    if isinstance(value.type, sa.Boolean):
        value = sa.cast(value, sa.Integer())
    is_integer = isinstance(value.type, sa.Integer)
    is_float = isinstance(value.type, sa.Double | sa.Float)
    kind = spec.type or ("d" if is_integer else "s")
    known = (kind == "d" and is_integer and spec.precision is None) or (
        kind == "f" and (is_float or is_integer)
    )
    known = known or (kind == "s" and not is_integer and not is_float)
    if not known or spec.sign in {"+", " "} or spec.alternate or spec.grouping or spec.align == "=":
        raise MappingError(
            template.text,
            f"the format :{spec.text} cannot be written in SQL",
            "use :d, :03d, :.2f, :s, :>8 or :<8",
        )
    text: sa.ColumnElement[Any]
    if kind == "f":
        places = 6 if spec.precision is None else spec.precision
        text = sa.func.tapdb.python_fixed(sa.cast(value, sa.Double()), places, type_=sa.Text())
    else:
        text = sa.cast(value, sa.Text())
        if spec.precision is not None:
            text = sa.func.left(text, spec.precision)
    if spec.width is None:
        return text
    if spec.zero and spec.align is None and kind in "df":
        digits = sa.func.ltrim(text, "-")
        sign = sa.case((text.like("-%"), "-"), else_="")
        width = sa.func.greatest(spec.width - sa.func.length(sign), sa.func.length(digits))
        return sign.concat(sa.func.lpad(digits, width, "0"))
    width = sa.func.greatest(sa.literal(spec.width), sa.func.length(text))
    align = spec.align or ("<" if kind == "s" else ">")
    if align == "^":
        raise MappingError(
            template.text, f"the format :{spec.text} cannot be written in SQL", "align with < or >"
        )
    pad = sa.func.rpad if align == "<" else sa.func.lpad
    return pad(text, width, spec.fill or ("0" if spec.zero else " "), type_=sa.Text())
