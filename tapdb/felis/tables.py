"""Tables of PostgreSQL from a Felis file: columns, primary keys, unique constraints, checks and indexes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import yaml
from sqlalchemy.dialects import postgresql

from tapdb.errors import DescriptionError
from tapdb.felis.keys import CONSTRAINT_KEYS, FoundTable
from tapdb.felis.nodes import YamlFile, YamlMapping
from tapdb.felis.reader import FelisReader

_Type = sa.types.TypeEngine[Any]

_TYPES: Mapping[str, Callable[[int], _Type]] = {
    "boolean": lambda _: sa.BOOLEAN(),
    "byte": lambda _: sa.SMALLINT(),
    "short": lambda _: sa.SMALLINT(),
    "int": lambda _: sa.INTEGER(),
    "long": lambda _: sa.BIGINT(),
    "float": lambda _: sa.REAL(),
    "double": lambda _: sa.DOUBLE_PRECISION(),
    "char": sa.CHAR,
    "string": sa.VARCHAR,
    "unicode": sa.VARCHAR,
    "text": lambda _: sa.TEXT(),
    "binary": lambda _: postgresql.BYTEA(),
    "timestamp": lambda _: postgresql.TIMESTAMP(timezone=False),
}
_OVERRIDE = re.compile(r"(\w+)(?:\((\d+)\))?")
_KEYWORDS = frozenset({"CURRENT_TIMESTAMP", "NOW()", "LOCALTIMESTAMP", "NULL"})
_INDEX_KEYS = frozenset({"name", "@id", "description", "votable:utype", "columns", "expressions"})


@dataclass(frozen=True, slots=True)
class FelisTables:
    """The tables that a Felis file describes.

    Attributes
    ----------
    version
        Version of the schema; empty if the file has none.
    metadata
        The tables, in the order of the file; of no database schema, and without foreign keys.
    """

    version: str
    metadata: sa.MetaData


def read_tables(uri: str) -> FelisTables:
    """Return the tables of a Felis file.

    Foreign keys are left out: who fills tables in another order than that of the keys cannot have them.

    Parameters
    ----------
    uri
        Path, or resource such as ``resource://lsst.sdm.schemas/apdb.yaml``.

    Raises
    ------
    DescriptionError
        Raised for all that is wrong in the file, with its line.
    """
    reader = FelisReader()
    # A file that has no description has no tables: all of it is checked first.
    name = reader.schema(uri).name
    file, schema = reader.file(uri)
    metadata = sa.MetaData()
    for found in reader.found_tables(file, schema, name):
        _add_table(metadata, file, found, f"{name}.{found.name}")
    version = schema.values.get("version")
    if isinstance(version, yaml.MappingNode):
        version = file.mapping(version, name, None).values.get("current")
    if file.problems:
        raise DescriptionError(file.problems)
    return FelisTables("" if version is None else str(version), metadata)


def _add_table(metadata: sa.MetaData, file: YamlFile, found: FoundTable, what: str) -> None:
    columns = {
        one.identifier: _column(file, one.values, f"{what}.{one.description.name}") for one in found.columns
    }
    table = sa.Table(
        found.name, metadata, *columns.values(), comment=file.text(found.values, "description", what)
    )

    def named(node: Any, values: YamlMapping) -> list[sa.Column[Any]]:
        """Return columns by their identifiers; a text is a list of one."""
        nodes = file.sequence(node, what) if not isinstance(node, str) else [yaml.ScalarNode("", node)]
        wanted = [str(one.value) for one in nodes]
        for one in wanted:
            if one not in columns:
                file.problem(values.line, what, f"there is no column with the @id {one}", "check it")
        return [columns[one] for one in wanted if one in columns]

    key = found.values.values.get("primaryKey")
    if key is not None:
        table.append_constraint(sa.PrimaryKeyConstraint(*named(key, found.values)))
    for node in file.sequence(found.values.values.get("constraints"), what):
        constraint = file.mapping(node, what, CONSTRAINT_KEYS)
        match constraint.values.get("@type"):
            case "Unique":
                unique = named(constraint.values.get("columns"), constraint)
                table.append_constraint(sa.UniqueConstraint(*unique, **_facts(constraint.values)))
            case "Check":
                expression = sa.text(str(constraint.values.get("expression")))
                table.append_constraint(sa.CheckConstraint(expression, **_facts(constraint.values)))
    for node in file.sequence(found.values.values.get("indexes"), what):
        index = file.mapping(node, what, _INDEX_KEYS)
        expressions = [
            sa.text(str(one.value)) for one in file.sequence(index.values.get("expressions"), what)
        ]
        indexed = named(index.values.get("columns"), index)
        sa.Index(index.values.get("name"), *indexed, *expressions, _table=table)


def _column(file: YamlFile, values: Mapping[str, Any], what: str) -> sa.Column[Any]:
    default = values.get("value")
    is_sql = not isinstance(default, str) or default in _KEYWORDS
    autoincrement = values.get("autoincrement")
    return sa.Column(
        values["name"],
        _type(file, values, what),
        comment=values.get("description"),
        autoincrement="auto" if autoincrement is None else bool(autoincrement),
        nullable=bool(values.get("nullable", True)),
        server_default=None if default is None else sa.text(str(default)) if is_sql else default,
    )


def _type(file: YamlFile, values: Mapping[str, Any], what: str) -> _Type:
    override = values.get("postgresql:datatype")
    if override is None:
        if values["datatype"] == "timestamp" and (precision := values.get("precision")) is not None:
            return postgresql.TIMESTAMP(timezone=False, precision=precision)
        return _TYPES[values["datatype"]](values.get("length") or 0)
    known = _OVERRIDE.fullmatch(str(override))
    made = getattr(postgresql, known[1], None) if known is not None else None
    if known is None or not (isinstance(made, type) and issubclass(made, sa.types.TypeEngine)):
        file.problem(0, what, f"postgresql:datatype is {override}", "write a type of PostgreSQL in capitals")
        return sa.types.NullType()
    type_: Callable[..., _Type] = made
    return type_(int(known[2])) if known[2] is not None else type_()


def _facts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every constraint may say of itself."""
    return {
        "name": values.get("name"),
        "comment": values.get("description"),
        "deferrable": values.get("deferrable") or None,
        "initially": values.get("initially") or None,
    }
