"""Edge cases of a registry: what real archives hold now and then, and what an ObsCore table must survive."""

from __future__ import annotations

from .content import Content
from .edge_case import EDGE_NIGHT, EdgeCase
from .edge_observations import observation_cases
from .edge_products import product_cases

__all__ = ["EDGE_NIGHT", "EdgeCase", "edge_cases"]


def edge_cases(content: Content) -> tuple[EdgeCase, ...]:
    """Return all edge cases for a plan; later ones build on earlier ones."""
    return (*observation_cases(content), *product_cases(content))
