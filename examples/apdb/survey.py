"""A real APDB that a small survey fills, visit by visit, as the Alert Production does."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from lsst.dax.apdb import ApdbReplica
from lsst.dax.apdb.apdbSchema import ApdbTables
from lsst.dax.apdb.schema_model import Table
from lsst.dax.apdb.sql import ApdbSql, ApdbSqlConfig

from .catalogs import Detection, forced_catalog, object_catalog, source_catalog
from .population import (
    CENTRE_DEC_DEG,
    CENTRE_RA_DEG,
    Population,
    detector_of,
    difference_flux_njy,
    make_population,
)
from .visits import Visit, make_visit, tai

__all__ = ["Survey", "clone_survey", "make_apdb", "store_visit"]

_FIRST_OBJECT_ID = 170_032_878_510_211_072
_FIRST_SOURCE_ID = 170_055_004_260_827_136
_FIRST_FORCED_ID = 170_099_110_005_440_512
_DETECTED_AT_SNR = 5.0
_SEED = 20260101
_GROWING: dict[str, Any] = {
    "histories": dict,
    "forced": list,
    "transients": list,
    "withdrawn": set,
    "attributed": set,
    "closed": set,
}


@dataclass(slots=True)
class Survey:
    """An APDB and all that was stored in it.

    Attributes
    ----------
    apdb, replica, config
        The database, what replication reads of it, and its configuration; ``config.save(path)`` writes it to
        a file. The URL in it has no password: ``PGPASSWORD`` or ``.pgpass`` give it.
    object_ids
        The DiaObject of each object of the population; 0 where it was not seen yet.
    histories
        The detections of each DiaObject, as they are associated now.
    forced
        Keys of the stored forced sources, (diaObjectId, visit, detector), with their positions and times.
    withdrawn, attributed, closed
        Sources that were withdrawn or belong to a solar system object, objects whose validity has ended.
    now_mjd_tai
        The time that the APDB takes for now.
    pause_s
        How much later each update is than the one before, in seconds.
    """

    apdb: ApdbSql
    replica: ApdbReplica
    config: ApdbSqlConfig
    population: Population
    rng: np.random.Generator
    object_ids: np.typing.NDArray[np.int64]
    next_visit: int = 0
    objects_made: int = 0
    sources_made: int = 0
    forced_made: int = 0
    histories: dict[int, list[Detection]] = field(default_factory=dict)
    forced: list[tuple[int, int, int, float, float, float]] = field(default_factory=list)
    transients: list[Detection] = field(default_factory=list)
    withdrawn: set[object] = field(default_factory=set)
    attributed: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    now_mjd_tai: float = 0.0
    pause_s: float = 7.0

    def table(self, table: ApdbTables) -> Table:
        """Return the definition of a table."""
        definition = self.apdb.tableDef(table)
        assert definition is not None
        return definition


def make_apdb(
    url: sa.URL,
    *,
    namespace: str = "apdb",
    objects: int = 40,
    asteroids: int = 3,
    chunk_seconds: int = 600,
    schema_file: str | None = None,
    seed: int = _SEED,
) -> Survey:
    """Create an APDB with replication in a PostgreSQL database, and return the survey that will fill it.

    Parameters
    ----------
    url
        Database; what `make_apdb` keeps of the URL has no password.
    namespace
        Database schema of the APDB, which is made.
    objects, asteroids
        How many there are in the field; about two thirds of the objects are bright enough to be detected.
    chunk_seconds
        Length of a replica chunk.
    schema_file
        Felis schema of the APDB; the one that lsst-sdm-schemas ships if not given.
    seed
        The same seed gives the same content at every run.
    """
    config = ApdbSql.init_database(
        db_url=_without_password(url),
        schema_file=schema_file,
        enable_replica=True,
        namespace=namespace,
        drop=True,
    )
    config.replica_chunk_seconds = chunk_seconds
    apdb = ApdbSql(config)
    survey = Survey(
        apdb=apdb,
        replica=apdb.get_replica(),
        config=config,
        population=make_population(objects, asteroids, seed),
        rng=np.random.default_rng(seed),
        object_ids=np.zeros(objects, dtype=np.int64),
    )
    return _with_its_time(survey)


def clone_survey(survey: Survey, url: sa.URL) -> Survey:
    """Return an empty survey for a copy of its database."""
    assert not survey.histories
    config = survey.config.model_copy(update={"db_url": _without_password(url)})
    apdb = ApdbSql(config)
    clone = replace(
        survey,
        apdb=apdb,
        replica=apdb.get_replica(),
        config=config,
        rng=copy.deepcopy(survey.rng),
        object_ids=survey.object_ids.copy(),
        **{name: kind() for name, kind in _GROWING.items()},
    )
    return _with_its_time(clone)


def store_visit(survey: Survey, visit: Visit | None = None) -> Visit:
    """Observe and store a visit; return it.

    Without one it is the next of the survey. Any other can be stored at any time: one that was left out
    makes a late chunk, one that is processed within ten minutes of another touches a chunk again.
    """
    if visit is None:
        visit = make_visit(survey.next_visit)
        survey.next_visit += 1
    true_njy = difference_flux_njy(survey.population, visit, make_visit(0).midpoint_mjd_tai)
    measured = true_njy + survey.rng.normal(0.0, visit.flux_error_njy, len(true_njy))
    forced_at = np.flatnonzero(survey.object_ids)
    found = _detect(survey, visit, measured)
    for one in found:
        survey.histories.setdefault(one.object_id, []).append(one)
    objects = object_catalog(
        survey.table(ApdbTables.DiaObject), {one.object_id: survey.histories[one.object_id] for one in found}
    )
    sources = source_catalog(survey.table(ApdbTables.DiaSource), found, survey.rng)
    forced = _forced(survey, visit, forced_at, measured)
    with warnings.catch_warnings():
        # How dax_apdb uses pandas is not ours to mend.
        warnings.filterwarnings("ignore", message="The inplace keyword")
        survey.apdb.store(tai(visit.processed_mjd_tai), objects, sources, forced)
    # What is stored late does not set the clock back.
    survey.now_mjd_tai = max(survey.now_mjd_tai, visit.processed_mjd_tai)
    return visit


def _with_its_time(survey: Survey) -> Survey:
    """Let an APDB take the survey's time for now, by the method that dax_apdb means to be replaced for it."""
    survey.apdb._current_time = lambda: tai(survey.now_mjd_tai)  # type: ignore[method-assign]  # noqa: SLF001
    return survey


def _without_password(url: sa.URL) -> str:
    plain = sa.URL.create(
        "postgresql+psycopg2", url.username, None, url.host, url.port, url.database, query=url.query
    )
    return plain.render_as_string()


def _detect(survey: Survey, visit: Visit, measured: np.typing.NDArray[np.float64]) -> list[Detection]:
    """Return what is bright enough on the difference image: objects, asteroids, and an artefact."""
    sky, rng = survey.population, survey.rng
    error = visit.flux_error_njy
    seen = np.flatnonzero(np.abs(measured) > _DETECTED_AT_SNR * error)
    for index in seen:
        # A closed object that is seen again is a new one.
        if survey.object_ids[index] in {0, *survey.closed}:
            survey.object_ids[index] = _new_object(survey)
    days = visit.midpoint_mjd_tai - make_visit(0).midpoint_mjd_tai
    width = 0.7 / np.cos(np.radians(CENTRE_DEC_DEG))
    offset = (sky.asteroid_ra_deg - CENTRE_RA_DEG + sky.asteroid_rate_deg * days) % width
    moving = [
        (_new_object(survey), float(ra), float(dec), float(flux), 0.0, 0.95)
        for ra, dec, flux in zip(
            CENTRE_RA_DEG + offset - width / 2, sky.asteroid_dec_deg, sky.asteroid_flux_njy, strict=True
        )
    ]
    place = rng.uniform(-0.3, 0.3, 2)
    artefact = (
        _new_object(survey),
        float(CENTRE_RA_DEG + place[0]),
        float(CENTRE_DEC_DEG + place[1]),
        float(-error * rng.uniform(6.0, 30.0)),
        0.0,
        float(rng.uniform(0.01, 0.2)),
    )
    fixed = [
        (
            int(survey.object_ids[index]),
            float(sky.ra_deg[index] + rng.normal(0.0, 1e-5)),
            float(sky.dec_deg[index] + rng.normal(0.0, 1e-5)),
            float(measured[index]),
            float(sky.template_njy[index]),
            float(rng.uniform(0.8, 1.0)),
        )
        for index in seen
    ]
    passing = [_detection(survey, visit, *values) for values in (*moving, artefact)]
    survey.transients.extend(passing)
    return [*(_detection(survey, visit, *values) for values in fixed), *passing]


def _detection(
    survey: Survey,
    visit: Visit,
    object_id: int,
    ra_deg: float,
    dec_deg: float,
    flux_njy: float,
    template_njy: float,
    reliability: float,
) -> Detection:
    survey.sources_made += 1
    return Detection(
        source_id=_FIRST_SOURCE_ID + survey.sources_made,
        object_id=object_id,
        visit=visit,
        detector=int(detector_of(np.array([ra_deg]), np.array([dec_deg]))[0]),
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        flux_njy=flux_njy,
        flux_error_njy=visit.flux_error_njy,
        template_njy=template_njy,
        reliability=reliability,
    )


def _forced(
    survey: Survey,
    visit: Visit,
    at: np.typing.NDArray[np.int64],
    measured: np.typing.NDArray[np.float64],
) -> pd.DataFrame:
    """Return what was measured at the objects known before the visit, remembered for later events."""
    sky = survey.population
    ids = [int(survey.object_ids[index]) for index in at]
    positions = [(float(sky.ra_deg[index]), float(sky.dec_deg[index])) for index in at]
    table = survey.table(ApdbTables.DiaForcedSource)
    first = _FIRST_FORCED_ID + survey.forced_made
    catalog = forced_catalog(table, visit, ids, first, positions, measured[at], sky.template_njy[at])
    survey.forced_made += len(ids)
    survey.forced.extend(
        (id_, visit.id, int(detector), ra, dec, visit.midpoint_mjd_tai)
        for id_, detector, (ra, dec) in zip(ids, catalog["detector"], positions, strict=True)
    )
    return catalog


def _new_object(survey: Survey) -> int:
    survey.objects_made += 1
    return _FIRST_OBJECT_ID + survey.objects_made
