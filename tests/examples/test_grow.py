"""Rows that were copied past Butler are as Butler would have written them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from lsst.sphgeom import LonLat, UnitVector3d

from examples.lsstcam import Growth, Pair, grow
from examples.lsstcam.layout import FIRST_RUN, RAW_RUN
from examples.lsstcam.survey import survey_pointings
from tapdb.postgres.engine import checked_connection


@pytest.fixture
def grown(butler_pair: Pair) -> Pair:
    """Return repositories of which the plain one has grown twice, by 3 and by 2 visits."""
    first = grow(butler_pair.url, "plain", visits=3, raw_exposures=1)
    second = grow(butler_pair.url, "plain", visits=2, raw_exposures=1)
    assert (first, second) == (Growth(3, 567, 567, 189), Growth(2, 378, 378, 189))
    return butler_pair


def test_butler_reads_grown_visits_and_their_regions(grown: Pair) -> None:
    with grown.plain.butler() as butler:
        for pointing in survey_pointings(0, 5):
            data_id = {"instrument": "LSSTCam", "visit": pointing.id}
            (visit,) = butler.query_dimension_records("visit", data_id=data_id)
            boresight = UnitVector3d(LonLat.fromDegrees(pointing.ra_deg, pointing.dec_deg))
            assert visit.region.contains(boresight)
            assert visit.timespan.begin.unix_tai == pytest.approx(pointing.begin_tai_ns * 1e-9, abs=1e-6)
            regions = butler.query_dimension_records("visit_detector_region", data_id=data_id)
            assert len(regions) == 189
            assert [r.detector for r in regions if r.region.contains(boresight)] == [94]
            images = butler.query_datasets(
                "visit_image", FIRST_RUN, data_id=data_id, with_dimension_records=True
            )
            assert len(images) == 189
            assert all(str(butler.getURI(image)).endswith(".json") for image in images[:3])
        raws = butler.query_datasets(
            "raw", RAW_RUN, where="instrument = 'LSSTCam' AND exposure.day_obs < 20260101"
        )
    assert len(raws) == 2 * 189


def test_every_foreign_key_still_holds(grown: Pair) -> None:
    with checked_connection(grown.url) as connection:
        found = connection.execute(
            sa.text(
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE contype = 'f' AND connamespace = 'plain'::regnamespace"
            )
        ).all()
        assert len(found) > 100
        preparer = connection.dialect.identifier_preparer
        for table, name, definition in found:
            constraint = sa.text(" ".join(["ALTER TABLE", table, "DROP CONSTRAINT", preparer.quote(name)]))
            connection.execute(constraint)
            # Adding it checks all rows.
            connection.exec_driver_sql(
                " ".join(["ALTER TABLE", table, "ADD CONSTRAINT", preparer.quote(name), definition])
            )
        connection.rollback()


def test_growing_leaves_all_indexes_as_they_were(grown: Pair) -> None:
    query = sa.text(
        "SELECT replace(pg_get_indexdef(i.indexrelid), :schema, '')"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname <> 'obscore' AND i.indisvalid"
    )
    with checked_connection(grown.url) as connection:
        plain, live = (sorted(connection.scalars(query, {"schema": schema})) for schema in ("plain", "live"))
    assert plain == live
