"""Rows of the views of CAOM2 as observations of the package caom2, one after the other."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tapdb.extras import from_extra

if TYPE_CHECKING:
    from caom2 import Observation as CaomObservation

EXTRA = "caom"
"""Extra of tapdb with the package caom2."""

_ROWS_AT_ONCE = 5000
_AXES_AT_ONCE = 4096
"""Axes that are kept for planes that have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenObservations:
    """Which observations are meant; nothing for all.

    Attributes
    ----------
    collection
        Name of the collection, ``obs_collection`` of ObsCore.
    observations
        Their identifiers in it.
    """

    collection: str | None = None
    observations: tuple[str, ...] = ()

    def conditions(self, columns: Any) -> list[sa.ColumnElement[bool]]:
        """Return the conditions on the columns of ``caom2.observation``."""
        found: list[sa.ColumnElement[bool]] = []
        if self.collection is not None:
            found.append(columns.collection == self.collection)
        if self.observations:
            found.append(columns.observationid.in_(self.observations))
        return found


_OBSERVATION = (
    *("obsid", "collection", "observationid", "typecode", "algorithm_name", "intent", "metarelease"),
    *("proposal_id", "target_name", "telescope_name", "instrument_name", "lastmodified"),
)
_PLANE = (
    *("obsid", "planeid", "productid", "creatorid", "metarelease", "datarelease", "dataproducttype"),
    *("calibrationlevel", "observable_ucd", "provenance_name", "provenance_runid", "provenance_inputs"),
    *(
        "position_bounds_points",
        "position_dimension_naxis1",
        "position_dimension_naxis2",
        "position_resolution",
    ),
    *("position_samplesize", "energy_energybands", "energy_bounds_lower", "energy_bounds_upper"),
    *("energy_dimension", "energy_resolvingpower", "energy_bandpassname", "time_bounds_lower"),
    *("time_bounds_upper", "time_dimension", "time_resolution", "time_exposure", "polarization_states"),
    *("polarization_dimension", "lastmodified"),
)
_ARTIFACT = (
    *("obsid", "planeid", "artifactid", "uri", "producttype", "releasetype", "contenttype"),
    *("contentlength", "contentrelease", "lastmodified"),
)
# By caom2 the value of the enumeration is the word.
_PRODUCT_TYPES = {"event": "eventlist"}


def read_observations(connection: sa.Connection, chosen: ChosenObservations) -> Iterator["CaomObservation"]:
    """Yield the observations that are chosen, with planes and artifacts, in the order of their UUIDs.

    Parameters
    ----------
    connection
        Connection in whose snapshot all is read: in an isolation level in which statements share one.
    chosen
        Which.

    Raises
    ------
    MissingExtraError
        Raised if the package caom2 is not installed.
    """
    build = _Builder()
    with (
        closing(_groups(connection, "observation", _OBSERVATION, chosen)) as found,
        closing(_groups(connection, "plane", _PLANE, chosen)) as of_planes,
        closing(_groups(connection, "artifact", _ARTIFACT, chosen)) as of_artifacts,
    ):
        planes, artifacts = _InOrder(of_planes), _InOrder(of_artifacts)
        for obsid, (row, *_) in found:
            made = build.observation(row)
            by_plane: dict[Any, list[Any]] = {}
            for artifact in artifacts.of(obsid):
                by_plane.setdefault(artifact.planeid, []).append(build.artifact(artifact))
            for plane in planes.of(obsid):
                built = build.plane(plane)
                for artifact in by_plane.get(plane.planeid, ()):
                    built.artifacts.add(artifact)
                made.planes.add(built)
            yield made


def _groups(
    connection: sa.Connection, view: str, names: Sequence[str], chosen: ChosenObservations
) -> Generator[tuple[Any, list[Any]]]:
    """Yield UUIDs of observations with rows of a view."""
    relation = sa.table(view, *map(sa.column, names), schema="caom2")
    query = sa.select(relation).order_by(relation.c.obsid)
    of = sa.table("observation", *map(sa.column, ("obsid", "collection", "observationid")), schema="caom2")
    if conditions := chosen.conditions(of.c):
        ids = connection.scalars(sa.select(of.c.obsid).where(*conditions)).all()
        query = query.where(relation.c.obsid == sa.any_(sa.cast(sa.literal(list(ids)), sa.ARRAY(sa.Uuid()))))
    with connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}) as rows:
        for obsid, found in groupby(rows, attrgetter("obsid")):
            yield obsid, list(found)


class _InOrder:
    """Rows of a view by observation, taken in the order of the UUIDs.

    Parameters
    ----------
    groups
        UUIDs of observations with their rows, in that order.
    """

    def __init__(self, groups: Iterator[tuple[Any, list[Any]]]) -> None:
        self._groups = groups
        self._next = next(groups, None)

    def of(self, obsid: Any) -> list[Any]:
        """Return the rows of an observation; none if there are none."""
        if self._next is None or self._next[0] != obsid:
            return []
        _, found = self._next
        self._next = next(self._groups, None)
        return found


class _Builder:
    """What makes objects of caom2 of rows; the package is loaded for it.

    Raises
    ------
    MissingExtraError
        Raised if the package caom2 is not installed.
    """

    def __init__(self) -> None:
        with from_extra(EXTRA, "CAOM2"):
            import caom2  # noqa: PLC0415

        self._caom2: Any = caom2
        self._types = {one.value: one for one in caom2.DataProductType}
        self._levels = {int(one.value): one for one in caom2.CalibrationLevel}
        self._bands = {one.value: one for one in caom2.EnergyBand}
        self._states = {one.value: one for one in caom2.PolarizationState}
        self._position = lru_cache(_AXES_AT_ONCE)(self._make_position)
        self._energy = lru_cache(_AXES_AT_ONCE)(self._make_energy)
        self._time = lru_cache(_AXES_AT_ONCE)(self._make_time)
        self._products = {one.value: one for one in caom2.ProductType}
        self._line, self._move, self._close = (
            caom2.shape.SegmentType[name] for name in ("LINE", "MOVE", "CLOSE")
        )

    def _interval(self, lower: float | None, upper: float | None) -> Any:
        if lower is None or upper is None:
            return None
        return self._caom2.shape.Interval(lower, upper, [self._caom2.shape.SubInterval(lower, upper)])

    def _polygon(self, numbers: Sequence[float] | None) -> Any:
        if not numbers:
            return None
        # Samples of CAOM are closed.
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        points = [self._caom2.shape.Point(ra, dec) for ra, dec in pairs]
        vertices = [
            self._caom2.shape.Vertex(ra, dec, self._line if number else self._move)
            for number, (ra, dec) in enumerate(pairs)
        ]
        return self._caom2.shape.Polygon(
            points,
            self._caom2.shape.MultiPolygon([*vertices, self._caom2.shape.Vertex(*pairs[0], self._close)]),
        )

    def _make_position(
        self,
        bounds: tuple[float, ...] | None,
        size: tuple[int | None, int | None],
        resolution: float | None,
        sample_size: float | None,
    ) -> Any:
        made = self._caom2.Position(
            bounds=self._polygon(bounds),
            dimension=None if None in size else self._caom2.wcs.Dimension2D(*size),
            resolution=resolution,
            sample_size=sample_size,
        )
        return _unless_empty(made)

    def _make_energy(
        self,
        bounds: tuple[float | None, float | None],
        dimension: int | None,
        power: float | None,
        bandpass: str | None,
        names: str | None,
    ) -> Any:
        made = self._caom2.Energy(
            bounds=self._interval(*bounds), dimension=dimension, resolving_power=power, bandpass_name=bandpass
        )
        for name in (names or "").split("|"):
            if name in self._bands:
                made.energy_bands.add(self._bands[name])
        return _unless_empty(made)

    def _make_time(
        self,
        bounds: tuple[float | None, float | None],
        dimension: int | None,
        resolution: float | None,
        exposure: float | None,
    ) -> Any:
        made = self._caom2.Time(
            bounds=self._interval(*bounds), dimension=dimension, resolution=resolution, exposure=exposure
        )
        return _unless_empty(made)

    def _settle(self, thing: Any, identifier: Any, row: Any) -> Any:
        # The package makes up a UUID; ours stays the same from one document to the next.
        thing._id = identifier  # noqa: SLF001
        thing.last_modified = row.lastmodified
        return thing

    def observation(self, row: Any) -> Any:
        """Return an observation without planes."""
        intent = self._caom2.ObservationIntentType(row.intent)
        if row.typecode == "S":
            made = self._caom2.SimpleObservation(row.collection, row.observationid, intent=intent)
        else:
            algorithm = self._caom2.Algorithm(row.algorithm_name)
            made = self._caom2.DerivedObservation(row.collection, row.observationid, algorithm, intent=intent)
        made.meta_release = row.metarelease
        for name, kind, value in (
            ("proposal", self._caom2.Proposal, row.proposal_id),
            ("target", self._caom2.Target, row.target_name),
            ("telescope", self._caom2.Telescope, row.telescope_name),
            ("instrument", self._caom2.Instrument, row.instrument_name),
        ):
            if value is not None:
                setattr(made, name, kind(value))
        return self._settle(made, row.obsid, row)

    def _provenance(self, row: Any) -> Any:
        if row.provenance_name is None:
            return None
        made = self._caom2.Provenance(row.provenance_name, run_id=row.provenance_runid)
        for uri in (row.provenance_inputs or "").split():
            made.inputs.add(self._caom2.PlaneURI(uri))
        return made

    def plane(self, row: Any) -> Any:
        """Return a plane without artifacts."""
        made = self._caom2.Plane(
            row.productid,
            creator_id=row.creatorid,
            meta_release=row.metarelease,
            data_release=row.datarelease,
            data_product_type=self._types.get(_PRODUCT_TYPES.get(row.dataproducttype, row.dataproducttype)),
            calibration_level=self._levels.get(row.calibrationlevel),
            provenance=self._provenance(row),
            observable=None if row.observable_ucd is None else self._caom2.Observable(row.observable_ucd),
        )
        # Planes of an observation share most of their axes: each is made once.
        bounds = row.position_bounds_points
        made.position = self._position(
            None if bounds is None else tuple(bounds),
            (row.position_dimension_naxis1, row.position_dimension_naxis2),
            row.position_resolution,
            row.position_samplesize,
        )
        made.energy = self._energy(
            (row.energy_bounds_lower, row.energy_bounds_upper),
            row.energy_dimension,
            row.energy_resolvingpower,
            row.energy_bandpassname,
            row.energy_energybands,
        )
        made.time = self._time(
            (row.time_bounds_lower, row.time_bounds_upper),
            row.time_dimension,
            row.time_resolution,
            row.time_exposure,
        )
        found = [
            self._states[one]
            for one in (row.polarization_states or "").strip("/").split("/")
            if one in self._states
        ]
        if found:
            made.polarization = self._caom2.Polarization(row.polarization_dimension, found)
        return self._settle(made, row.planeid, row)

    def artifact(self, row: Any) -> Any:
        """Return an artifact."""
        made = self._caom2.Artifact(
            row.uri,
            self._products[row.producttype],
            self._caom2.ReleaseType(row.releasetype),
            content_type=row.contenttype,
            content_length=row.contentlength,
            content_release=row.contentrelease,
        )
        return self._settle(made, row.artifactid, row)


def _unless_empty(thing: Any) -> Any:
    """Return an axis, or None if nothing is known of it."""
    return thing if any(value not in (None, []) for value in vars(thing).values()) else None
