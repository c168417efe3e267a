"""What services take values of published tables: descriptions for DataLink (DataLink 1.1 section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from tapdb.place import Place

__all__ = ["ParameterDescription", "ServiceDescription"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDescription:
    """An input of a service: the value of a column, a constant, or whatever the user gives.

    Attributes
    ----------
    name
        Name of the parameter.
    column
        Column of the table that gives the value.
    value
        Constant value.
    datatype, arraysize, xtype, unit, ucd
        Type and kind, where no column says it.
    description
        Meaning.
    place
        Where this description stands.
    """

    name: str
    column: str | None = None
    value: str | None = None
    datatype: str = "char"
    arraysize: str | None = "*"
    xtype: str | None = None
    unit: str | None = None
    ucd: str | None = None
    description: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDescription:
    """A service that takes values from rows of a table: a DataLink service descriptor.

    Attributes
    ----------
    id
        Identifier of the descriptor.
    schema, table
        Table whose rows it takes values of, as in the database.
    access_url
        URL; a path is relative to the site that publishes the table.
    standard_id, resource_identifier
        IVOA identifiers of the standard that it follows, and of the service.
    content_type
        Media type of what it returns.
    description
        Meaning.
    parameters
        Its inputs.
    place
        Where this description stands.
    """

    id: str
    schema: str
    table: str
    access_url: str
    standard_id: str | None = None
    resource_identifier: str | None = None
    content_type: str | None = None
    description: str | None = None
    parameters: tuple[ParameterDescription, ...] = ()
    place: Place | None = None
