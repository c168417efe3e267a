"""One ivoa.ObsCore over two repositories is served as that of one: uploads, SIA, links, TAP_SCHEMA."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa
from astropy.table import Table
from pyvo.dal import TAPService
from pyvo.dal.sia2 import SIA2Service

from examples.lsstcam import Pair
from obscore_view.config.parse import parse_config
from obscore_view.view.combining import CombinedView
from obscore_view.view.make import combine_views, create_view, drop_view, find_stored_view
from tap_schema.assemble import assemble
from tap_schema.publish import publish
from tests.plugins.service_fixtures import PLAIN, Served, running_service
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, open_engine, view_config_text

PARTS = ("main.obscore", VIEW_OVER_LIVE)


@pytest.fixture(scope="module")
def together(view_template: Pair, clone_for_session: Callable[[str], sa.URL]) -> Iterator[Served]:
    """Return a service over ``ivoa.ObsCore``, which shows the views over two registries."""
    url = clone_for_session(str(view_template.url.database))
    text = view_config_text(PARTS[0])
    with open_engine(url) as engine, engine.begin() as session:
        drop_view(session, find_stored_view(session, VIEWS_OVER_PLAIN["table"]))
        create_view(session, parse_config(text), registry_schema="plain", config_yaml=text)
        combine_views(session, CombinedView("ivoa", "obscore", PARTS))
        publish(session, assemble(session, []).rows)
    with running_service(url, jobs="none") as served:
        yield served


def values(served: Served, query: str) -> list[tuple[object, ...]]:
    with open_engine(served.database) as engine, engine.connect() as session:
        return [tuple(row) for row in session.exec_driver_sql(query)]


def test_uploaded_positions_find_the_images_of_both(together: Served) -> None:
    service = TAPService(f"{together.url}/tap")
    places = values(
        together, "SELECT s_ra, s_dec FROM main.obscore WHERE s_ra IS NOT NULL ORDER BY obs_id LIMIT 5"
    )
    points = Table(rows=[(float(str(ra)), float(str(dec))) for ra, dec in places], names=("ra", "dec"))
    found = service.run_sync(
        "SELECT o.obs_publisher_did FROM TAP_UPLOAD.points AS p JOIN ivoa.ObsCore AS o "
        "ON CONTAINS(POINT(p.ra, p.dec), o.s_region) = 1",
        uploads={"points": points},
    )
    listed = ", ".join(f"({float(ra)!r}::float8, {float(dec)!r}::float8)" for ra, dec in points.iterrows())
    union = " UNION ALL ".join(f"SELECT obs_publisher_did, pgs_region FROM {one}" for one in PARTS)  # noqa: S608
    expected = values(
        together,
        f"SELECT o.obs_publisher_did FROM (VALUES {listed}) AS p (ra, dec) JOIN ({union}) AS o "  # noqa: S608
        "ON spoint(radians(p.ra), radians(p.dec)) @ o.pgs_region",
    )
    assert sorted(found["obs_publisher_did"]) == sorted(str(one) for (one,) in expected)
    assert len(expected) > 5


def test_a_search_by_parameters_finds_the_images_of_both(together: Served) -> None:
    found = SIA2Service(f"{together.url}/sia").search(pos=(0, 0, 2))
    union = " UNION ALL ".join(f"SELECT registry_dataset_id, pgs_region FROM {one}" for one in PARTS)  # noqa: S608
    expected = values(
        together,
        f"SELECT registry_dataset_id::text FROM ({union}) AS o "  # noqa: S608
        "WHERE pgs_region && scircle(spoint(0, 0), radians(2))",
    )
    assert sorted(map(str, found["registry_dataset_id"])) == sorted(str(one) for (one,) in expected)
    assert expected


def test_identifiers_of_both_have_links_and_all_tables_are_described(together: Served) -> None:
    for part in PARTS:
        ((did,),) = values(together, f"SELECT min(obs_publisher_did) FROM {part} WHERE calib_level = 2")  # noqa: S608
        answer = httpx.get(
            f"{together.url}/datalink/links", params={"ID": str(did)}, timeout=60, verify=PLAIN
        )
        assert answer.status_code == 200
        assert "#this" in answer.text
    names = {table.name.lower() for table in TAPService(f"{together.url}/tap").tables}
    assert {"ivoa.obscore", *PARTS} <= names
