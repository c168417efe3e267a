"""A service with links and files, over a real Butler repository and rows of a PPDB.

Of the first visit the difference images are in a chain with the visit images; one image was deleted, two are
in a ZIP, one dataset is two files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import sqlalchemy as sa
from lsst.daf.butler import (  # type: ignore[attr-defined]  # CollectionType is public, but in no __all__
    Butler,
    CollectionType,
    DatasetRef,
)

from examples.lsstcam import Pair, Repository
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, REHEARSAL_RUN, USER_RUN
from examples.lsstcam.pair import clone_repository
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from tap_schema.assemble import assemble
from tap_schema.datalink import read_services
from tap_schema.publish import publish
from tests.plugins.service_fixtures import PLAIN, Served, running_service
from tests.plugins.view_fixtures import open_engine

__all__ = ["LABEL", "OBJECT", "SOURCES", "Linked", "insert", "linked", "links_of"]

LABEL = "demo"
OBJECT = 170_032_878_510_211_103
SOURCES = (7, 8)
"""Numbers of an object, and of its sources, on two detectors of the first visit."""

_MIME = "application/x-votable+xml;content=datalink"


@dataclass(frozen=True, slots=True)
class Linked:
    """A service that runs, and the repository below it."""

    served: Served
    repository: Repository
    refs: dict[str, list[DatasetRef]]

    @property
    def url(self) -> str:
        """URL of the links."""
        return f"{self.served.url}/datalink/links"

    def get(self, *dids: str, **parameters: str) -> list[dict[str, str]]:
        """Return the rows of links."""
        answer = httpx.post(self.url, data={"ID": list(dids), **parameters}, verify=PLAIN, timeout=60)
        assert (answer.status_code, answer.headers["content-type"]) == (200, _MIME), answer.text
        return links_of(answer.content)

    def this(self, ref: DatasetRef, *, component: str = "") -> str:
        """Return the signed link to the file of a dataset."""
        urls = [row["access_url"] for row in self.get(did(ref.id)) if row["semantics"] == "#this"]
        given = [dict(parse_qsl(urlsplit(url).query)).get("component", "") for url in urls]
        return urls[given.index(component)]

    def file(self, ref: DatasetRef) -> Path:
        """Return the file of a dataset, as Butler says."""
        with self.repository.butler() as butler:
            return Path(butler.getURI(ref).ospath)


def did(uuid: UUID | str) -> str:
    """Return the identifier that ObsCore has for a dataset."""
    return f"ivo://org.rubinobs/usdac/lsst-demo?repo={LABEL}&id={uuid}"


def links_of(document: bytes) -> list[dict[str, str]]:
    """Return the rows of a document, by name of the column; empty for NULL."""
    namespace = "{http://www.ivoa.net/xml/VOTable/v1.3}"
    root = fromstring(document)  # noqa: S314 - our own document
    names = [field.attrib["name"] for field in root.iter(f"{namespace}FIELD")]
    rows = ([cell.text or "" for cell in row] for row in root.iter(f"{namespace}TR"))
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="session")
def linked(
    view_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Linked]:
    """Return a service with links that all tests share and none may change."""
    url = clone_for_session(str(view_template.url.database))
    root = tmp_path_factory.mktemp("linked")
    repository = clone_repository(view_template.plain, url, root / "plain")
    with repository.butler(writeable=True) as butler:
        refs = _prepare(butler, repository, root)
    with open_engine(url) as engine, engine.begin() as connection:
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
        visit = refs["visit_image"][0].dataId["visit"]
        detectors = [ref.dataId["detector"] for ref in refs["visit_image"][:2]]
        insert(connection, "DiaObject", diaObjectId=OBJECT, nDiaSources=len(SOURCES))
        for number, detector in zip(SOURCES, detectors, strict=True):
            facts = {"diaSourceId": number, "diaObjectId": OBJECT, "visit": visit, "detector": detector}
            insert(connection, "DiaSource", **facts)
        services = read_services(["resource://obscore_view/links.yaml"])
        publish(connection, assemble(connection, [], services=services).rows)
    with running_service(url, datastores=f"{LABEL}={repository.root}") as served:
        yield Linked(served, repository, refs)


def _prepare(butler: Butler, repository: Repository, root: Path) -> dict[str, list[DatasetRef]]:
    """Return datasets by what they are for."""
    visit = repository.content.pointings[0].id
    where: dict[str, Any] = {"instrument": "LSSTCam", "visit": visit}

    def find(dataset_type: str, run: str) -> list[DatasetRef]:
        found = butler.registry.queryDatasets(dataset_type, collections=run, dataId=where)
        return sorted(found, key=lambda ref: ref.dataId["detector"])

    butler.collections.register("LSSTCam/prompt", CollectionType.CHAINED)
    butler.collections.redefine_chain("LSSTCam/prompt", [PROMPT_RUN, FIRST_RUN])
    images = find("visit_image", FIRST_RUN)
    *others, deleted = images
    zipped = others[-2:]
    folder = root / "zipped"
    folder.mkdir()
    archive = butler.retrieve_artifacts_zip(zipped, folder)
    butler.pruneDatasets([deleted, *zipped], disassociate=False, unstore=True)
    butler.ingest_zip(archive, transfer="copy", skip_existing=True)
    return {
        "visit_image": others[:-2],
        "difference_image": find("difference_image", PROMPT_RUN),
        "deleted": [deleted],
        "zipped": zipped,
        "composite": find("image_and_mask", FIRST_RUN),
        "unpublished": [
            *find("visit_image", USER_RUN),
            *butler.registry.queryDatasets("raw", collections=REHEARSAL_RUN),
        ],
    }


def insert(connection: sa.Connection, table: str, **values: Any) -> None:
    """Insert a row of the PPDB, with zeros in the other columns that may not be NULL."""
    columns = sa.inspect(connection).get_columns(table, schema="ppdb")
    needed = {one["name"]: one for one in columns if not one["nullable"] and one["default"] is None}
    zeros = {name: "" if isinstance(one["type"], sa.String) else 0 for name, one in needed.items()}
    for name, one in needed.items():
        if isinstance(one["type"], sa.Boolean):
            zeros[name] = False
    known = sa.table(table, *(sa.column(one["name"], one["type"]) for one in columns), schema="ppdb")
    connection.execute(sa.insert(known).values({**zeros, **values}))
