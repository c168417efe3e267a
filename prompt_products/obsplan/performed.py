"""What registries say was performed: exposures that are stored since the last time, as rows of the plan.

A row of a plan whose ``obs_id`` is that of an exposure, or of its group, becomes what was performed of it;
other exposures are rows of their own. Names and wavelengths are those of the ObsCore view over the registry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import yaml
from sqlalchemy.dialects.postgresql import INT8RANGE, JSONB, distinct_on

from prompt_products.errors import PlanIncompleteError
from prompt_products.obsplan.plan_store import plan_table
from prompt_products.over_obscore import view_columns
from tapdb.postgres.pgsphere import SPoly

TYPES = ("science",)
"""Types of observation that are rows by default: those of the sky."""

_tapdb = sa.func.tapdb
# Names that tables of Butler's universes have had.
_GROUP = ("group", "group_name")
_ON_SKY = 360.0


@dataclass(frozen=True, slots=True)
class ObsCoreWords:
    """What the configuration of an ObsCore view says of observations.

    Attributes
    ----------
    collection
        Name of the data collection.
    facility, facilities
        Name of the observatory, and those of instruments that have another.
    wavelengths
        Shortest and longest wavelength (m) of physical filters and bands.
    """

    collection: str | None
    facility: str
    facilities: Mapping[str, str]
    wavelengths: Mapping[str, Sequence[float | None]]


def read_words(connection: sa.Connection, registry: str) -> ObsCoreWords:
    """Return what the ObsCore view over a registry says; that of ivoa first.

    Raises
    ------
    PlanIncompleteError
        Raised if there is no such view.
    """
    definition = sa.table(
        "view_definition",
        *map(sa.column, ("view_schema", "view_name", "registry_schema", "stage", "config_yaml")),
        schema="tapdb",
    )
    query = (
        sa.select(definition.c.config_yaml)
        .where(definition.c.registry_schema == registry, definition.c.stage == "published")
        .order_by(definition.c.view_schema != "ivoa", definition.c.view_schema, definition.c.view_name)
        .limit(1)
    )
    text = connection.scalar(query)
    if text is None:
        raise PlanIncompleteError(
            f"there is no ObsCore view over the registry {registry}, which has names and wavelengths",
            "make one: tapdb obscore create",
        )
    config = yaml.safe_load(text)
    return ObsCoreWords(
        collection=config.get("obs_collection"),
        facility=config["facility_name"],
        facilities=config.get("facility_map") or {},
        wavelengths=config.get("spectral_ranges") or {},
    )


def update_performed(
    connection: sa.Connection, registry: str, now_mjd: float, types: Sequence[str] = TYPES
) -> tuple[int, int]:
    """Take in what a registry has more than before; return how many rows were planned, and how many were not.

    Parameters
    ----------
    connection
        Connection of a member of ``tapdb_owner`` who may read the registry, in a transaction.
    registry
        Its schema.
    now_mjd
        The time, MJD (UTC): ``t_planning`` of rows that no plan had.
    types
        Types of observation.

    Raises
    ------
    PlanIncompleteError
        Raised if there is no ObsCore view over the registry, or it has no exposures.
    """
    found = _exposures(connection, registry, read_words(connection, registry), types).subquery()
    names = [column.name for column in found.c if column.name not in {"group", "pgs_region"}]
    values = {name: found.c[name] for name in names if name != "obs_id"}
    # Of several exposures of a group the first is that of the plan.
    of_plan = (
        sa.select(found, plan_table.c.plan, plan_table.c.obs_id.label("planned"))
        .join(
            plan_table,
            sa.and_(
                plan_table.c.exposure.is_(None),
                plan_table.c.execution_status.in_(("Planned", "Scheduled", "Unscheduled")),
                plan_table.c.obs_id.in_((found.c.obs_id, found.c.group)),
                sa.func.coalesce(plan_table.c.instrument_name, found.c.instrument_name)
                == found.c.instrument_name,
            ),
        )
        .ext(distinct_on(plan_table.c.plan, plan_table.c.obs_id))
        .order_by(plan_table.c.plan, plan_table.c.obs_id, found.c.exposure)
    ).subquery()
    # One exposure stands for one row, however many plans have it.
    first = sa.select(of_plan).ext(distinct_on(of_plan.c.exposure))
    once = first.order_by(of_plan.c.exposure, of_plan.c.plan).subquery()
    performed = {name: once.c[name] for name in (*values, "pgs_region")}
    for kept in ("target_name", "s_fov", "s_region", "pgs_region", "s_ra", "s_dec", "em_min", "em_max"):
        performed[kept] = sa.func.coalesce(once.c[kept], plan_table.c[kept])
    planned = connection.execute(
        sa.update(plan_table)
        .where(plan_table.c.plan == once.c.plan, plan_table.c.obs_id == once.c.planned)
        .values(execution_status="Performed", **performed)
    ).rowcount
    more = {
        "plan": sa.literal(registry) + "/" + found.c.instrument_name,
        "t_planning": sa.literal(now_mjd, sa.Double()),
        "category": sa.literal("Fixed"),
        "priority": sa.literal(1),
        "execution_status": sa.literal("Performed"),
        "tracking_type": sa.literal("Sidereal"),
        **{name: found.c[name] for name in (*names, "pgs_region")},
    }
    known = sa.select(plan_table.c.exposure).where(
        plan_table.c.registry_schema == registry,
        plan_table.c.instrument_name == found.c.instrument_name,
        plan_table.c.exposure == found.c.exposure,
    )
    rest = sa.select(*(value.label(name) for name, value in more.items())).where(~known.exists())
    insertion = sa.insert(plan_table).from_select(list(more), rest)
    others = connection.execute(insertion, execution_options={"preserve_rowcount": True}).rowcount
    return planned, others


def _exposures(
    connection: sa.Connection, registry: str, words: ObsCoreWords, types: Sequence[str]
) -> sa.Select[Any]:
    """Return the query of exposures that are no rows yet, with the columns of the plan."""
    exposure, columns = _table(connection, registry, "exposure")
    if not {"timespan", "obs_id", "instrument"} <= columns:
        raise PlanIncompleteError(f"schema {registry} has no table of exposures", "name another registry")
    filters, _ = _table(connection, registry, "physical_filter")
    visits, of_visits = _table(connection, registry, "visit")
    defined, of_defined = _table(connection, registry, "visit_definition")
    e = exposure.c

    def known(name: str, kind: Any = None) -> sa.ColumnElement[Any]:
        return e[name] if name in columns else sa.cast(sa.null(), kind or sa.Text())

    group = next((e[name] for name in _GROUP if name in columns), sa.cast(sa.null(), sa.Text()))
    begin: Any = _tapdb.utc_mjd(sa.func.lower(e.timespan), type_=sa.Double())
    end: Any = _tapdb.utc_mjd(sa.func.upper(e.timespan), type_=sa.Double())
    ranges = sa.cast(sa.literal(dict(words.wavelengths), JSONB()), JSONB())
    pair = sa.func.coalesce(ranges[e.physical_filter], ranges[filters.c.band])
    place = sa.func.tapdb.footprint(sa.cast(visits.c.region, sa.Text())).table_valued(
        *(sa.column(name, sa.Double()) for name in ("s_ra", "s_dec", "s_fov")),
        sa.column("s_region", sa.Text()),
        sa.column("pgs_region"),
        name="place",
    )
    regions = (
        sa.select(place)
        .select_from(
            defined.join(
                visits, sa.and_(visits.c.instrument == defined.c.instrument, visits.c.id == defined.c.visit)
            ).join(place, sa.true())
        )
        .where(defined.c.instrument == e.instrument, defined.c.exposure == e.id)
        .order_by(defined.c.visit)
        .limit(1)
        .lateral("region")
        if "region" in of_visits and of_defined
        else None
    )
    ra, dec = known("tracking_ra", sa.Double()), known("tracking_dec", sa.Double())
    on_sky = sa.and_(ra >= 0, ra < _ON_SKY, dec.between(-90, 90))
    where: dict[str, Any] = {
        "s_ra": sa.case((on_sky, ra)),
        "s_dec": sa.case((on_sky, dec)),
        "s_fov": sa.cast(sa.null(), sa.Double()),
        "s_region": sa.cast(sa.null(), sa.Text()),
    }
    source = exposure.outerjoin(
        filters, sa.and_(filters.c.instrument == e.instrument, filters.c.name == e.physical_filter)
    )
    region: Any = sa.cast(sa.null(), SPoly("public"))
    if regions is not None:
        source = source.outerjoin(regions, sa.true())
        where = {
            name: sa.func.coalesce(regions.c[name], value, type_=value.type) for name, value in where.items()
        }
        region = regions.c.pgs_region
    facility = (
        sa.case(dict(words.facilities), value=e.instrument, else_=words.facility)
        if words.facilities
        else sa.literal(words.facility)
    )
    query = (
        sa.select(
            sa.literal(registry).label("registry_schema"),
            e.id.label("exposure"),
            e.instrument.label("instrument_name"),
            e.obs_id,
            group.label("group"),
            known("target_name").label("target_name"),
            sa.cast(words.collection, sa.Text()).label("obs_collection"),
            *(value.label(name) for name, value in where.items()),
            region.label("pgs_region"),
            begin.label("t_min"),
            end.label("t_max"),
            sa.func.coalesce(known("exposure_time", sa.Double()), (end - begin) * 86400).label("t_exptime"),
            sa.cast(pair.op("->>")(0), sa.Double()).label("em_min"),
            sa.cast(pair.op("->>")(1), sa.Double()).label("em_max"),
            facility.label("facility_name"),
        )
        .select_from(source)
        .where(sa.func.lower(e.timespan).is_not(None), sa.func.upper(e.timespan).is_not(None))
        .where(
            ~sa.exists().where(
                plan_table.c.registry_schema == registry,
                plan_table.c.instrument_name == e.instrument,
                plan_table.c.exposure == e.id,
            )
        )
    )
    return query.where(e.observation_type.in_(types)) if types and "observation_type" in columns else query


def _table(connection: sa.Connection, registry: str, name: str) -> tuple[sa.TableClause, frozenset[str]]:
    """Return a table of a registry with the names of its columns; those that queries name are there."""
    columns = view_columns(connection, registry, name)
    kinds: Mapping[str, Any] = {
        "timespan": INT8RANGE(),
        "exposure_time": sa.Double(),
        "tracking_ra": sa.Double(),
        "tracking_dec": sa.Double(),
    }
    wanted = columns | {"instrument", "id", "name", "band", "region", "visit", "exposure", "physical_filter"}
    made = [sa.column(one, kinds.get(one, sa.Text())) for one in sorted(wanted)]
    return sa.table(name, *made, schema=registry), columns
