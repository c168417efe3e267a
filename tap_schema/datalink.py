"""Service descriptors in a YAML file: which services take values of which columns of a table.

::

    services:
    - id: links
      table: ivoa.ObsCore
      access_url: /api/datalink/links
      standard_id: ivo://ivoa.net/std/DataLink#links-1.1
      content_type: application/x-votable+xml;content=datalink
      description: Links to a dataset and to what belongs to it
      parameters:
      - {name: ID, column: obs_publisher_did}
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import yaml

from adql.names import split_name
from tap_schema.column_types import DATATYPES
from tapdb.errors import DescriptionError, DescriptionProblem
from tapdb.felis.nodes import YamlFile, read_yaml_file, shown
from tapdb.hooks.descriptions import ParameterDescription, ServiceDescription

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SERVICE = frozenset(
    {
        *("id", "table", "access_url", "standard_id", "resource_identifier", "content_type"),
        *("description", "parameters"),
    }
)
_PARAMETER = frozenset(
    {*("name", "column", "value", "datatype", "arraysize", "xtype", "unit", "ucd", "description")}
)


def read_services(files: Iterable[str]) -> tuple[ServiceDescription, ...]:
    """Return the services that YAML files describe.

    Parameters
    ----------
    files
        Paths, or resources such as ``resource://package/services.yaml``.

    Raises
    ------
    DescriptionError
        Raised for all that is wrong in the files, with file and line.
    """
    problems: list[DescriptionProblem] = []
    found: list[ServiceDescription] = []
    for uri in files:
        file = read_yaml_file(uri)
        root = file.mapping(file.root, "", frozenset({"services"}))
        nodes = file.sequence(root.values.get("services"), "services")
        for node in nodes:
            if (one := _service(file, node)) is not None:
                if any(one.id == other.id for other in found):
                    line = one.place.line if one.place is not None else 0
                    file.problem(line, one.id, "the service is described twice", "keep one of them")
                found.append(one)
        problems += file.problems
    if problems:
        raise DescriptionError(problems)
    return tuple(found)


def _service(file: YamlFile, node: Any) -> ServiceDescription | None:
    service = file.mapping(node, "services", _SERVICE)
    values = service.values
    missing = [name for name in ("id", "table", "access_url") if not isinstance(values.get(name), str)]
    for name in missing:
        file.problem(service.line, "services", f"a service has no {name}", f"write {name}:")
    if missing:
        return None
    if not _IDENTIFIER.fullmatch(values["id"]):
        remedy = "write letters, digits, _, - and ., a letter or _ first: it becomes an ID of XML"
        file.problem(service.line, "services", f"a service has the id {values['id']}", remedy)
    table = split_name(values["table"])
    if len(table) != 2:  # noqa: PLR2004 - schema and table
        file.problem(
            service.line, values["id"], f"table {values['table']} has no schema", "write schema.table"
        )
        return None
    parameters = [
        one
        for entry in file.sequence(values.get("parameters"), values["id"])
        if (one := _parameter(file, entry, values["id"])) is not None
    ]
    for name, count in Counter(one.name for one in parameters).items():
        if count > 1:
            file.problem(
                service.line, f"{values['id']}.{name}", "the parameter is described twice", "keep one"
            )
    return ServiceDescription(
        id=values["id"],
        schema=table[0],
        table=table[1],
        access_url=values["access_url"],
        standard_id=file.text(service, "standard_id", values["id"]),
        resource_identifier=file.text(service, "resource_identifier", values["id"]),
        content_type=file.text(service, "content_type", values["id"]),
        description=file.text(service, "description", values["id"]),
        parameters=tuple(parameters),
        place=file.place(service.line),
    )


def _parameter(file: YamlFile, node: Any, service: str) -> ParameterDescription | None:
    parameter = file.mapping(node, service, _PARAMETER)
    values = parameter.values
    if not isinstance(values.get("name"), str):
        file.problem(parameter.line, service, "a parameter has no name", "write name:")
        return None
    if values.get("column") is not None and values.get("value") is not None:
        what = f"{service}.{values['name']}"
        file.problem(parameter.line, what, "it has a column and a value", "keep one of them")
    for name, value in values.items():
        if isinstance(value, yaml.Node):
            file.problem(parameter.line, service, f"{name} is {shown(value)}", "write a single value")
    # As it is written: to YAML 010 would be 8, and yes would be true.
    texts = {
        key.value: value.value.strip()
        for key, value in node.value
        if isinstance(value, yaml.ScalarNode) and values.get(key.value) is not None
    }
    if texts.get("datatype", "char") not in DATATYPES:
        what = f"{service}.{values['name']}"
        remedy = f"write one of {', '.join(sorted(DATATYPES))}"
        file.problem(parameter.line, what, f"its datatype is {texts['datatype']}", remedy)
    return ParameterDescription(
        name=texts["name"],
        column=texts.get("column"),
        value=texts.get("value"),
        datatype=texts.get("datatype", "char"),
        arraysize=texts.get("arraysize", "*" if texts.get("datatype", "char") == "char" else None),
        xtype=texts.get("xtype"),
        unit=texts.get("unit"),
        ucd=texts.get("ucd"),
        description=texts.get("description"),
        place=file.place(parameter.line),
    )
