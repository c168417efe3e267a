"""Random histories of a repository: what operators and pipelines do, by several writers at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]  # public, but in no __all__
from lsst.daf.butler.registry import ConflictingDefinitionError

from examples.lsstcam import Pointing
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import (
    DEFAULTS_CHAIN,
    DRP_CHAIN,
    FIRST_RUN,
    PROMPT_RUN,
    RAW_RUN,
    SECOND_RUN,
    TAGGED_BEST,
    TAGGED_GOOD,
    USER_RUN,
)
from examples.lsstcam.records import exposure_records, visit_records

__all__ = ["UndoneError", "Writer"]

_RUNS = (FIRST_RUN, SECOND_RUN, PROMPT_RUN, USER_RUN)
_TAGS = (TAGGED_GOOD, TAGGED_BEST)


Step = Callable[["Writer"], None]


class UndoneError(Exception):
    """Ends a transaction of Butler's."""


@dataclass
class Writer:
    """A client that changes a repository by steps chosen at random.

    Attributes
    ----------
    number
        Which of the writers it is: each has pointings of its own, and shares collections and patches.
    butler, engine
        Its client, and what it changes the registry by behind Butler's back.
    chance
        What chooses the steps.
    detector_ids
        Detectors of its datasets.
    schema
        Schema of the registry.
    pointings, steps
        What it has made so far.
    """

    number: int
    butler: Butler
    engine: sa.Engine
    chance: random.Random
    detector_ids: Sequence[int]
    schema: str = "plain"
    pointings: list[Pointing] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def run(self, count: int) -> list[str]:
        """Make some steps, a few of them undone; return their names."""
        for _ in range(count):
            step = self.chance.choice(_STEPS)
            undone = self.chance.random() < 0.2
            self.steps.append(f"{self.number}: {step.__name__}{' (undone)' if undone else ''}")
            with suppress(UndoneError, ConflictingDefinitionError):
                if step in _IN_TRANSACTION:
                    with self.butler.transaction():
                        step(self)
                        if undone:
                            raise UndoneError
                else:
                    step(self)
        return self.steps

    def ingest(self) -> None:
        """Put raws of a new exposure, and its thumbnail."""
        pointing = self._pointing(new=True)
        for element, records in exposure_records([pointing]):
            self.butler.registry.insertDimensionData(element, *records, skip_existing=True)
        exposure = {"instrument": pointing.instrument, "exposure": pointing.id}
        raws = [exposure | {"detector": one} for one in self.detector_ids]
        self.butler.registry.insertDatasets("raw", raws, run=RAW_RUN)
        self.butler.registry.insertDatasets("exposure_thumbnail", [exposure], run=RAW_RUN)

    def define_visits(self) -> None:
        """Define the visit of an exposure; or put it elsewhere, if it is there."""
        self._define(self._pointing(), again=True)

    def process(self) -> None:
        """Make images of a visit in some RUN; a savepoint, undone where they are there."""
        pointing = self._pointing()
        self._define(pointing, again=False)
        visit = {"instrument": pointing.instrument, "visit": pointing.id}
        images = [visit | {"detector": one} for one in self.detector_ids]
        with suppress(ConflictingDefinitionError), self.butler.transaction():
            some = images[: self.chance.randint(1, len(images))]
            self.butler.registry.insertDatasets("visit_image", some, run=self.chance.choice(_RUNS))

    def _define(self, pointing: Pointing, *, again: bool) -> None:
        self._expose(pointing)
        elsewhere = replace(pointing, ra_deg=self.chance.uniform(0, 360)) if again else pointing
        for element, records in visit_records([elsewhere], self.detector_ids):
            over = again and element in {"visit", "visit_detector_region"}
            self.butler.registry.insertDimensionData(element, *records, replace=over, skip_existing=not over)

    def _expose(self, pointing: Pointing) -> None:
        """Make sure of the exposure: what was undone is not there."""
        for element, records in exposure_records([pointing]):
            self.butler.registry.insertDimensionData(element, *records, skip_existing=True)

    def coadd(self) -> None:
        """Make coadds of a patch that others use too."""
        band, patch = self.chance.choice("ugrizy"), self.chance.randint(0, 3)
        known = self.butler.query_dimension_records("tract", order_by="tract", limit=1)[0]
        data_id = {"skymap": known.skymap, "tract": known.id, "patch": patch, "band": band}
        self.butler.registry.insertDatasets("deep_coadd", [data_id], run=self.chance.choice(_RUNS))

    def tag(self) -> None:
        """Associate some images with a TAGGED collection, in the place of others of their data IDs."""
        if refs := self._some_refs():
            self.butler.registry.associate(self.chance.choice(_TAGS), refs)

    def untag(self) -> None:
        """Take some images out of a TAGGED collection."""
        tagged = self.chance.choice(_TAGS)
        refs = self.butler.query_datasets("visit_image", tagged, explain=False, find_first=False, limit=20)
        if refs:
            self.butler.registry.disassociate(tagged, self.chance.sample(refs, min(3, len(refs))))

    def remove(self) -> None:
        """Remove some images for good."""
        if refs := self._some_refs():
            self.butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)

    def chain(self) -> None:
        """Change what is searched, and in which order."""
        members = self.chance.sample([*_RUNS, *_TAGS], self.chance.randint(1, 5))
        self.butler.collections.redefine_chain(self.chance.choice((DRP_CHAIN, DEFAULTS_CHAIN)), members)

    def new_run(self) -> None:
        """Register a RUN collection and put something into it, or remove it again."""
        name = f"LSSTCam/prompt/output-2030-01-0{self.number + 1}"
        if self.butler.collections.register(name, CollectionType.RUN):
            pointing = self._pointing()
            self._define(pointing, again=False)
            where = {"instrument": pointing.instrument, "visit": pointing.id}
            self.butler.registry.insertDatasets("preliminary_visit_summary", [where], run=name)
        else:
            self.butler.removeRuns([name], unlink_from_chains=True)

    def rename(self) -> None:
        """Give a RUN a name that no view publishes, or one that some do."""
        one, other = f"LSSTCam/prompt/output-2031-01-0{self.number + 1}", f"u/attic/{self.number}"
        if not {one, other} & set(self.butler.collections.query("*")):
            self.butler.collections.register(one, CollectionType.RUN)
            where = {"instrument": self._pointing().instrument, "visit": self._pointing().id}
            with suppress(ConflictingDefinitionError, LookupError):
                self.butler.registry.insertDatasets("preliminary_visit_summary", [where], run=one)
        with self.engine.begin() as connection:
            table = sa.table("collection", sa.column("name"), schema=self.schema)
            swapped = sa.case((table.c.name == one, other), else_=one)
            connection.execute(sa.update(table).where(table.c.name.in_([one, other])).values(name=swapped))

    def change_band(self) -> None:
        """Correct the band of a filter, to and fro."""
        with self.engine.begin() as connection:
            table = sa.table("physical_filter", *map(sa.column, ("name", "band")), schema=self.schema)
            swapped = sa.case((table.c.band == "r", "white"), else_="r")
            connection.execute(sa.update(table).where(table.c.name == "r_57").values(band=swapped))

    def _pointing(self, *, new: bool = False) -> Pointing:
        """Return one of the writer's own pointings, the only one at first."""
        if new or not self.pointings:
            where = (self.chance.uniform(0, 360), self.chance.uniform(-80, 30), 15.0)
            number = 1000 * self.number + len(self.pointings) + 1
            self.pointings.append(make_pointing(20260401, number, *where, "r_57", "history"))
            return self.pointings[-1]
        return self.chance.choice(self.pointings)

    def _some_refs(self) -> list[Any]:
        runs = self.chance.sample(_RUNS, 2)
        refs = self.butler.query_datasets(
            "visit_image", runs, explain=False, find_first=False, limit=50, order_by=["visit", "detector"]
        )
        return self.chance.sample(refs, min(len(refs), self.chance.randint(1, 5)))


_IN_TRANSACTION: tuple[Step, ...] = (
    Writer.ingest,
    Writer.define_visits,
    Writer.process,
    Writer.coadd,
    Writer.tag,
    Writer.untag,
)
_STEPS: tuple[Step, ...] = (
    *_IN_TRANSACTION,
    *_IN_TRANSACTION,
    Writer.remove,
    Writer.chain,
    Writer.new_run,
    Writer.rename,
    Writer.change_band,
)
