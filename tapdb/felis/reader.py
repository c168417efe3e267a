"""Felis files as descriptions: what Rubin's schemas mean, with the line on which each part stands.

Felis' own model needs ten seconds for what lsst-sdm-schemas ships, forgets the lines, and is under the GPL;
it is the oracle of the tests, and not needed at run time.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import yaml

from tapdb.collecting import without_collecting
from tapdb.errors import DescriptionError, DescriptionProblem
from tapdb.felis.columns import COLUMN_KEYS, OVERRIDES, column_description
from tapdb.felis.keys import FoundColumn, FoundTable, key_descriptions
from tapdb.felis.nodes import YamlFile, YamlMapping, join_uri, read_yaml_file, scalar
from tapdb.hooks.descriptions import ColumnDescription, FelisSource, SchemaDescription, TableDescription

_SCHEMA_KEYS = frozenset({"name", "@id", "description", "votable:utype", "version", "resources", "tables"})
_TABLE_KEYS = frozenset(
    {
        *("name", "@id", "description", "votable:utype", "primaryKey", "tap:table_index"),
        *("mysql:engine", "mysql:charset", "columnRefs", "columns", "columnGroups", "constraints", "indexes"),
    }
)
_REFERENCE_KEYS = frozenset({"ref_name", "overrides"})

_LISTS = frozenset({"columns", "constraints", "columnGroups", "column_groups"})
"""Keys of a table whose values are lists of objects that share identifiers; indexes have their own."""

_RawTables = dict[str, dict[str, YamlMapping]]


def read_felis(sources: Iterable[str | FelisSource]) -> tuple[SchemaDescription, ...]:
    """Return what Felis files describe, one description a file.

    Parameters
    ----------
    sources
        Paths, resources such as ``resource://lsst.sdm.schemas/dp1.yaml``, or what a package says of one.

    Raises
    ------
    DescriptionError
        Raised for all that is wrong in the files, with file and line.
    """
    reader = FelisReader()
    problems: list[DescriptionProblem] = []
    found = []
    with without_collecting():
        for source in sources:
            given = source if isinstance(source, FelisSource) else FelisSource(uri=source)
            try:
                found.append(_adapted(reader.schema(given.uri), given))
            except DescriptionError as error:
                problems += error.problems
    if problems:
        raise DescriptionError(problems)
    return tuple(found)


class FelisReader:
    """Reads files, each of them once however many refer to it."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[YamlFile, YamlMapping]] = {}
        self._tables: dict[str, _RawTables] = {}
        # By the identity of the values, which live as long as the reader.
        self._sources: dict[int, YamlFile] = {}
        self._shared: dict[int, ColumnDescription | None] = {}

    def schema(self, uri: str) -> SchemaDescription:
        """Return the description in one file."""
        file, values = self.file(uri)
        name = values.values.get("name")
        if not isinstance(name, str) or not name:
            file.problem(
                values.line, "", "the schema has no name", "write name: and its name in the database"
            )
            name = ""
        if "tables" not in values.values:
            file.problem(values.line, name, "the schema has no tables", "write tables: and a list")
        tables = self._described_tables(file, values, name)
        description = file.text(values, "description", name)
        utype = file.text(values, "votable:utype", name)
        if file.problems:
            raise DescriptionError(file.problems)
        return SchemaDescription(
            name=name,
            tables=tables,
            description=description,
            utype=utype,
            place=file.place(values.line),
            notes=tuple(file.notes),
        )

    def file(self, uri: str) -> tuple[YamlFile, YamlMapping]:
        """Return a file and what it says of its schema."""
        if uri not in self._files:
            file = replace(read_yaml_file(uri), is_felis=True)
            self._files[uri] = file, file.mapping(file.root, "", _SCHEMA_KEYS)
        return self._files[uri]

    def found_tables(self, file: YamlFile, schema: YamlMapping, name: str) -> list[FoundTable]:
        """Return the tables of a file with all that they and their columns say of themselves."""
        found: list[FoundTable] = []
        for node in file.sequence(schema.values.get("tables"), name):
            values = file.mapping(node, name, _TABLE_KEYS)
            table = values.values.get("name")
            if not isinstance(table, str) or not table:
                file.problem(values.line, name, "a table has no name", "give it one")
                continue
            if any(table == other.name for other in found):
                file.problem(values.line, f"{name}.{table}", "the table is described twice", "keep one")
                continue
            own = f"{name}.{table}"
            columns = [
                *self._own_columns(file, values, own),
                *self._referenced_columns(file, schema, values, own),
            ]
            found.append(FoundTable(table, values, _unique(file, columns, own)))
        return found

    def _described_tables(
        self, file: YamlFile, schema: YamlMapping, name: str
    ) -> tuple[TableDescription, ...]:
        found = self.found_tables(file, schema, name)
        _check_identifiers(file, schema, name)
        keys = key_descriptions(file, name, found)
        return tuple(
            TableDescription(
                name=one.name,
                columns=tuple(column.description for column in one.columns),
                keys=keys[one.name],
                description=file.text(one.values, "description", f"{name}.{one.name}"),
                utype=file.text(one.values, "votable:utype", f"{name}.{one.name}"),
                index=file.number(one.values, "tap:table_index", f"{name}.{one.name}"),
                place=file.place(one.values.line),
            )
            for one in found
        )

    def _own_columns(self, file: YamlFile, table: YamlMapping, what: str) -> Iterable[FoundColumn]:
        for node in file.sequence(table.values.get("columns"), what):
            values = file.mapping(node, what, COLUMN_KEYS)
            column = column_description(file, values.values, values.line, what)
            if column is not None:
                identifier = values.values.get("@id") or f"#{table.values['name']}.{column.name}"
                yield FoundColumn(identifier, values.values, column)

    def _referenced_columns(
        self, file: YamlFile, schema: YamlMapping, table: YamlMapping, what: str
    ) -> Iterable[FoundColumn]:
        """Return the columns that a table takes over from those of other files."""
        references = table.values.get("columnRefs")
        if references is None:
            return
        identifier = table.values.get("@id") or f"#{table.values['name']}"
        resources = file.mapping(schema.values.get("resources"), what, None).values
        for resource, tables in file.mapping(references, what, None).values.items():
            others = self._resource_tables(file, resources, resource, what, table.line)
            for other, columns in file.mapping(tables, what, None).values.items():
                if others and other not in others:
                    file.problem(table.line, what, f"there is no table {other} in {resource}")
                elif others:
                    for name, values in self._references(file, columns, others[other], what):
                        if (column := self._taken_over(file, values, others[other], what)) is not None:
                            yield FoundColumn(f"{identifier}.{name}", values.values, column)

    def _references(
        self, file: YamlFile, columns: Any, others: dict[str, YamlMapping], what: str
    ) -> Iterable[tuple[str, YamlMapping]]:
        if not isinstance(columns, yaml.MappingNode):
            return
        for key, node in columns.value:
            name, line = key.value, key.start_mark.line + 1
            change = scalar(node)
            given = (
                file.mapping(node, f"{what}.{name}", _REFERENCE_KEYS, strict=True).values if change else {}
            )
            wanted = given.get("ref_name") or name
            if wanted not in others:
                file.problem(
                    line, f"{what}.{name}", f"there is no column {wanted} to refer to", "check ref_name"
                )
                continue
            overrides = (
                file.mapping(given.get("overrides"), f"{what}.{name}", OVERRIDES, strict=True).values
                if given
                else {}
            )
            if given:
                yield name, YamlMapping(line, others[wanted].values | overrides | {"name": name})
            else:
                yield name, others[wanted]

    def _taken_over(
        self, file: YamlFile, values: YamlMapping, others: dict[str, YamlMapping], what: str
    ) -> ColumnDescription | None:
        """Return a column of another file: as it stands there, once for all, or as it is changed here."""
        if values is not others.get(str(values.values["name"])):
            return column_description(file, values.values, values.line, what)
        key = id(values)
        if key not in self._shared:
            source = replace(self._sources[key], problems=file.problems)
            self._shared[key] = column_description(source, values.values, values.line, what)
        return self._shared[key]

    def _resource_tables(
        self, file: YamlFile, resources: dict[str, Any], name: str, what: str, line: int
    ) -> _RawTables:
        """Return the columns of another file, as they stand there, by table."""
        node = resources.get(name)
        if node is None:
            file.problem(line, what, f"there is no resource {name}", "name its file under resources:")
            return {}
        uri = file.mapping(node, what, frozenset({"uri"}), strict=True).values.get("uri")
        if not isinstance(uri, str):
            file.problem(line, what, f"resource {name} has no uri", "write uri: and its file")
            return {}
        uri = join_uri(file.uri, uri)
        if uri not in self._tables:
            self._tables[uri] = self._raw_tables(uri)
        return self._tables[uri]

    def _raw_tables(self, uri: str) -> _RawTables:
        file, schema = self.file(uri)
        found: _RawTables = {}
        for node in file.sequence(schema.values.get("tables"), uri):
            table = file.mapping(node, uri, _TABLE_KEYS)
            columns = [
                file.mapping(column, uri, COLUMN_KEYS)
                for column in file.sequence(table.values.get("columns"), uri)
            ]
            self._sources |= {id(one): file for one in columns}
            found[str(table.values.get("name"))] = {str(one.values.get("name")): one for one in columns}
        return found


def _check_identifiers(file: YamlFile, schema: YamlMapping, name: str) -> None:
    """Note every @id that two objects of a file have; those that are left out follow from names."""
    seen = {schema.values.get("@id")} - {None}
    for table in file.sequence(schema.values.get("tables"), name):
        waiting = [table]
        while waiting:
            node = waiting.pop(0)
            if isinstance(node, yaml.SequenceNode):
                waiting = [*node.value, *waiting]
            if not isinstance(node, yaml.MappingNode):
                continue
            for key, value in node.value:
                if str(key.value) in {"@id", "id"} and isinstance(value, yaml.ScalarNode):
                    if value.value in seen:
                        line = value.start_mark.line + 1
                        file.problem(line, name, f"the @id {value.value} stands here twice", "rename one")
                    seen.add(value.value)
            lists = [value for key, value in node.value if str(key.value) in _LISTS]
            waiting = [*lists, *waiting]


def _unique(file: YamlFile, columns: list[FoundColumn], what: str) -> tuple[FoundColumn, ...]:
    seen: set[str] = set()
    for column in (one.description for one in columns):
        if column.name in seen:
            line = column.place.line if column.place is not None else 0
            file.problem(line, f"{what}.{column.name}", "the column is described twice", "keep one of them")
        seen.add(column.name)
    return tuple(columns)


def _adapted(schema: SchemaDescription, source: FelisSource) -> SchemaDescription:
    """Return a description as a package that names the file wants it."""
    tables = tuple(
        replace(
            table,
            hidden=source.hidden | source.hidden_in.get(table.name, frozenset()),
            columns=(*table.columns, *source.columns, *source.columns_in.get(table.name, ())),
            only_described=source.only_described,
        )
        for table in schema.tables
        if table.name not in source.without
    )
    name = source.schema or schema.name
    if name != schema.name:
        tables = tuple(
            replace(table, keys=tuple(replace(key, target_schema=name) for key in table.keys))
            for table in tables
        )
    return replace(
        schema,
        name=name,
        tables=tables,
        description=source.description or schema.description,
        index=source.index,
        only_described=source.only_described,
    )
