"""What is stored of datasets: seen at once when Butler deletes, in the view, in links and in the plan."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from lsst.daf.butler import Butler, DatasetRef, DatasetType

from examples.lsstcam import Pair, Repository
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN
from obscore_view.view.make import drop_view
from obscore_view.view.store import read_stored_views
from prompt_products.errors import PresenceNotKeptError
from prompt_products.presence import find_view, plan, summary
from tapdb.cli.root import main
from tapdb.hooks.descriptions import load_link_providers, read_dataset_files, read_links
from tapdb.server.environment import client_environment
from tests.plugins.view_fixtures import make_test_view, open_engine, view_config_text
from tests.plugins.web_fixtures import did

LOSSY = "visit_image_lossy"
PRESENCE = (
    f"{{visit_image: {{days: 30, replaced_by: {LOSSY}}}, "
    "difference_image: {days: 20, made_from: [visit_image]}}"
)
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Archive:
    """A repository with a view that says what is stored, and its images by detector."""

    repository: Repository
    engine: sa.Engine
    images: dict[int, DatasetRef]
    differences: dict[int, DatasetRef]

    def shown(self, *refs: DatasetRef) -> list[Any]:
        """Return what the view says of datasets, in their order."""
        query = sa.text(
            "SELECT registry_dataset_id AS id, presence, replaced_by, access_url, access_estsize "
            "FROM ivoa.obscore WHERE registry_dataset_id = ANY (:ids)"
        )
        with self.engine.connect() as connection:
            rows = {row.id: row for row in connection.execute(query, {"ids": [ref.id for ref in refs]})}
        return [rows[ref.id] for ref in refs]

    def delete(self, *refs: DatasetRef) -> None:
        """Let Butler delete files."""
        with self.repository.butler(writeable=True) as butler:
            butler.pruneDatasets(list(refs), disassociate=False, unstore=True)


@pytest.fixture
def archive(view_pair: Pair) -> Iterator[Archive]:
    """Return a repository of one's own, with lossy versions of the images of a visit."""
    repository = view_pair.plain
    visit = repository.content.pointings[0].id
    with repository.butler(writeable=True) as butler:
        images = found(butler, "visit_image", FIRST_RUN, visit)
        differences = found(butler, "difference_image", PROMPT_RUN, visit)
        whole = butler.get_dataset_type("visit_image")
        kind = DatasetType(LOSSY, whole.dimensions, whole.storageClass)
        butler.registry.registerDatasetType(kind)
        for ref in list(images.values())[:2]:
            butler.put({"lossy": True}, kind, ref.dataId, run=FIRST_RUN)
    with open_engine(view_pair.url) as engine:
        with engine.begin() as connection:
            for view in read_stored_views(connection):
                drop_view(connection, view)
            make_test_view(connection, view_config_text(presence=PRESENCE), "plain")
        yield Archive(repository, engine, images, differences)


def found(butler: Butler, name: str, run: str, visit: int) -> dict[int, DatasetRef]:
    where: dict[str, Any] = {"instrument": "LSSTCam", "visit": visit}
    refs = butler.registry.queryDatasets(name, collections=run, dataId=where)
    return {int(ref.dataId["detector"]): ref for ref in sorted(refs, key=lambda ref: ref.dataId["detector"])}


def test_a_file_that_butler_deletes_is_gone_in_the_next_query(archive: Archive) -> None:
    first, _, *others = archive.images.values()
    kept, gone = archive.shown(first, others[0])
    assert {kept.presence, gone.presence} == {"online"}
    archive.delete(first, others[0])
    replaced, purged = archive.shown(first, others[0])
    assert (replaced.presence, purged.presence) == ("replaced", "purged")
    assert (purged.access_url, purged.access_estsize, purged.replaced_by) == (None, None, None)
    assert replaced.access_url == kept.access_url
    with archive.repository.butler() as butler:
        (lossy,) = butler.registry.queryDatasets(LOSSY, collections=FIRST_RUN, dataId=first.dataId)
        size = butler.getURI(lossy).size()
    assert replaced.replaced_by == lossy.id
    assert replaced.access_estsize == -(-size // 1000)


def test_what_can_be_made_again_is_virtual_until_its_inputs_go(archive: Archive) -> None:
    detector = next(one for one in archive.differences if one in list(archive.images)[2:])
    difference, image = archive.differences[detector], archive.images[detector]
    archive.delete(difference)
    (virtual,) = archive.shown(difference)
    assert (virtual.presence, virtual.access_estsize) == ("virtual", None)
    assert virtual.access_url is not None
    # Each image of the same data ID will do, of whatever RUN.
    with archive.repository.butler() as butler:
        others = butler.registry.queryDatasets("visit_image", collections=..., dataId=image.dataId)
        same = [ref for ref in others if ref.run != image.run]
    archive.delete(image)
    assert archive.shown(difference)[0].presence == "virtual"
    archive.delete(*same)
    (purged,) = archive.shown(difference)
    assert (purged.presence, purged.access_url) == ("purged", None)


def test_links_and_files_follow(archive: Archive) -> None:
    first, _, third, *_ = archive.images.values()
    difference = next(ref for key, ref in archive.differences.items() if key in list(archive.images)[3:])
    archive.delete(first, third, difference)
    with archive.engine.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        files = {ref.id: read_dataset_files(connection, ref.id) for ref in (first, third, difference)}
        links = read_links(connection, [did(one) for one in files], load_link_providers().values())
    assert (files[third.id], files[difference.id]) == ((), ())
    (file,) = files[first.id] or ()
    assert LOSSY in file.path
    this = {link.id: link for link in links if link.semantics == "#this"}
    assert this[did(first.id)].access_url == f"/files/demo/{first.id}"
    assert (this[did(first.id)].description or "").startswith("lossy-compressed version of a file")
    assert this[did(third.id)].error_message == (
        "NotFoundFault: the dataset has no file: it was deleted, or never stored"
    )
    assert this[did(difference.id)].error_message == (
        "NotFoundFault: the file of the dataset was deleted; it can be made again"
    )
    assert all(link.access_url for link in links if link.semantics == "#coderived")


def test_the_plan_counts_what_would_go_and_changes_nothing(archive: Archive) -> None:
    with archive.engine.connect() as connection:
        view = find_view(connection)
        before = summary(connection, view)
        images, differences = plan(connection, view, NOW)
        assert summary(connection, view) == before
        rows = connection.exec_driver_sql(
            "SELECT lsst_dataset_type AS name, count(*) AS n, sum(access_estsize) AS size "
            "FROM ivoa.obscore WHERE presence = 'online' AND t_max IS NOT NULL "
            "AND t_max < 61192 - CASE lsst_dataset_type WHEN 'visit_image' THEN 30 ELSE 20 END "
            "AND lsst_dataset_type IN ('visit_image', 'difference_image') GROUP BY 1"
        )
        oracle = {row.name: (row.n, 1000 * row.size) for row in rows}
        lossy = list(archive.images)[:2]
        replaced = connection.exec_driver_sql(
            "SELECT count(*) FROM ivoa.obscore WHERE lsst_dataset_type = 'visit_image' "
            "AND lsst_visit = %s AND lsst_detector = ANY (%s)",
            (archive.images[lossy[0]].dataId["visit"], lossy),
        ).scalar_one()
        nothing = plan(connection, view, dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
    assert (images.datasets, images.bytes) == oracle["visit_image"]
    assert (differences.datasets, differences.bytes) == oracle["difference_image"]
    assert replaced >= len(lossy)
    assert (images.replaced, images.virtual, images.purged) == (replaced, 0, images.datasets - replaced)
    # Their inputs go too, some days later.
    assert (differences.virtual, differences.purged) == (0, differences.datasets)
    # But for images of 2017, nothing was old enough.
    assert [one.datasets for one in nothing] == [2, 0]


def test_the_plan_says_what_depends_on_what_goes(archive: Archive) -> None:
    detector = next(one for one in archive.differences if one in archive.images)
    archive.delete(archive.differences[detector])
    with archive.engine.connect() as connection:
        images, _ = plan(connection, find_view(connection), NOW)
    # Another image of the data ID goes, too.
    assert images.stranded == 1
    # Between the two limits inputs stay, and what goes can be made again.
    ended = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    with archive.engine.connect() as connection:
        images, differences = plan(connection, find_view(connection), ended + dt.timedelta(days=23))
    # Two are of the leap second of 2017.
    assert (images.datasets, images.newest and images.newest.year) == (2, 2017)
    assert differences.datasets == differences.virtual + differences.purged > 0
    assert differences.virtual > 0


def test_the_commands_say_what_is_stored_and_what_is_to_go(archive: Archive) -> None:
    environment = client_environment(archive.engine.url)
    archive.delete(next(iter(archive.images.values())))
    done = CliRunner().invoke(main, ["presence", "summary", "--format", "json"], env=environment)
    assert done.exit_code == 0, done.output
    found = {(row["dataset_type"], row["presence"]): row["datasets"] for row in json.loads(done.stdout)}
    assert found["visit_image", "replaced"] == 1
    done = CliRunner().invoke(
        main, ["presence", "plan", "--format", "json", "--at", "2026-06-01"], env=environment
    )
    assert [row["dataset_type"] for row in json.loads(done.stdout)] == ["visit_image", "difference_image"]


def test_a_database_without_such_a_view_is_told(view_connection_readonly: sa.Connection) -> None:
    with pytest.raises(PresenceNotKeptError, match="no view says what is stored"):
        find_view(view_connection_readonly)
    with pytest.raises(PresenceNotKeptError, match=r'stored: a\.b; "c\.d" is not one of them'):
        raise PresenceNotKeptError("c.d", ["a.b"])
