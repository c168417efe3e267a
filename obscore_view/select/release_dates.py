"""When datasets are public: the first rule of the configuration that fits decides."""

from typing import Any

import sqlalchemy as sa

from obscore_view.config.model import EmbargoRule
from obscore_view.mapping import DatasetMapping
from obscore_view.select.relations import BranchJoins
from obscore_view.select.text import ColumnValues


def release(
    mapping: DatasetMapping,
    dataset_type: str,
    relations: BranchJoins,
    ended: sa.ColumnElement[Any] | None,
) -> ColumnValues:
    """Return when datasets are public, and their rights now; without a date they never are."""
    config = mapping.config.tapdb
    date = _release_date(mapping, dataset_type, relations, ended)
    found: ColumnValues = {} if date is None else {"obs_release_date": date}
    if config.release is not None and (rights := config.release.data_rights) is not None:
        found["data_rights"] = (
            sa.literal(rights.before, sa.Text())
            if date is None
            else sa.case((date <= NOW, rights.after), else_=rights.before)
        )
    return found


NOW: sa.ColumnElement[Any] = sa.func.timezone("UTC", sa.func.now())
"""When a transaction began, as dates of release are written: UTC, without a zone."""


def _release_date(
    mapping: DatasetMapping,
    dataset_type: str,
    relations: BranchJoins,
    ended: sa.ColumnElement[Any] | None,
) -> sa.ColumnElement[Any] | None:
    config = mapping.config.tapdb
    if config.obs_release_date is not None:
        return sa.literal(config.obs_release_date)
    if config.embargo_hours is not None:
        return None if ended is None else _hours_after(ended, config.embargo_hours)
    cases: list[tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]]] = []
    for rule in config.release.embargo if config.release is not None else ():
        conditions = _conditions(rule, dataset_type, relations)
        if conditions is None:
            continue
        date: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.DateTime())
        if rule.date is not None:
            date = sa.literal(rule.date)
        elif rule.hours is not None and ended is not None:
            date = _hours_after(ended, rule.hours)
        if not conditions:
            return sa.case(*cases, else_=date) if cases else date
        cases.append((sa.and_(*conditions), date))
    return sa.case(*cases) if cases else None


def _conditions(
    rule: EmbargoRule, dataset_type: str, relations: BranchJoins
) -> list[sa.ColumnElement[bool]] | None:
    """Return the conditions of a rule on datasets of a type; None if none of them can meet it.

    What is not known meets no condition: the next rule is for it.
    """
    if rule.dataset_type not in {None, dataset_type}:
        return None
    found = []
    if rule.instrument is not None:
        instrument = relations.dimension("instrument")
        if instrument is None:
            return None
        found.append(instrument == rule.instrument)
    if rule.observation_type is not None:
        observed = relations.record("exposure", ("observation_type",))
        if observed is None:
            return None
        found.append(observed == rule.observation_type)
    if rule.on_sky is not None:
        seen = relations.record("exposure", ("can_see_sky",))
        if seen is not None:
            found.append(seen if rule.on_sky else ~seen)
        elif not rule.on_sky or "visit" not in relations.place.group.dimensions:
            # Visits are of the sky; of coadds nobody has said.
            return None
    return found


def _hours_after(ended: sa.ColumnElement[Any], hours: float) -> sa.ColumnElement[Any]:
    return sa.func.tapdb.mjd_timestamp(ended + hours / 24)
