"""A first ObsCore configuration for a registry: what is there, with guesses that say why they were made.

`read_content` reads, `first_config` writes text; the text depends on nothing but what was read.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

import sqlalchemy as sa

from obscore_view.registry.snapshot import Registry
from obscore_view.select.kept_rows import butler_table
from tapdb.postgres.roles import Right, require_rights

_READ_TABLES = ("instrument", "physical_filter", "collection", "collection_chain", "dataset")
_RUN, _CHAINED = 1, 3
_MOST_NAMES = 20
_MOST_LISTED = 40
_WIDTH = 110

_FACILITIES = {
    "LSSTCam": "Rubin:Simonyi",
    "LSSTComCam": "Rubin:Simonyi",
    "LATISS": "Rubin:1.2m",
    "LSSTCam-imSim": "Rubin-LSST",
    "LSSTComCamSim": "Rubin-LSST",
    "HSC": "Subaru",
    "DECam": "Blanco",
    "MegaPrime": "CFHT",
}
_UNKNOWN_FACILITY = "UNKNOWN"

# Metres. Bands as in Rubin's Data Preview 1; filters of HSC as in dax_obscore's configuration for it.
_BANDS = {
    "u": "[300.0e-9, 393.2e-9]",
    "g": "[402.6e-9, 548.3e-9]",
    "r": "[551.0e-9, 689.1e-9]",
    "i": "[693.6e-9, 818.8e-9]",
    "z": "[819.2e-9, 920.1e-9]",
    "y": "[927.8e-9, 1100.0e-9]",
}
_FILTERS = {
    "HSC-G": "[406.0e-9, 545.0e-9]",
    "HSC-R": "[543.0e-9, 693.0e-9]",
    "HSC-R2": "[542.0e-9, 693.0e-9]",
    "HSC-I": "[690.0e-9, 842.0e-9]",
    "HSC-I2": "[692.0e-9, 850.0e-9]",
    "HSC-Z": "[852.0e-9, 928.0e-9]",
    "HSC-Y": "[937.0e-9, 1015.0e-9]",
}

_COLUMNS = (
    ("lsst_visit", "{visit}", "int", "Visit, or the exposure where there is no visit"),
    ("lsst_detector", "{detector}", "int", "Detector of the instrument"),
    ("lsst_tract", "{tract}", "int", "Tract of the sky map"),
    ("lsst_patch", "{patch}", "int", "Patch of the tract"),
    ("lsst_band", "{band}", "string", "Band"),
    ("lsst_filter", "{physical_filter}", "string", "Physical filter"),
)

_BY_PRODUCT = re.compile(r"_(config|log|metadata|schema)$|^(packages|initOutputs)$", re.IGNORECASE)
_IMAGE_CLASS = re.compile(r"Exposure|Image|Coadd", re.IGNORECASE)
_TABLE = re.compile(r"table|catalog|source|object|summary|src$|arrow|dataframe|parquet", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RegisteredType:
    """A dataset type of a registry.

    Attributes
    ----------
    name, storage_class
        As registered.
    required
        Required dimensions.
    is_calibration
        Whether its datasets have validity ranges: biases, flats, ...
    datasets
        Number of datasets in all RUN collections.
    """

    name: str
    storage_class: str
    required: tuple[str, ...]
    is_calibration: bool
    datasets: int


_FIRST = RegisteredType("raw", "", ("instrument", "detector", "exposure"), is_calibration=False, datasets=0)


@dataclass(frozen=True, slots=True)
class RegistryContent:
    """What a registry holds, as far as a first configuration depends on it; all in the order of names.

    Attributes
    ----------
    schema
        Database schema.
    instruments
        Names of instruments.
    filters
        Name and band of each physical filter.
    dataset_types
        Registered dataset types.
    runs
        Name of each RUN collection, with the number of its datasets by dataset type.
    chains
        Name of each CHAINED collection, with its members in the order of search.
    """

    schema: str
    instruments: tuple[str, ...]
    filters: tuple[tuple[str, str], ...]
    dataset_types: tuple[RegisteredType, ...]
    runs: tuple[tuple[str, dict[str, int]], ...]
    chains: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Guess:
    """What a dataset type probably is in ObsCore's words, and why."""

    product: Literal["image", "measurements"]
    level: int
    ucd: str | None
    why: str


# The first that fits counts. Names are those of Rubin's pipelines, old and new.
_RULES: tuple[tuple[re.Pattern[str], _Guess], ...] = tuple(
    (re.compile(pattern), guess)
    for pattern, guess in (
        (r"^raw$", _Guess("image", 1, "phot.count", "raw is what the camera wrote")),
        (r"(?i)diff", _Guess("image", 3, "phot.flux.density", "its name says difference image")),
        (r"(?i)coadd|template", _Guess("image", 3, "phot.flux.density", "its name says coadd")),
        (r"(?i)warp", _Guess("image", 2, "phot.flux.density", "its name says warp: one visit, resampled")),
        (
            r"calexp|pvi$|visit_image",
            _Guess("image", 2, "phot.flux.density", "its name says calibrated image"),
        ),
        (
            r"(?i)postisr|post_isr",
            _Guess("image", 2, "phot.count", "its name says instrument signature removed"),
        ),
        (r"(?i)thumbnail|quicklook", _Guess("image", 1, None, "its name says preview")),
    )
)


def read_content(connection: sa.Connection, registry: Registry) -> RegistryContent:
    """Return what a registry holds; reads its table of datasets once from end to end.

    Parameters
    ----------
    connection
        Connection of a user who may read the registry.
    registry
        The registry, as `obscore_view.registry.read.read_registry` gives it.

    Raises
    ------
    MissingRightsError
        Raised if the user may not read the tables.
    """
    schema = registry.schema
    needed = [Right("SELECT", schema, table) for table in _READ_TABLES]
    require_rights(connection, "read what the registry holds", needed)
    keys = registry.collection_key
    instrument, physical_filter, collection, chain, dataset, kind = (
        butler_table(registry, name) for name in (*_READ_TABLES, "dataset_type")
    )
    names = {
        row.key: row
        for row in connection.execute(
            sa.select(collection.c[keys.column].label("key"), collection.c.name, collection.c.type)
        )
    }
    counts = connection.execute(
        sa.select(
            dataset.c[keys.run_column].label("run"),
            dataset.c.dataset_type_id,
            sa.func.count().label("datasets"),
        ).group_by(dataset.c[keys.run_column], dataset.c.dataset_type_id)
    ).all()
    types = {row.id: row for row in connection.execute(sa.select(kind).order_by(kind.c.name))}
    totals: defaultdict[int, int] = defaultdict(int)
    by_run: defaultdict[object, dict[str, int]] = defaultdict(dict)
    for row in counts:
        totals[row.dataset_type_id] += row.datasets
        by_run[row.run][types[row.dataset_type_id].name] = row.datasets
    members: defaultdict[object, list[str]] = defaultdict(list)
    for row in connection.execute(sa.select(chain).order_by(chain.c.parent, chain.c.position)):
        members[row.parent].append(names[row.child].name)
    filters = sa.select(physical_filter.c.name, physical_filter.c.band).distinct()
    return RegistryContent(
        schema=schema,
        instruments=tuple(sorted(connection.scalars(sa.select(instrument.c.name)))),
        filters=tuple(sorted((row.name, row.band) for row in connection.execute(filters))),
        dataset_types=tuple(
            RegisteredType(
                row.name,
                row.storage_class,
                registry.dataset_types[row.name].required,
                row.calibration_association_table is not None,
                totals[row.id],
            )
            for row in sorted(types.values(), key=lambda one: str(one.name))
        ),
        runs=tuple(sorted((row.name, by_run[row.key]) for row in names.values() if row.type == _RUN)),
        chains=tuple(
            sorted((row.name, tuple(members[row.key])) for row in names.values() if row.type == _CHAINED)
        ),
    )


def first_config(content: RegistryContent) -> str:
    """Return the text of a configuration that publishes the images of a registry.

    Parameters
    ----------
    content
        What the registry holds.
    """
    schema = _one_line(content.schema)
    return "\n".join(
        [
            f"# ObsCore configuration, by tapdb obscore init from the registry in schema {schema}.",
            "# It works as it stands. EDIT marks what no registry knows; guesses say why they were made.",
            "# All keys: docs/configuration.md. What it comes to: tapdb obscore mapping -c FILE.",
            "",
            *_common(content),
            "",
            *_collections(content),
            "",
            *_dataset_types(content),
            "",
            *_spectral_ranges(content),
            "",
            "extra_columns:",
            *(
                f"  {name}: {{template: {_text(template)}, type: {kind}, doc: {_text(doc)}}}"
                for name, template, kind, doc in _COLUMNS
            ),
            "",
            "tapdb:",
            "  view: ivoa.ObsCore",
            f"  registry_schema: {_text(content.schema)}",
            "",
        ]
    )


def _common(content: RegistryContent) -> Iterator[str]:
    known = {name: _FACILITIES.get(name) for name in content.instruments}
    facility = next((one for name, one in _FACILITIES.items() if name in known), _UNKNOWN_FACILITY)
    yield "# For daf_butler's own live table: nothing of it changes the view."
    yield "namespace: daf_butler_obscore"
    yield "version: 1"
    yield ""
    edit = " # EDIT: the facility of an instrument that is not known" if facility == _UNKNOWN_FACILITY else ""
    yield f"facility_name: {_text(facility)}{edit}"
    if known:
        yield "facility_map: # by instrument"
        for name, found in known.items():
            edit = "" if found else " # EDIT: not known"
            yield f"  {_text(name)}: {_text(found or _UNKNOWN_FACILITY)}{edit}"
    if len(known) == 1:
        yield f"fallback_instrument: {_text(next(iter(known)))} # of coadds, which have no instrument"
    elif known:
        yield "# Several instruments: coadds of which are these? They have no instrument of their own."
        yield f"# fallback_instrument: {_text(next(iter(known)))}"
    yield f"obs_collection: {_text(content.schema)} # EDIT: a name for the whole, such as LSST.DP1"
    did = f"ivo://org.example/tapdb?repo={quote(content.schema, safe='')}&id={{id}}"
    yield f"obs_publisher_did_fmt: {_text(did)} # EDIT: authority, path and label of the repository"


def _collections(content: RegistryContent) -> Iterator[str]:
    """Yield the rule for collections: RUN collections with images, less those of users."""
    published = {one.name for one in content.dataset_types if _is_active(one)}
    wanted = [
        name for name, counts in content.runs if published & counts.keys() and not name.startswith("u/")
    ]
    yield "# Regular expressions that have to match the whole name of a RUN collection."
    yield "collection_type: RUN"
    if not wanted:
        yield "# No RUN collection has images yet: those of all will be published, less those of users."
        yield "collections: ['(?!u/).*']"
    elif len(wanted) <= _MOST_NAMES:
        yield "collections:"
        yield from (f"  - {_text(_literally(name))}" for name in wanted)
    else:
        yield f"# {len(wanted)} RUN collections with images, by the first part of their names."
        yield "collections:"
        heads = sorted({name.partition("/")[0] for name in wanted})
        yield from (f"  - {_text(_literally(head) + '(/.*)?')}" for head in heads)
    left_out = [(name, sum(counts.values())) for name, counts in content.runs if name not in wanted]
    yield from _listed("RUN collections left out: users' own (u/...), and those without images", left_out)
    if content.chains:
        yield "# CHAINED collections. To publish what a search in one finds: find_first in section tapdb."
        for name, members in content.chains[:_MOST_LISTED]:
            yield _comment(f"{name}: {', '.join(members)}")
        if len(content.chains) > _MOST_LISTED:
            yield f"#   and {len(content.chains) - _MOST_LISTED} more"


def _literally(name: str) -> str:
    """Return a regular expression for a name; a dash is left as people know it."""
    return re.sub(r"[.^$*+?{}\[\]|()\\]", r"\\\g<0>", name)


def _listed(title: str, rows: list[tuple[str, int]]) -> Iterator[str]:
    if rows:
        yield f"# {title}:"
        yield from (_comment(f"{name} ({number} datasets)") for name, number in rows[:_MOST_LISTED])
    if len(rows) > _MOST_LISTED:
        yield f"#   and {len(rows) - _MOST_LISTED} more"


def _dataset_types(content: RegistryContent) -> Iterator[str]:
    active = [one for one in content.dataset_types if _is_active(one)]
    tables = [one for one in content.dataset_types if one not in active and _is_table(one)]
    others = [
        one
        for one in content.dataset_types
        if one not in active and one not in tables and not _BY_PRODUCT.search(one.name)
    ]
    yield "# calib_level: 0 and 1 raw, in an own or a standard format; 2 calibrated; 3 and 4 made of others."
    yield "# Each may say besides what access_url is and returns, and how many pixels there are:"
    yield "#   datalink_url_fmt: https://data.example.org/api/datalink/links?ID=butler%3A%2F%2FREPO%2F{id}"
    yield "#   access_format: application/x-votable+xml;content=datalink"
    yield "#   s_xel: [4072, 4000]"
    yield "dataset_types:"
    if not active:
        yield "  # Nothing that looks like an image is registered. The first exposure brings this one."
        yield from _section(_FIRST)
    for one in active:
        yield from _section(one)
    if tables:
        yield "  # Tables: not images, so off. Publish them if what access_url returns is of use by itself."
    for one in tables:
        yield from (f"  #{line[1:]}" for line in _section(one))
    if others:
        yield "  # Neither images nor tables by name and storage class, or calibrations:"
    for one in others:
        yield f"  # {_one_line(one.name)}: {_about(one)}"
    hidden = len(content.dataset_types) - len(active) - len(tables) - len(others)
    if hidden:
        yield f"  # {hidden} more hold configurations, logs, metadata or schemas."


def _section(one: RegisteredType) -> Iterator[str]:
    guess = _guess(one)
    yield f"  {_text(one.name)}: # {_about(one)}"
    yield f"    dataproduct_type: {guess.product}"
    yield f"    dataproduct_subtype: {_text('lsst.' + one.name)}"
    yield f"    calib_level: {guess.level} # guess: {guess.why}"
    yield f"    obs_id_fmt: {_text(_obs_id(one.required))}"
    if guess.ucd is not None:
        yield f"    o_ucd: {guess.ucd} # guess: as the level"


def _about(one: RegisteredType) -> str:
    number = "1 dataset" if one.datasets == 1 else f"{one.datasets} datasets"
    return _one_line(
        f"{number}; {one.storage_class or 'not registered'}; {' '.join(one.required) or 'no dimensions'}"
    )


def _is_active(one: RegisteredType) -> bool:
    """Return whether a dataset type is an image of the sky, by its name or else its storage class."""
    observed = {"exposure", "visit", "patch", "tract"} & set(one.required)
    if not observed or one.is_calibration or _BY_PRODUCT.search(one.name) or "." in one.name:
        return False
    by_name = any(pattern.search(one.name) for pattern, _ in _RULES)
    return bool(_IMAGE_CLASS.search(one.storage_class)) or (by_name and not _is_table(one))


def _is_table(one: RegisteredType) -> bool:
    return not one.is_calibration and bool(
        _TABLE.search(one.storage_class) or (_TABLE.search(one.name) and not _BY_PRODUCT.search(one.name))
    )


def _guess(one: RegisteredType) -> _Guess:
    level, why = 2, "made of a visit"
    if "visit" not in one.required and "exposure" in one.required:
        level, why = 1, "made of an exposure, and no visit is known"
    elif {"tract", "patch"} & set(one.required):
        level, why = 3, "made of many visits"
    if not _is_active(one) and one.name != "raw":
        return _Guess("measurements", level, None, f"a table, {why}")
    for pattern, guess in _RULES:
        if pattern.search(one.name):
            return guess
    return _Guess("image", level, None, f"storage class {_one_line(one.storage_class)}, {why}")


def _obs_id(required: Iterable[str]) -> str:
    """Return a format string that tells observations apart; coadds of all bands are one, as Rubin has it."""
    dimensions = set(required)
    detector = "-{records[detector].full_name}" if "detector" in dimensions else ""
    rest = dimensions - {"instrument", "detector", "band", "physical_filter"}
    if rest == {"exposure"}:
        return "{records[exposure].obs_id}" + detector
    if rest == {"visit"}:
        return "{records[visit].name}" + detector
    if dimensions <= {"skymap", "tract", "patch", "band"} and dimensions:
        return "-".join(f"{{{name}}}" for name in required if name != "band") or "{band}"
    return "-".join(f"{{{name}}}" for name in required) or "{run}"


def _spectral_ranges(content: RegistryContent) -> Iterator[str]:
    bands = sorted({band for _, band in content.filters})
    filters = [name for name, _ in content.filters if name in _FILTERS]
    unknown = [(name, band) for name, band in content.filters if name not in _FILTERS and band not in _BANDS]
    yield "# Shortest and longest wavelength in metres, by physical filter or else band; NULL for others."
    yield "# EDIT: bands are those of Rubin's Data Preview 1, for lack of better."
    if not filters and not any(band in _BANDS for band in bands):
        yield "spectral_ranges: {}"
    else:
        yield "spectral_ranges:"
        yield from (f"  {_text(name)}: {_FILTERS[name]}" for name in filters)
        yield from (f"  {_text(band)}: {_BANDS[band]}" for band in bands if band in _BANDS)
    for name, band in unknown:
        yield f"  # {_text(name)}: [null, null] # band {_one_line(band)}: not known"


def _text(value: str) -> str:
    """Return a text as a YAML scalar: JSON's strings are YAML's; in quotes only where they are needed."""
    if re.fullmatch(r"[A-Za-z][\w./-]*", value, re.ASCII) and value.lower() not in {
        *("y", "n", "yes", "no", "on", "off", "true", "false", "null"),
    }:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else rf"\U{ord(char):08x}" for char in quoted)


def _one_line(text: str) -> str:
    """Return a text for a comment: YAML ends lines, or refuses a file, at some characters."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def _comment(text: str) -> str:
    line = f"#   {_one_line(text)}"
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
