"""A real APDB in PostgreSQL, filled visit by visit, for tests, demonstration and benchmarks.

>>> from examples.apdb import make_apdb, store_visit, update_all_kinds   # doctest: +SKIP
>>> survey = make_apdb(url)                                              # doctest: +SKIP
>>> for _ in range(20):                                                  # doctest: +SKIP
...     store_visit(survey)
>>> update_all_kinds(survey, number=3)                                   # doctest: +SKIP
>>> replicate(survey.replica, connection)                                # doctest: +SKIP
"""

from __future__ import annotations

from .survey import Survey, clone_survey, make_apdb, store_visit
from .updates import (
    attribute_to_solar_system,
    close_validity,
    reassociate,
    update_all_kinds,
    withdraw_forced_sources,
    withdraw_sources,
)
from .visits import Visit, make_visit

__all__ = [
    "Survey",
    "Visit",
    "attribute_to_solar_system",
    "clone_survey",
    "close_validity",
    "make_apdb",
    "make_visit",
    "reassociate",
    "store_visit",
    "update_all_kinds",
    "withdraw_forced_sources",
    "withdraw_sources",
]
