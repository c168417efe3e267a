"""A table that is to be published: what exists, beside what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tap_schema.catalog import LiveTable
from tap_schema.identifiers import matched_names, published_names
from tapdb.descriptions import ColumnDescription, TableDescription
from tapdb.place import Place

__all__ = ["PublishedTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """A table with its published name.

    Attributes
    ----------
    schema
        Published name of its schema.
    table_name
        Published name, with the schema.
    index
        Order within the schema.
    live
        What exists.
    description
        What it means; `None` if nobody says so.
    described
        Descriptions of its columns by their names in the database.
    columns
        Published names of its columns by their names in the database; hidden ones are not in it. A name is
        spelled as its description spells it, else as the database does.
    """

    schema: str
    table_name: str
    index: int
    live: LiveTable
    description: TableDescription | None
    described: Mapping[str, ColumnDescription] = field(init=False, repr=False)
    columns: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        said = {one.name: one for one in self.description.columns} if self.description else {}
        matched = matched_names(said, (one.name for one in self.live.columns))
        described = {name: said[spelling] for name, spelling in matched.items()}
        hidden = self.description.hidden if self.description else frozenset()
        only_described = self.description is not None and self.description.only_described
        spelled = {
            one.name: described[one.name].name if one.name in described else one.name
            for one in self.live.columns
            if one.name not in hidden and not (only_described and one.name not in described)
        }
        names = published_names(spelled.values())
        object.__setattr__(self, "described", described)
        object.__setattr__(self, "columns", {name: names[spelling] for name, spelling in spelled.items()})

    @property
    def name(self) -> tuple[str, str]:
        """Schema and name in the database, in lower case."""
        return (self.live.schema.lower(), self.live.name.lower())

    @property
    def place(self) -> Place | None:
        """Where it is described."""
        return self.description.place if self.description is not None else None

    def published_column(self, name: str | None) -> str | None:
        """Return the published name of a column, whatever its case; `None` if it is not published."""
        if name is None:
            return None
        if name in self.columns:
            return self.columns[name]
        return next((public for live, public in self.columns.items() if live.lower() == name.lower()), None)
