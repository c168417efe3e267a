"""Where something stands that a person wrote."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a description stands.

    Attributes
    ----------
    file
        File, or the package that describes.
    line
        Line from 1; 0 if there is no line to name.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file
