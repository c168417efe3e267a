"""TAP_SCHEMA as a derived object: at the end of a migration it describes what there then is."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa

from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tap_schema.stored import has_tap_schema
from tapdb.hooks.derived import LAST

_LOG = logging.getLogger(__name__)


class PublishedDescription:
    """The rows of TAP_SCHEMA, which follow what a migration and other derived objects have made."""

    after = LAST
    options: Mapping[str, str] = MappingProxyType({"comment": "why, for the record of publications"})

    def drop(self, connection: sa.Connection) -> None:
        """Leave the rows as they are: nothing that is dropped depends on them."""

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Publish what there is; with no difference nothing is written.

        Parameters
        ----------
        connection
            Connection of a member of ``tapdb_owner``; the caller commits.
        options
            ``comment`` says for the record why; ``alembic`` if it is not there.

        Raises
        ------
        DescriptionError
            Raised if a Felis file that a package names cannot be used.
        UnpublishableError, PublicationError
            Raised if the rows cannot be published.
        """
        if not has_tap_schema(connection):
            # After a downgrade to a version that had no such tables.
            return
        generated = assemble(connection)
        for finding in generated.findings:
            _LOG.log(logging.WARNING if finding.severity == "error" else logging.DEBUG, "%s", finding)
        publish(connection, generated.rows, comment=options.get("comment", "alembic"))

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return "TAP_SCHEMA is made from what the database holds. After this script: tapdb tap-schema publish."
