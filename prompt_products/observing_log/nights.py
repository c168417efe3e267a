"""A night of the observing log: its exposures, with how many datasets each has."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from prompt_products.errors import LogEmptyError
from prompt_products.observing_log.log_columns import DATASETS, EXPOSURES, NAMES, SCHEMA

COLUMNS = (
    *(
        "instrument_name",
        "day_obs",
        "seq_num",
        "obs_start_mjd",
        "exp_time",
        "img_type",
        "band",
        "target_name",
    ),
    *("airmass", "dimm_seeing", "seeing", "eff_time", "datasets", "exposure_flag", "messages"),
)
"""Columns of the table of a night."""

_log = sa.table(EXPOSURES, *map(sa.column, NAMES), schema=SCHEMA)
_datasets = sa.table(DATASETS, *map(sa.column, NAMES), schema=SCHEMA)


def read_night(
    connection: sa.Connection, night: int | None = None, instruments: Sequence[str] = ()
) -> Sequence[Mapping[str, Any]]:
    """Return the exposures of a night, or of the last night of each instrument, in order of time.

    Parameters
    ----------
    connection
        Connection of a reader.
    night
        Observing day, YYYYMMDD.
    instruments
        Instruments; all if none is named.

    Raises
    ------
    LogEmptyError
        Raised if there are no exposures.
    """
    of = _log.c
    nights: dict[str, int] = {}
    latest = sa.select(of.instrument_name, sa.func.max(of.day_obs)).group_by(of.instrument_name)
    for name, last in connection.execute(latest):
        if not instruments or name in instruments:
            nights[name] = night or last
    rows: list[Mapping[str, Any]] = []
    for name, day in sorted(nights.items()):
        here = sa.and_(_datasets.c.instrument_name == name, _datasets.c.day_obs == day)
        counted = sa.select(_datasets.c.exposure, sa.func.count()).where(here).group_by(_datasets.c.exposure)
        counts: dict[int, int] = dict(map(tuple, connection.execute(counted)))
        wanted = [of[column] for column in COLUMNS if column != "datasets"]
        query = sa.select(*wanted, of.exposure).where(of.instrument_name == name, of.day_obs == day)
        rows += [
            {**row, "datasets": counts.get(row["exposure"], 0)}
            for row in connection.execute(query.order_by(of.seq_num)).mappings()
        ]
    if not rows:
        raise LogEmptyError(night)
    return rows
