"""What identifiers of datasets mean, and which identifiers datasets have: asked of the package that knows.

A package offers it under the entry-point group ``tapdb.identifiers``. Many are read at once: what
is wrong with one of them stands in its place, and the others are answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa

from tapdb.errors import TapdbError

GROUP = "tapdb.identifiers"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedDataset:
    """A dataset that is published: its identifier, and what its repository calls it.

    Attributes
    ----------
    did
        Its identifier.
    uuid
        Its UUID.
    dataset_type
        Its dataset type.
    run
        Its RUN collection.
    dimensions
        Values of its dimensions.
    """

    did: str
    uuid: UUID
    dataset_type: str
    run: str
    dimensions: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDataset:
    """What is known of datasets whose identifiers are wanted.

    Attributes
    ----------
    dataset_type
        Their dataset type.
    dimensions
        Values of all dimensions of the dataset type.
    run
        Their RUN collection; of any if None.
    """

    dataset_type: str
    dimensions: Mapping[str, str | int]
    run: str | None = None


class Identifiers(Protocol):
    """What one package knows of identifiers of datasets."""

    def identify(
        self, connection: sa.Connection, dids: Sequence[str]
    ) -> Sequence[IdentifiedDataset | TapdbError]:
        """Return what identifiers mean, each in its place."""

    def find(
        self, connection: sa.Connection, wanted: Sequence[WantedDataset]
    ) -> Sequence[Sequence[IdentifiedDataset] | TapdbError]:
        """Return the datasets that are wanted, those of each in its place, in the order of their RUNs."""


def load_identifiers() -> Identifiers | None:
    """Return what the first package by name knows of identifiers; None if no package does."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    if not found:
        return None
    loaded: Identifiers = found[0].load()
    return loaded
