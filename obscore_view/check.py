"""Whether a view still fits its registry, its configuration and the tables behind it."""

from __future__ import annotations

import re

import sqlalchemy as sa

from obscore_view.changes import plan_view
from obscore_view.check_objects import check_objects, check_performance
from obscore_view.check_registry import REFRESH, compare_registry
from obscore_view.check_rows import check_rows
from obscore_view.config import ObsCoreConfig
from obscore_view.errors import ConfigError, MappingError, UnsupportedRegistryError
from obscore_view.finding import Finding
from obscore_view.store import StoredView
from obscore_view.view import stored_config
from tapdb import __version__
from tapdb.errors import MissingRegistryError

__all__ = ["Finding", "check_view"]


def check_view(
    connection: sa.Connection, view: StoredView, config: ObsCoreConfig | None = None, *, deep: bool = False
) -> tuple[Finding, ...]:
    """Return what is wrong with a view; nothing is changed.

    Parameters
    ----------
    connection
        Connection of a user who may read the registry and tapdb's own tables.
    view
        The view, as it is recorded.
    config
        Configuration that it is to have; the recorded one if not given.
    deep
        Whether the kept tables are compared value for value, not only key for key.

    Returns
    -------
    findings
        Drift first, then what makes the view slow, then what is good to know. None if all is well.
    """
    found = [*_software(view), *_configuration(view, config), *check_objects(connection, view)]
    try:
        stored = stored_config(view)
        mapping = plan_view(connection, stored, registry_schema=view.registry_schema)
    except (MissingRegistryError, UnsupportedRegistryError, ConfigError, MappingError) as error:
        found.append(Finding("drift", f"registry in schema {view.registry_schema}", str(error)))
    else:
        found += compare_registry(view.fingerprint, mapping)
        found += check_rows(connection, view, mapping, deep=deep)
        found += check_performance(connection, view, stored)
    order = ("drift", "performance", "notice")
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def _software(view: StoredView) -> list[Finding]:
    if view.software_version == __version__:
        return []
    older = _numbers(view.software_version) <= _numbers(__version__)
    detail = f"was made by tapdb {view.software_version}, this is {__version__}"
    if older:
        return [Finding("drift", f"view {view.schema}.{view.name}", detail, REFRESH)]
    return [Finding("notice", f"view {view.schema}.{view.name}", detail, "update tapdb here")]


def _configuration(view: StoredView, config: ObsCoreConfig | None) -> list[Finding]:
    if config is None:
        return []
    try:
        same = stored_config(view).digest == config.digest
    except ConfigError:
        same = False
    if same:
        return []
    detail = "is another than the view was made from"
    return [Finding("drift", "configuration", detail, f"{REFRESH} -c CONFIG")]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
