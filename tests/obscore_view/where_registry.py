"""A registry whose exposures differ in all that query expressions ask for, asked by Butler and by us."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from astropy.time import Time, TimeDelta
from erfa import ErfaWarning  # type: ignore[import-untyped]
from lsst.daf.butler import Butler, Timespan

from examples.lsstcam.camera import LSSTCAM
from examples.lsstcam.content import make_pointing
from examples.lsstcam.records import RecordBatch, exposure_records
from obscore_view.where.sql import build_condition

__all__ = ["Registry", "odd_exposure_records", "read_registry_tables"]

_NIGHT = 20260401
_TARGETS = [
    "Fornax",
    "fornax",
    "For%nax",
    "For_nax",
    "ForXnax",
    "a*b",
    "a?b",
    "a\\b",
    "a!b",
    "",
    "it is",
    None,
]
_TYPES = ["science", "flat", "dark", "acq"]


def odd_exposure_records() -> Iterator[RecordBatch]:
    """Yield the exposures, and the nights and groups that they belong to."""
    numbered = list(enumerate(_TARGETS * 2, start=1))
    pointings = [
        make_pointing(_NIGHT + n % 2, n, 10.0, 10.0, 0.0, ("g_6", "r_57", "u_24")[n % 3], target)
        for n, target in numbered
    ]
    for element, records in exposure_records(pointings):
        if element == "exposure":
            yield element, [{**record, **_odd(n)} for (n, _), record in zip(numbered, records, strict=True)]
        else:
            yield element, records


def _odd(number: int) -> dict[str, Any]:
    begin = Time(61131.0, number / 1440, format="mjd", scale="tai")
    spans = {3: None, 4: Timespan(begin, None), 5: Timespan(None, begin), 6: Timespan.makeEmpty()}
    return {
        "observation_type": _TYPES[number % 4],
        "exposure_time": None if number == 7 else 15.0 + number / 2,
        "dark_time": 20.0,
        "has_simulated": number % 5 == 0,
        "can_see_sky": None if number % 3 == 0 else number % 2 == 0,
        "timespan": spans.get(number, Timespan(begin, begin + TimeDelta(30, format="sec"))),
    }


def read_registry_tables(connection: sa.Connection, schema: str) -> dict[str, sa.Table]:
    """Return the tables of a registry that the expressions here speak of."""
    metadata = sa.MetaData(schema=schema)
    names = ("exposure", "physical_filter", "instrument")
    return {name: sa.Table(name, metadata, autoload_with=connection) for name in names}


@dataclass(frozen=True, slots=True)
class Registry:
    """A Butler, and the tables behind it."""

    butler: Butler
    connection: sa.Connection
    tables: dict[str, sa.Table]

    def theirs(self, expression: str, bind: dict[str, Any]) -> set[int]:
        """Return the exposures that Butler finds."""
        with self.butler.query() as query, warnings.catch_warnings():
            # Times in the future of the leap second table; NOT before Butler's GLOB.
            warnings.simplefilter("ignore", category=ErfaWarning)
            warnings.simplefilter("ignore", category=sa.exc.SADeprecationWarning)
            found = query.where(expression, instrument=LSSTCAM, bind=bind).data_ids(["exposure"])
            return {int(data_id["exposure"]) for data_id in found}

    def ours(self, expression: str, bind: dict[str, Any], *, literal: bool = False) -> set[int]:
        """Return the exposures that our condition finds."""
        exposure, physical_filter = self.tables["exposure"], self.tables["physical_filter"]
        condition = build_condition(expression, self._resolve, bind=bind)
        statement = (
            sa.select(exposure.c.id)
            .join(
                physical_filter,
                (physical_filter.c.instrument == exposure.c.instrument)
                & (physical_filter.c.name == exposure.c.physical_filter),
            )
            .join(self.tables["instrument"], self.tables["instrument"].c.name == exposure.c.instrument)
            .where(exposure.c.instrument == LSSTCAM, condition)
        )
        if not literal:
            return set(self.connection.scalars(statement))
        text = statement.compile(dialect=self.connection.dialect, compile_kwargs={"literal_binds": True})
        return set(self.connection.exec_driver_sql(str(text)).scalars())

    def _resolve(self, name: str) -> sa.ColumnElement[Any]:
        exposure = self.tables["exposure"].c
        keys = {
            "exposure": exposure.id,
            "exposure.id": exposure.id,
            "band": self.tables["physical_filter"].c.band,
            **{key: exposure[key] for key in ("instrument", "day_obs", "group", "physical_filter")},
        }
        if name in keys:
            return keys[name]
        element, _, field = name.partition(".")
        if element not in self.tables or field not in self.tables[element].c:
            raise LookupError("no such name")
        return self.tables[element].c[field]
