"""What prompt products give to others: coverage kept around a migration, described in TAP_SCHEMA, folded by workers."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from prompt_products.coverage import keeping
from prompt_products.errors import CoverageRefusedError
from tapdb.errors import Place
from tapdb.hooks.derived import LAST
from tapdb.hooks.descriptions import ColumnDescription, SchemaDescription, TableDescription
from tapdb.queue.task import Running, Task
from tapdb.sources import execute_composed

_PLACE = Place("prompt_products")
_LOG = logging.getLogger(__name__)

_Column = tuple[str, str, str | None, str, str]
# Name, datatype, unit, UCD, description; one column a line: it is a table.
# ruff: noqa: E501
# fmt: off
_TABLE: _Column = ("obscore_table", "char", None, "meta.id;meta.table", "ObsCore table whose datasets are counted")
_TYPE: _Column = ("dataset_type", "char", None, "meta.code.class", "Butler dataset type")
_INSTRUMENT: _Column = ("instrument_name", "char", None, "meta.id;instr", "Instrument")
_BAND: _Column = ("band", "char", None, "meta.id;instr.bandpass", "Band")
_NIGHT: _Column = ("day_obs", "int", None, "time.epoch", "Observing day, YYYYMMDD; of products without a time, such as coadds, that in which they came")
_COUNT: _Column = ("dataset_count", "long", None, "meta.number", "How many datasets there are")
_TIMES: tuple[_Column, ...] = (
    ("t_min", "double", "d", "time.start;obs.exposure", "Start of the first observation, MJD (UTC)"),
    ("t_max", "double", "d", "time.end;obs.exposure", "End of the last observation, MJD (UTC)"),
)
_AREA: _Column = ("covered_area", "double", "deg**2", "phys.angArea;obs.field", "Area of the sky that they cover")
_MOC: _Column = ("moc", "char", None, "pos.outline;obs.field", "Sky that they cover: a MOC of order 11 in ASCII form")
_STAGE: _Column = ("stage", "char", None, "meta.code.class", "What the dataset type is for difference images: image, difference or template")
_TOTAL: tuple[_Column, ...] = (
    ("total_count", "long", None, "meta.number", "How many datasets there are of this night and of all before it"),
    _AREA,
    ("new_area", "double", "deg**2", "phys.angArea;obs.field", "Area that no night before has covered"),
    ("total_area", "double", "deg**2", "phys.angArea;obs.field", "Area that this night and all before it cover"),
    ("moc", "char", None, "pos.outline;obs.field", "Sky that this night and all before it cover: a MOC of order 11 in ASCII form"),
)
_COVERAGE = (_TABLE, _TYPE, _INSTRUMENT, _BAND, _NIGHT, _COUNT, *_TIMES, _AREA, _MOC, _STAGE)
_TABLES: dict[str, tuple[str, tuple[_Column, ...]]] = {
    "coverage": ("Sky that images cover: a row for each dataset type, instrument, band and night", _COVERAGE),
    "last_night": ("Sky that was covered in the last night of each instrument", _COVERAGE),
    "coverage_growth": ("How the covered sky has grown, night by night", (_TABLE, _TYPE, _INSTRUMENT, _BAND, _NIGHT, _COUNT, *_TOTAL, _STAGE)),
    "template_coverage": ("Sky that has templates for difference images, by the night in which they came", (_TABLE, _TYPE, _BAND, _NIGHT, _COUNT, *_TOTAL)),
    "visit_templates": ("Visits: whether templates covered them, whether there are difference images, and why not", (
        _TABLE, _INSTRUMENT, _NIGHT,
        ("visit", "long", None, "meta.id;obs", "Visit"),
        _BAND,
        ("t_min", "double", "d", "time.start;obs.exposure", "Start of the observation, MJD (UTC)"),
        ("image_count", "long", None, "meta.number", "Detectors with an image"),
        ("difference_count", "long", None, "meta.number", "Detectors with a difference image"),
        _AREA,
        ("template_fraction", "double", None, "stat.filling;obs.field", "Part of the area that had templates of the band by the end of the night"),
        ("template_fraction_now", "double", None, "stat.filling;obs.field", "Part of the area that has templates of the band now"),
        ("reason", "char", None, "meta.note", "Why there are fewer difference images than images; NULL if there are not"),
    )),
    "obscore_summary": ("Values that a search of ObsCore can ask for, with how much there is of each: for lists to choose from", (
        _TABLE,
        ("obs_collection", "char", None, "meta.id", "Name of the data collection"),
        _INSTRUMENT,
        ("dataproduct_type", "char", None, "meta.code.class", "Primary type of the data product"),
        ("dataproduct_subtype", "char", None, "meta.code.class", "Specific type of the data product"),
        ("calib_level", "int", None, "meta.code;obs.calib", "Calibration level"),
        ("em_filter_name", "char", None, "meta.id;instr.filter", "Band"),
        _COUNT, *_TIMES, _AREA,
    )),
}
# fmt: on
_HIDDEN = frozenset({"moc_ranges", "pgs_moc"})


def describe(connection: sa.Connection) -> Iterable[SchemaDescription]:
    """Return descriptions of the tables of coverage; nothing if no coverage is kept.

    Parameters
    ----------
    connection
        Connection to the database.
    """
    if connection.scalar(sa.select(sa.func.to_regclass(f"{keeping.PUBLISHED_SCHEMA}.coverage"))) is None:
        return
    yield SchemaDescription(
        name=keeping.PUBLISHED_SCHEMA,
        tables=tuple(
            TableDescription(
                name=name,
                description=about,
                columns=tuple(_columns(columns)),
                hidden=_HIDDEN,
                place=_PLACE,
            )
            for name, (about, columns) in _TABLES.items()
        ),
        place=_PLACE,
    )


def _columns(columns: tuple[_Column, ...]) -> Iterator[ColumnDescription]:
    for name, datatype, unit, ucd, about in columns:
        is_text = datatype == "char"
        yield ColumnDescription(
            name=name,
            datatype=datatype,
            arraysize="*" if is_text else None,
            xtype="moc" if name == "moc" else None,
            unit=unit,
            ucd=ucd,
            description=about,
            principal=True,
            place=_PLACE,
        )


class KeptCoverages:
    """Coverage of views, between the two halves of a migration and after each change of a view.

    What was folded stays. Triggers go and come back; if the kept tables of a view were made again meanwhile,
    its coverage is made again too.
    """

    after = LAST
    options: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        self._tables: dict[str, tuple[int, ...]] = {}

    def drop(self, connection: sa.Connection) -> None:
        """Take the published views and the triggers away, which use functions that a migration may replace."""
        kept = keeping.read_kept(connection)
        if not kept:
            return
        keeping.unpublish(connection)
        for one in kept:
            if one.is_current:
                self._tables[one.base] = keeping.table_numbers(connection, one)
            for statement in keeping.drop_trigger_statements(connection, one):
                execute_composed(connection, statement)

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:  # noqa: ARG002 - the protocol's signature
        """Let coverage be kept again of all views of which it was."""
        kept = keeping.read_kept(connection)
        if not kept:
            return
        for one in kept:
            if one.is_current:
                continue
            if self._tables.get(one.base) == keeping.table_numbers(connection, one):
                for statement in keeping.trigger_statements(one):
                    execute_composed(connection, statement)
            else:
                _again(connection, one)
        keeping.publish(connection)

    def is_current(self, connection: sa.Connection, options: Mapping[str, str]) -> bool:  # noqa: ARG002 - the protocol's signature
        """Return whether there is nothing to be kept around a migration."""
        return not keeping.can_keep(connection) or not keeping.read_kept(connection)

    def describe_offline(self) -> str:
        """Return what a DBA has to run when the migration is a script."""
        return (
            "Coverage is kept by triggers on kept tables of views. After this script: tapdb coverage rebuild."
        )


def _again(connection: sa.Connection, kept: keeping.KeptCoverage) -> None:
    """Keep the coverage of a view whose kept tables are others now."""
    try:
        again = keeping.keep(
            connection,
            kept.view,
            templates=kept.templates,
            differences=kept.differences,
            images=kept.images,
            night_hours=kept.night_hours,
        )
    except CoverageRefusedError as error:
        _LOG.warning("%s", error)
        return
    keeping.rebuild(connection, again)


def _fold(running: Running, *, timestamp: int) -> None:  # noqa: ARG001 - the argument of all periodic tasks
    """Fold what has come to the coverage of all views; every minute."""
    with running.engine.connect() as connection:
        for base in keeping.kept_bases(connection).values():
            running.require_wanted()
            keeping.fold(connection, base)
            connection.commit()


TASKS = (Task("coverage.fold", _fold, cron="* * * * *"),)
"""What workers of the queue do for coverage."""
