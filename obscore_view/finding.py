"""What `obscore_view.check` has to say of a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["drift", "performance", "notice"]
"""``drift``: the view is not what it would be if it were made now. ``performance``: answers are right,
but slow. ``notice``: nothing is wrong, but it is good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    severity
        How bad it is.
    what
        What it is about, such as ``dataset type raw`` or ``trigger plain_visit_footprint_insert``.
    detail
        What was found.
    remedy
        What to do about it; may be empty.
    """

    severity: Severity
    what: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.what}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")
