"""Foreign keys of a Felis file: constraints that name columns by their identifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tapdb.felis.nodes import YamlFile, YamlMapping, shown
from tapdb.hooks.descriptions import ColumnDescription, KeyDescription

CONSTRAINT_KEYS = frozenset(
    {
        *("name", "@id", "@type", "description", "votable:utype", "deferrable", "initially"),
        *("columns", "referencedColumns", "expression", "on_delete", "on_update"),
    }
)
"""What a constraint may say of itself."""

_TYPES = {"ForeignKey": ("columns", "referencedColumns"), "Unique": ("columns",), "Check": ()}
"""Types of constraints, and which of their keys name columns."""


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column of a Felis file while it is read.

    Attributes
    ----------
    identifier
        What constraints call it by.
    values
        What it says of itself.
    description
        The same as a description.
    """

    identifier: str
    values: Mapping[str, Any]
    description: ColumnDescription


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table of a Felis file while it is read.

    Attributes
    ----------
    name
        Its name.
    values
        What it says of itself.
    columns
        Its columns.
    """

    name: str
    values: YamlMapping
    columns: tuple[FoundColumn, ...]


def key_descriptions(
    file: YamlFile, schema: str, tables: Sequence[FoundTable]
) -> dict[str, tuple[KeyDescription, ...]]:
    """Return the foreign keys of all tables of a file, by table."""
    columns = {
        column.identifier: (table.name, column.description.name)
        for table in tables
        for column in table.columns
    }
    names: set[str] = set()
    return {
        table.name: tuple(
            key
            for node in file.sequence(table.values.values.get("constraints"), f"{schema}.{table.name}")
            if (key := _key(file, schema, table, node, columns, names)) is not None
        )
        for table in tables
    }


def _key(
    file: YamlFile,
    schema: str,
    table: FoundTable,
    node: yaml.Node,
    columns: dict[str, tuple[str, str]],
    names: set[str],
) -> KeyDescription | None:
    what = f"{schema}.{table.name}"
    constraint = file.mapping(node, what, CONSTRAINT_KEYS)
    values = constraint.values
    name = values.get("name")
    if not isinstance(name, str):
        file.problem(constraint.line, what, "a constraint has no name", "give it one")
        return None
    if name in names:
        file.problem(constraint.line, what, f"there are two constraints {name}", "rename one of them")
    names.add(name)
    kind = values.get("@type")
    if kind not in _TYPES:
        problem = (
            f"constraint {name} has the @type {shown(kind)}" if kind else f"constraint {name} has no @type"
        )
        file.problem(constraint.line, what, problem, f"write one of {', '.join(_TYPES)}")
        return None
    if kind == "Check" and not isinstance(values.get("expression"), str):
        file.problem(constraint.line, what, f"constraint {name} has no expression", "write one")
    if kind != "ForeignKey":
        for key in _TYPES[kind]:
            found = _columns(file, values, key, what, constraint.line, columns) or []
            for other in sorted({origin for origin, _ in found} - {table.name}):
                problem = f"constraint {name} has columns of {other}"
                file.problem(constraint.line, what, problem, "name columns of this table")
        return None
    own = _columns(file, values, "columns", what, constraint.line, columns)
    others = _columns(file, values, "referencedColumns", what, constraint.line, columns)
    if own is None or others is None:
        return None
    targets = {target for target, _ in others}
    if len(own) != len(others) or len(targets) != 1 or {origin for origin, _ in own} != {table.name}:
        file.problem(
            constraint.line,
            what,
            f"foreign key {name} goes from {len(own)} columns of {', '.join(sorted({t for t, _ in own}))} "
            f"to {len(others)} of {', '.join(sorted(targets))}",
            "name as many columns of this table as of the one that it refers to",
        )
        return None
    return KeyDescription(
        name=name,
        columns=tuple(column for _, column in own),
        target_schema=schema,
        target_table=targets.pop(),
        target_columns=tuple(column for _, column in others),
        description=file.text(constraint, "description", f"{what}.{name}"),
        utype=file.text(constraint, "votable:utype", f"{what}.{name}"),
        place=file.place(constraint.line),
    )


def _columns(
    file: YamlFile,
    values: dict[str, Any],
    key: str,
    what: str,
    line: int,
    columns: dict[str, tuple[str, str]],
) -> list[tuple[str, str]] | None:
    """Return the tables and names of the columns that a constraint lists; `None` if one cannot be found."""
    identifiers = [str(node.value) for node in file.sequence(values.get(key), what)]
    unknown = [one for one in identifiers if one not in columns]
    for one in unknown:
        file.problem(line, what, f"{key} names {one}, which no column has as its @id", "check it")
    if not identifiers and (values.get(key) is None or values.get("@type") == "ForeignKey"):
        file.problem(line, what, f"{key} of a constraint names no column", "write a list of their @id")
    if unknown or not identifiers:
        return None
    return [columns[one] for one in identifiers]
