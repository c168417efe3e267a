"""What is published over ObsCore views: made again around changes, described in TAP_SCHEMA."""

import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from prompt_products.caom.caom_columns import description_of_caom
from prompt_products.caom.caom_views import CAOM
from prompt_products.observing_log.log_columns import description_of_log
from prompt_products.observing_log.log_views import LOG, log_tables, refresh_log, unpublish_log
from prompt_products.obsplan.plan_columns import description_of_plan
from prompt_products.obsplan.plan_store import (
    has_plan,
    plan_is_published,
    publish_plan,
    unpublish_plan,
)
from prompt_products.over_obscore import Product, read_publication, refresh, unpublish, view_columns
from tapdb.hooks.derived import LAST
from tapdb.hooks.descriptions import SchemaDescription

PRODUCTS: tuple[Product, ...] = (CAOM,)
"""What can be published over an ObsCore view."""

_LOG = logging.getLogger(__name__)


def describe(connection: sa.Connection) -> Iterable[SchemaDescription]:
    """Return descriptions of what is published; nothing of what is not.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    if view_columns(connection, "caom2", "plane"):
        yield description_of_caom()
    if plan_is_published(connection):
        yield description_of_plan()
    if names := log_tables(connection):
        yield description_of_log(names)


class PublishedProducts:
    """Views over ObsCore views, between the two halves of a migration and after each change of a view."""

    after = LAST
    options: Mapping[str, str] = MappingProxyType({})

    def drop(self, connection: sa.Connection) -> None:
        """Take the views away, which use functions that a migration may replace; what is recorded stays."""
        for product in PRODUCTS:
            if read_publication(connection, product.name) is not None:
                unpublish(connection, product, forget=False)
        if read_publication(connection, LOG.name) is not None:
            unpublish_log(connection, forget=False)
        if plan_is_published(connection):
            unpublish_plan(connection)

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:  # noqa: ARG002 - the protocol's signature
        """Make the views again of all that is published and whose ObsCore view is there."""
        if has_plan(connection):
            publish_plan(connection)
        for problem in refresh_log(connection):
            _LOG.warning("%s", problem)
        for name in refresh(connection, PRODUCTS):
            _LOG.warning("%s is not published: its ObsCore view is gone; it comes back with it", name)

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's signature
        """Return whether there is nothing to be kept around a migration."""
        products = (read_publication(connection, product.name) for product in (*PRODUCTS, LOG))
        return all(one is None for one in products) and not has_plan(connection)

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return "Views over ObsCore views are made again by: tapdb caom2 publish SCHEMA.NAME."
