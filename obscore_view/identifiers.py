"""Dataset identifiers both ways: what ``obs_publisher_did`` means, and the Butler data ID behind it.

SQL has the same reading as ``tapdb.dataset_uuid(did)``. `data_id` reads registries, for one dataset;
`PUBLISHED` has what published views show, of many datasets by one statement, for a role that may read nothing
but the views.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, unquote_plus
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from obscore_view.errors import DataIdError, IdentifierError, UnknownDatasetError, UnpublishedDatasetError
from obscore_view.registry.read import read_registry
from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_rows import butler_table
from obscore_view.view.make import stored_config
from obscore_view.view.needed_rights import rights_to_look
from obscore_view.view.store import read_stored_views
from tapdb.errors import TapdbError
from tapdb.hooks.identifiers import IdentifiedDataset, WantedDataset
from tapdb.postgres.roles import require_rights

_ENCODED = re.compile(r"(ivo|butler)%3a", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}")
_IVO = re.compile(r"ivo://(?P<authority>[^/?]+)(?P<path>/[^?]*)?(\?(?P<query>.*))?", re.IGNORECASE)
_BUTLER = re.compile(r"butler://(?P<label>[^/?]+)/(?P<id>.*)", re.IGNORECASE)
# What SQL functions say of a dataset that is published.
_SHOWN = (sa.column("dataset", sa.Uuid()), "did", "dataset_type", "run", sa.column("data_id", JSONB()))


@dataclass(frozen=True, slots=True)
class DatasetIdentifier:
    """Parts of a dataset identifier.

    Attributes
    ----------
    authority, path
        Naming authority and resource key of an IVOA identifier, such as ``org.rubinobs`` and
        ``usdac/lsst-dp1``; empty for ``butler://``.
    label
        Label of the Butler repository.
    uuid
        UUID of the dataset.
    """

    authority: str
    path: str
    label: str
    uuid: UUID

    def __str__(self) -> str:
        """Return the identifier as Rubin writes it."""
        if not self.authority:
            return f"butler://{quote(self.label, safe='')}/{self.uuid}"
        path = f"/{self.path}" if self.path else ""
        return f"ivo://{self.authority}{path}?repo={quote(self.label, safe='/')}&id={self.uuid}"


@dataclass(frozen=True, slots=True)
class DataId:
    """What Butler calls a dataset.

    Attributes
    ----------
    uuid
        UUID of the dataset.
    dataset_type
        Its dataset type.
    run
        Its RUN collection.
    dimensions
        Values of its required dimensions, in the order of the dimension universe.
    registry_schema
        Schema of the registry that has it.
    """

    uuid: UUID
    dataset_type: str
    run: str
    dimensions: Mapping[str, str | int]
    registry_schema: str


def parse_did(did: str) -> DatasetIdentifier:
    """Return the parts of a dataset identifier.

    Parameters
    ----------
    did
        ``ivo://AUTHORITY/PATH?repo=LABEL&id=UUID`` (keys in any order, others allowed) or
        ``butler://LABEL/UUID``, as it is or percent-encoded as a whole; the UUID with or without dashes.

    Raises
    ------
    IdentifierError
        Raised if it is anything else.

    Examples
    --------
    >>> parse_did("ivo://org.rubinobs/usdac/lsst-dp1?repo=dp1&id=019c2c62-4b56-7f3d-8d30-3a4dd23c5b3c").label
    'dp1'
    """
    text = unquote(did) if _ENCODED.match(did) else did
    if not _PRINTABLE.fullmatch(text) or "#" in text:
        raise IdentifierError(did, "it is empty, has a # or characters that no URI may have")
    if found := _BUTLER.fullmatch(text):
        return DatasetIdentifier("", "", unquote(found["label"]), _uuid(did, found["id"]))
    found = _IVO.fullmatch(text)
    if found is None:
        raise IdentifierError(
            did, "it begins neither with ivo:// and an authority nor with butler:// and a label"
        )
    pairs = [pair.partition("=")[::2] for pair in (found["query"] or "").split("&")]
    values = {key: [value for name, value in pairs if name == key] for key in ("repo", "id")}
    for key, given in values.items():
        if len(given) != 1 or not given[0]:
            raise IdentifierError(
                did, f"it has {len(given) if any(given) else 'no'} {key}= where one is needed"
            )
    label = unquote_plus(values["repo"][0])
    path = (found["path"] or "").removeprefix("/")
    return DatasetIdentifier(found["authority"], path, label, _uuid(did, values["id"][0]))


def data_id(connection: sa.Connection, did: str) -> DataId:
    """Return the Butler data ID of a dataset, from the registries under the published views.

    UUIDs are the same in every repository that has a dataset: registries with the identifier's label are
    asked first, then the others.

    Parameters
    ----------
    connection
        Connection of a user who may read the registries.
    did
        Identifier of the dataset, as `parse_did` reads it.

    Raises
    ------
    IdentifierError
        Raised if it is no identifier.
    UnknownDatasetError
        Raised if no registry has the dataset; a `LookupError`.
    MissingRightsError
        Raised if the user may not read the registries, or which views there are.
    """
    identifier = parse_did(did)
    views = sorted(
        read_stored_views(connection),
        key=lambda view: stored_config(view).repository_label != identifier.label,
    )
    schemas = tuple(dict.fromkeys(view.registry_schema for view in views))
    for schema in schemas:
        rights = rights_to_look(view for view in views if view.registry_schema == schema)
        require_rights(connection, f'look up datasets in the Butler registry in schema "{schema}"', rights)
        if (found := _find(connection, read_registry(connection, schema), identifier.uuid)) is not None:
            return found
    raise UnknownDatasetError(str(identifier), schemas)


def _uuid(did: str, text: str) -> UUID:
    if not _UUID.fullmatch(text):
        raise IdentifierError(did, f'"{text}" is no UUID')
    return UUID(text)


def _find(connection: sa.Connection, registry: Registry, uuid: UUID) -> DataId | None:
    keys = registry.collection_key
    dataset, kind, run = (butler_table(registry, name) for name in ("dataset", "dataset_type", "collection"))
    query: sa.Select[Any] = (
        sa.select(kind.c.name, run.c.name.label("run"), run.c[keys.column].label("key"))
        .join(kind, kind.c.id == dataset.c.dataset_type_id)
        .join(run, run.c[keys.column] == dataset.c[keys.run_column])
        .where(dataset.c.id == uuid)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    dataset_type = registry.dataset_types[row.name]
    tags = butler_table(registry, dataset_type.tags_table)
    required = [tags.c[name] for name in dataset_type.required]
    values = connection.execute(
        sa.select(sa.literal(1).label("found"), *required).where(
            tags.c.dataset_id == uuid, tags.c[keys.tags_column] == row.key
        )
    ).mappings()
    dimensions = {name: value for name, value in values.one().items() if name != "found"}
    return DataId(uuid, row.name, row.run, dimensions, registry.schema)


class PublishedIdentifiers:
    """Identifiers of the datasets that the role of a connection may see in ObsCore views."""

    def identify(
        self, connection: sa.Connection, dids: Sequence[str]
    ) -> Sequence[IdentifiedDataset | TapdbError]:
        """Return the datasets of identifiers, each in its place, by one statement.

        Parameters
        ----------
        connection
            Connection whose role may read the views.
        dids
            Identifiers as `parse_did` reads them. What is no identifier, and what no view shows, is an error
            in its place.
        """
        given = [_parsed(did) for did in dids]
        uuids = {one.uuid for one in given if isinstance(one, DatasetIdentifier)}
        known = {one.uuid: one for one in _published(connection, uuids)}
        return [
            known.get(one.uuid) or UnpublishedDatasetError(str(one))
            if isinstance(one, DatasetIdentifier)
            else one
            for one in given
        ]

    def find(
        self, connection: sa.Connection, wanted: Sequence[WantedDataset]
    ) -> Sequence[Sequence[IdentifiedDataset] | TapdbError]:
        """Return the datasets that have data IDs, those of each in its place, by one statement.

        Parameters
        ----------
        connection
            Connection whose role may read the views.
        wanted
            Data IDs. One with other dimensions than its dataset type, and one that no view shows, is an error
            in its place.
        """
        text = [
            {"dataset_type": one.dataset_type, "data_id": dict(one.dimensions), "run": one.run}
            for one in wanted
        ]
        found = sa.func.tapdb.find_datasets(sa.cast(sa.literal(text, JSONB()), JSONB())).table_valued(
            "number", sa.column("dimensions", sa.ARRAY(sa.Text())), *_SHOWN
        )
        rows = connection.execute(sa.select(found)).all() if text else []
        dimensions = {row.number: row.dimensions for row in rows if row.dataset is None}
        datasets: dict[int, list[IdentifiedDataset]] = {}
        for row in rows:
            if row.dataset is not None:
                datasets.setdefault(row.number, []).append(_identified(row))
        return [
            datasets[number]
            if number in datasets
            else DataIdError(one.dataset_type, one.dimensions, one.run, dimensions.get(number))
            for number, one in enumerate(wanted, 1)
        ]


PUBLISHED = PublishedIdentifiers()
"""Identifiers of what is published, for services."""


def _parsed(did: str) -> DatasetIdentifier | IdentifierError:
    try:
        return parse_did(did.strip())
    except IdentifierError as error:
        return error


def _published(connection: sa.Connection, uuids: Iterable[UUID]) -> Iterable[IdentifiedDataset]:
    """Yield what the views show of datasets."""
    listed = list(uuids)
    if not listed:
        return
    given = sa.cast(sa.literal(listed, sa.ARRAY(sa.Uuid())), sa.ARRAY(sa.Uuid()))
    known = sa.func.tapdb.published_datasets(given).table_valued(*_SHOWN)
    for row in connection.execute(sa.select(known)):
        yield _identified(row)


def _identified(row: sa.Row[Any]) -> IdentifiedDataset:
    return IdentifiedDataset(
        did=row.did, uuid=row.dataset, dataset_type=row.dataset_type, run=row.run, dimensions=row.data_id
    )
