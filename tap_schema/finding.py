"""What is wrong with a TAP_SCHEMA: between descriptions and database, or in the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tapdb.place import Place

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning"]
"""``error``: a client is misled, or a query by a published name fails. ``warning``: something is missing or
doubtful."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and what to do about it.

    Attributes
    ----------
    severity
        How bad it is.
    rule
        Name of what is violated, such as ``unit`` or ``column-missing``.
    table, column
        Published names; empty if the finding is about something larger.
    problem
        What was found.
    remedy
        What to do.
    place
        Where the description stands; `None` if there is none.
    """

    severity: Severity
    rule: str
    table: str
    column: str
    problem: str
    remedy: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" if self.column else self.table
        start = f"{self.place}: " if self.place is not None else ""
        subject = f"{where}: " if where else ""
        return f"{start}{self.severity}: {subject}{self.problem}; {self.remedy} [{self.rule}]"
