"""What the observing log takes from ConsDB, the transformed EFD and the exposure log, and what it means."""

from collections.abc import Iterator

from tapdb.errors import Place
from tapdb.hooks.descriptions import ColumnDescription, SchemaDescription, TableDescription

SCHEMA, EXPOSURES, DATASETS = "ivoa", "observing_log", "dataset_log"
_PLACE = Place("prompt_products")

INSTRUMENTS = {
    "lsstcam": "LSSTCam",
    "latiss": "LATISS",
    "lsstcomcam": "LSSTComCam",
}
"""Instruments, by the end of the names of their schemas: ``cdb_lsstcam``, ``efd_lsstcam``."""

_Row = tuple[str, str, str, str, str, str | None, str, str]
# Name, table it is from (e exposure, q visit1_quicklook, f exposure_efd), column there, type in PostgreSQL, datatype, unit, UCD, description.
# ruff: noqa: E501
# fmt: off
FROM_TABLES: tuple[_Row, ...] = (
    ("exposure", "e", "exposure_id", "bigint", "long", None, "meta.id;obs", "Exposure; visits have the same number"),
    ("exposure_name", "e", "exposure_name", "text", "char", None, "meta.id;obs", "Name of the exposure"),
    ("day_obs", "e", "day_obs", "integer", "int", None, "time.epoch", "Observing day, YYYYMMDD"),
    ("seq_num", "e", "seq_num", "integer", "int", None, "meta.number", "Number of the exposure in its day"),
    ("obs_start_mjd", "e", "obs_start_mjd", "double precision", "double", "d", "time.start;obs.exposure", "Start, MJD (TAI)"),
    ("obs_end_mjd", "e", "obs_end_mjd", "double precision", "double", "d", "time.end;obs.exposure", "End, MJD (TAI)"),
    ("exp_time", "e", "exp_time", "double precision", "double", "s", "time.duration;obs.exposure", "Exposure time"),
    ("img_type", "e", "img_type", "text", "char", None, "meta.code.class", "Type of the exposure"),
    ("physical_filter", "e", "physical_filter", "text", "char", None, "meta.id;instr.filter", "Physical filter"),
    ("band", "e", "band", "text", "char", None, "meta.id;instr.bandpass", "Band"),
    ("target_name", "e", "target_name", "text", "char", None, "meta.id;src", "Field or object"),
    ("science_program", "e", "science_program", "text", "char", None, "meta.id;obs.proposal", "Programme"),
    ("observation_reason", "e", "observation_reason", "text", "char", None, "meta.note", "Why it was observed"),
    ("s_ra", "e", "s_ra", "double precision", "double", "deg", "pos.eq.ra", "Right ascension, ICRS"),
    ("s_dec", "e", "s_dec", "double precision", "double", "deg", "pos.eq.dec", "Declination, ICRS"),
    ("airmass", "e", "airmass", "double precision", "double", None, "obs.airMass", "Airmass"),
    ("altitude", "e", "altitude", "double precision", "double", "deg", "pos.az.alt", "Altitude"),
    ("azimuth", "e", "azimuth", "double precision", "double", "deg", "pos.az.azi", "Azimuth"),
    ("dimm_seeing", "e", "dimm_seeing", "double precision", "double", "arcsec", "instr.obsty.seeing", "Seeing that the DIMM measured"),
    ("air_temp", "e", "air_temp", "double precision", "double", "Celsius", "phys.temperature", "Temperature of the air"),
    ("humidity", "e", "humidity", "double precision", "double", "%", "obs.atmos.humidity", "Relative humidity"),
    ("wind_speed", "e", "wind_speed", "double precision", "double", "m.s**-1", "phys.veloc", "Speed of the wind"),
    ("seeing", "q", "seeing_zenith_500nm_median", "double precision", "double", "arcsec", "instr.obsty.seeing", "Seeing of the images, median of detectors, at zenith and 500 nm"),
    ("psf_sigma", "q", "psf_sigma_median", "double precision", "double", "pixel", "instr.det.psf", "Width of the point spread function, median of detectors"),
    ("sky_bg", "q", "sky_bg_median", "double precision", "double", None, "instr.skyLevel", "Background, median of detectors"),
    ("zero_point", "q", "zero_point_median", "double precision", "double", "mag", "phot.mag;arith.zp", "Photometric zero point, median of detectors"),
    ("eff_time", "q", "eff_time_median", "double precision", "double", "s", "time.duration;obs.exposure", "Effective exposure time, median of detectors"),
    ("sonic_temperature", "f", "mt_salindex110_sonic_temperature_mean", "double precision", "double", "Celsius", "phys.temperature", "Temperature in the dome by the sonic anemometer, mean"),
)
FROM_MESSAGES: tuple[tuple[str, str, str, str | None, str, str], ...] = (
    ("message_count", "bigint", "long", None, "meta.number", "How many messages people left"),
    ("exposure_flag", "text", "char", None, "meta.code.qual", "Worst flag of the messages: none, questionable or junk; NULL without messages"),
    ("messages", "text", "char", None, "meta.note", "Messages, the first first, with a line break between"),
)
# fmt: on
RELATIONS = {"e": ("cdb", "exposure"), "q": ("cdb", "visit1_quicklook"), "f": ("efd", "exposure_efd")}
"""Where columns are from: what begins the name of the schema, and the table."""

NAMES = ("instrument_name", *(row[0] for row in FROM_TABLES), *(row[0] for row in FROM_MESSAGES))
"""Names of the columns of the log."""


def description_of_log(names: frozenset[str]) -> SchemaDescription:
    """Return the description of the views that there are, by their names."""
    tables = {
        EXPOSURES: ("Observing log: a row for each exposure", ()),
        DATASETS: (
            "Observing log: a row for each dataset of an exposure",
            (
                _column("dataset_id", "char", "36", None, "meta.id;meta.dataset", "UUID of the dataset"),
                _column(
                    "obs_publisher_did", "char", "*", None, "meta.ref.ivoid", "Publisher DID of the dataset"
                ),
                _column("dataproduct_subtype", "char", "*", None, "meta.code.class", "Type of the dataset"),
            ),
        ),
    }
    return SchemaDescription(
        name=SCHEMA,
        tables=tuple(
            TableDescription(name=name, description=about, columns=(*more, *_columns()), place=_PLACE)
            for name, (about, more) in tables.items()
            if name in names
        ),
        place=_PLACE,
    )


def _columns() -> Iterator[ColumnDescription]:
    yield _column("instrument_name", "char", "*", None, "meta.id;instr", "Instrument")
    rows = [(row[0], *row[4:]) for row in FROM_TABLES]
    rows += [(row[0], *row[2:]) for row in FROM_MESSAGES]
    for name, datatype, unit, ucd, about in rows:
        yield _column(name, datatype, "*" if datatype == "char" else None, unit, ucd, about)


def _column(
    name: str, datatype: str, arraysize: str | None, unit: str | None, ucd: str | None, about: str
) -> ColumnDescription:
    return ColumnDescription(
        name=name,
        datatype=datatype,
        arraysize=arraysize,
        unit=unit,
        ucd=ucd,
        description=about,
        principal=True,
        place=_PLACE,
    )
