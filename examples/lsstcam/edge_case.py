"""What an edge case is: something odd, the dimension records and the datasets that make it."""

from __future__ import annotations

from dataclasses import dataclass

from .datasets import DatasetGroup
from .records import RecordBatch

__all__ = ["EDGE_NIGHT", "EdgeCase"]

EDGE_NIGHT = 20260304
"""Night (``day_obs``) on which all edge cases, and nothing else, were observed."""


@dataclass(frozen=True, slots=True)
class EdgeCase:
    """One edge case.

    Attributes
    ----------
    name
        What is odd about it.
    live
        Whether daf_butler's live ObsCore manager can take the datasets; where it cannot, putting them raises.
    """

    name: str
    records: tuple[RecordBatch, ...] = ()
    groups: tuple[DatasetGroup, ...] = ()
    live: bool = True
