"""What the query expressions of a configuration may get wrong, as far as that is known without a registry."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from obscore_view.columns import CALIB_LEVELS, DATAPRODUCT_TYPES, OBSCORE_COLUMNS, find_column
from obscore_view.config.model import (
    CollectionType,
    DatasetTypeConfig,
    EmbargoRule,
    ExtraColumnConfig,
    ExtraColumnValue,
    ObsCoreConfig,
    ReleaseOptions,
    TapdbOptions,
    WhereBind,
)
from obscore_view.config.regex import to_postgres
from obscore_view.config.template import EarlierColumn, parse_template
from obscore_view.errors import ConfigError
from obscore_view.where.syntax import Bind, Name, TimeText, parse_where, walk
from obscore_view.where.time import parse_time_tai_ns
from tapdb.errors import likeliest

Path = tuple[str | int, ...]
Problem = tuple[Path, str, str]
"""Path in the configuration, what was found, what to do."""


def find_where_problems(config: ObsCoreConfig) -> Iterator[Problem]:
    """Yield what is wrong with the expressions of a configuration and with the values of their binds."""
    yield from _where(("where",), config.where)
    for name, constraints in config.dataset_type_constraints.items():
        for index, constraint in enumerate(constraints):
            yield from _where(("dataset_type_constraints", name, index), constraint)


def _where(path: Path, where: WhereBind) -> Iterator[Problem]:
    try:
        tree = parse_where(where.where)
    except ConfigError as error:
        yield from (((*path, "where"), problem.problem, problem.remedy) for problem in error.problems)
        return
    nodes = [node for node in (walk(tree) if tree else ()) if isinstance(node, Bind | Name | TimeText)]
    for node in nodes:
        if isinstance(node, TimeText):
            yield from _time((*path, "where"), node.text)
        elif isinstance(node, Bind) and node.name not in where.bind:
            yield (
                (*path, "where"),
                f'found the bind ":{node.name}", which has no value',
                "give it one in bind",
            )
    used = {node.name for node in nodes if not isinstance(node, TimeText)}
    for name in where.bind:
        if name not in used:
            yield (*path, "bind", name), "no such name in the expression", "use it there, or remove it"


def _time(path: Path, text: str) -> Iterator[Problem]:
    try:
        parse_time_tai_ns(text)
    except ValueError as error:
        yield path, f"found T'{text}'", str(error)


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
VIEW_NAME = re.compile(rf"{_IDENTIFIER.pattern}\.{_IDENTIFIER.pattern}")
"""Names that a view can have: those that need no quotes, and that PostgreSQL does not cut."""
_PLUGINS = {"PgSphereObsCorePlugin": ("region_column", "position_column"), "DefaultSpatialObsCorePlugin": ()}
# Columns whose values come from the registry or from keys of their own; the rest is free for tapdb.columns.
_FILLED = frozenset(
    {
        "dataproduct_type",
        "dataproduct_subtype",
        "calib_level",
        "obs_collection",
        "obs_id",
        "obs_publisher_did",
        "access_url",
        "access_format",
        "access_estsize",
        "target_name",
        "s_ra",
        "s_dec",
        "s_fov",
        "s_region",
        "s_xel1",
        "s_xel2",
        "t_min",
        "t_max",
        "t_exptime",
        "em_min",
        "em_max",
        "em_filter_name",
        "o_ucd",
        "facility_name",
        "instrument_name",
        "obs_release_date",
        "presence",
        "replaced_by",
        "registry_dataset_id",
        "pgs_region",
        "pgs_center",
    }
)


def find_problems(config: ObsCoreConfig) -> Iterator[Problem]:
    """Yield everything that makes a configuration unusable, with its path and a remedy."""
    yield from _template(("obs_publisher_did_fmt",), config.obs_publisher_did_fmt)
    yield from _collections(config)
    yield from _extra_columns(("extra_columns",), config.extra_columns or {})
    for name, dataset_type in config.dataset_types.items():
        yield from _dataset_type(("dataset_types", name), dataset_type)
    yield from _column_types(config)
    for name, (low, high) in config.spectral_ranges.items():
        if low is not None and high is not None and not low <= high:
            yield (
                ("spectral_ranges", name),
                f"found {low} m to {high} m",
                "write [shortest, longest] wavelength in metres",
            )
    yield from find_where_problems(config)
    for name in config.dataset_type_constraints:
        if name not in config.dataset_types:
            path = ("dataset_type_constraints", name)
            yield path, "no such dataset type in dataset_types", likeliest(name, config.dataset_types)
    yield from _plugins(config)
    yield from _indices(config)
    yield from _options(config.tapdb)
    if config.tapdb.release is not None:
        yield from _release(config, config.tapdb.release)
    yield from _presence(config)


def find_warnings(config: ObsCoreConfig) -> Iterator[Problem]:
    """Yield what works, but will hardly be what was meant."""
    if config.use_butler_uri is not None:
        yield ("use_butler_uri",), "without effect, here as in Butler", "remove it"
    if not config.dataset_types:
        yield ("dataset_types",), "found none, so that the view is empty", "list what is to be published"
    if config.obs_publisher_did_fmt is None:
        yield (), "no obs_publisher_did_fmt: obs_publisher_did is NULL, against ObsCore 1.1", "add it"
    for name, dataset_type in config.dataset_types.items():
        path = ("dataset_types", name)
        if dataset_type.dataproduct_type not in DATAPRODUCT_TYPES:
            found = f'"{dataset_type.dataproduct_type}" is no dataproduct_type of ObsCore 1.1'
            yield (*path, "dataproduct_type"), found, f"use one of {', '.join(DATAPRODUCT_TYPES)}"
        if dataset_type.obs_id_fmt is None:
            yield path, "no obs_id_fmt: obs_id is NULL, against ObsCore 1.1", "add it"
        if dataset_type.obs_collection is None and config.obs_collection is None:
            yield (
                path,
                "no obs_collection: the column is NULL, against ObsCore 1.1",
                "add it here or at the top level",
            )


def _template(path: Path, text: str | None, *, obs_id: bool = True) -> Iterator[Problem]:
    if text is None:
        return
    try:
        template = parse_template(text)
    except ConfigError as error:
        yield from ((path, problem.problem, problem.remedy) for problem in error.problems)
    else:
        if not obs_id and EarlierColumn("obs_id") in template.references:
            yield path, "found the key obs_id, which this format string is to fill itself", "use other keys"


def _collections(config: ObsCoreConfig) -> Iterator[Problem]:
    rule = config.collection_rule
    if config.tapdb.find_first is not None:
        if not config.tapdb.find_first:
            yield (
                ("tapdb", "find_first"),
                "found an empty list",
                "name the collections to search, or remove it",
            )
    elif config.collection_type is CollectionType.TAGGED and len(rule.names) != 1:
        yield (
            ("collections",),
            f"found {len(rule.names)} names with collection_type TAGGED",
            "name one TAGGED collection",
        )
    elif config.collection_type is None and not rule.names:
        remedy = "name the collections to search, or set collection_type: RUN for all RUN collections"
        yield ("collections",), "found no collection and no collection_type", remedy
    if rule.kind == "run-regex":
        for index, pattern in enumerate(rule.names):
            try:
                to_postgres(pattern)
            except ValueError as error:
                yield (
                    ("collections", index),
                    f'found the pattern "{pattern}": {error}',
                    "write it more simply",
                )


def _dataset_type(path: Path, dataset_type: DatasetTypeConfig) -> Iterator[Problem]:
    if dataset_type.calib_level not in CALIB_LEVELS:
        yield (
            (*path, "calib_level"),
            f"found {dataset_type.calib_level}",
            "ObsCore 1.1 has calibration levels 0 to 4",
        )
    if dataset_type.s_xel is not None and min(dataset_type.s_xel) < 1:
        yield (
            (*path, "s_xel"),
            f"found {list(dataset_type.s_xel)}",
            "write the two sizes in pixels, or leave it out",
        )
    yield from _template((*path, "obs_id_fmt"), dataset_type.obs_id_fmt, obs_id=False)
    yield from _template((*path, "datalink_url_fmt"), dataset_type.datalink_url_fmt)
    yield from _extra_columns((*path, "extra_columns"), dataset_type.extra_columns or {})


def _extra_columns(path: Path, columns: Mapping[str, ExtraColumnValue]) -> Iterator[Problem]:
    for name, value in columns.items():
        here = (*path, name)
        if not _IDENTIFIER.fullmatch(name):
            yield here, f'"{name}" is no column name', "use letters, digits and _, at most 63 in all"
        elif name in {"registry_dataset_id", "pgs_region", "pgs_center"}:
            yield here, f'"{name}" is a column that the view makes itself', "choose another name"
        if isinstance(value, ExtraColumnConfig):
            yield from _template((*here, "template"), value.template)
            if value.length is not None and value.length < 1:
                yield (*here, "length"), f"found {value.length}", "write a positive number, or leave it out"


def _column_types(config: ObsCoreConfig) -> Iterator[Problem]:
    """Yield columns of one name and several types: the first decides the type of the column for all."""
    first: dict[str, tuple[str, str]] = {}
    for path, columns in (
        (("extra_columns",), config.extra_columns),
        *(
            (("dataset_types", name, "extra_columns"), part.extra_columns)
            for name, part in config.dataset_types.items()
        ),
    ):
        for name, value in (columns or {}).items():
            kind = value.type.value if isinstance(value, ExtraColumnConfig) else type(value).__name__
            kind = {"str": "string"}.get(kind, kind)
            known, place = first.setdefault(name, (kind, ".".join((*path, name))))
            if kind != known and find_column(name) is None:
                yield (
                    (*path, name),
                    f"found the type {kind}, but {known} at {place}",
                    "give both the same type",
                )


def _plugins(config: ObsCoreConfig) -> Iterator[Problem]:
    for name, plugin in config.spatial_plugins.items():
        path = ("spatial_plugins", name)
        options = _PLUGINS.get(plugin.cls.rpartition(".")[2])
        if options is None:
            yield (
                (*path, "cls"),
                f'found "{plugin.cls}", whose columns the view cannot make',
                _known(_PLUGINS),
            )
            continue
        for key, value in plugin.config.items():
            if key not in options:
                yield (*path, "config", key), "unknown key", likeliest(key, options)
            elif not (isinstance(value, str) and _IDENTIFIER.fullmatch(value)):
                yield (*path, "config", key), f"found {value!r}", "write a column name"


def _indices(config: ObsCoreConfig) -> Iterator[Problem]:
    known = (
        {column.name for column in OBSCORE_COLUMNS}
        | set(config.extra_columns or {})
        | set(config.pgsphere_columns)
    )
    for dataset_type in config.dataset_types.values():
        known.update(dataset_type.extra_columns or {})
    for name, columns in (config.indices or {}).items():
        for column in [columns] if isinstance(columns, str) else columns:
            if column not in known:
                yield ("indices", name), f'no such column "{column}"', likeliest(column, known)


def _options(options: TapdbOptions) -> Iterator[Problem]:
    path = ("tapdb",)
    if not VIEW_NAME.fullmatch(options.view):
        yield (*path, "view"), f'found "{options.view}"', "write schema.name, as in ivoa.ObsCore"
    if options.embargo_hours is not None:
        if options.obs_release_date is not None:
            yield (*path, "embargo_hours"), "found beside obs_release_date", "keep one of the two"
        if not (math.isfinite(options.embargo_hours) and options.embargo_hours >= 0):
            yield (*path, "embargo_hours"), f"found {options.embargo_hours}", "write hours, 0 or more"
    free = {column.name for column in OBSCORE_COLUMNS} - _FILLED
    for name, value in options.columns.items():
        here = (*path, "columns", name)
        if name in _FILLED:
            yield here, f'"{name}" is filled from the registry or by a key of its own', "remove it"
        elif name not in free:
            yield here, f'"{name}" is no column of ObsCore 1.1', likeliest(name, free)
        if not isinstance(value, bool | int | float | str):
            yield from _template((*here, "template"), value.template)


def _release(config: ObsCoreConfig, release: ReleaseOptions) -> Iterator[Problem]:
    """Yield what is wrong with the rules of release: what they forget is not to be public by mistake."""
    path = ("tapdb", "release")
    options = config.tapdb
    if release.embargo and (options.embargo_hours is not None or options.obs_release_date is not None):
        remedy = "write it as a rule of embargo, and remove the other key"
        yield (*path, "embargo"), "found beside embargo_hours or obs_release_date", remedy
    for index, rule in enumerate(release.embargo):
        yield from _embargo((*path, "embargo", index), config, rule)
    for index, role in enumerate(release.readers):
        if not _IDENTIFIER.fullmatch(role):
            found = f'"{role}" is no name of a role'
            yield (*path, "readers", index), found, "use letters, digits and _, at most 63"
    if release.data_rights is not None and "data_rights" in options.columns:
        yield (*path, "data_rights"), "found beside tapdb.columns.data_rights", "keep one of the two"
    dated = release.view is not None or release.data_rights is not None
    if dated and not config.has_release_dates:
        yield path, "found nothing that says when datasets are public", "write rules of embargo"
    if release.view is not None:
        yield from _released_view((*path, "view"), config, release.view)


def _embargo(path: Path, config: ObsCoreConfig, rule: EmbargoRule) -> Iterator[Problem]:
    if (rule.hours is None) == (rule.date is None):
        yield path, "found neither or both of hours and date", "write one of the two"
    elif rule.hours is not None and not (math.isfinite(rule.hours) and rule.hours >= 0):
        yield (*path, "hours"), f"found {rule.hours}", "write hours, 0 or more"
    if rule.dataset_type is not None and rule.dataset_type not in config.dataset_types:
        remedy = likeliest(rule.dataset_type, config.dataset_types)
        yield (*path, "dataset_type"), f'no such dataset type "{rule.dataset_type}"', remedy


def _released_view(path: Path, config: ObsCoreConfig, name: str) -> Iterator[Problem]:
    if not VIEW_NAME.fullmatch(name):
        yield path, f'found "{name}"', "write schema.name, as in ivoa.ObsCore"
    elif config.released_view == (config.view_schema, config.view_name):
        remedy = "name the view with all rows otherwise, such as internal.ObsCore, in tapdb.view"
        yield path, "found the name of the view with all rows", remedy
    elif config.shown_view[0] not in {"ivoa", config.view_schema}:
        remedy = f"name a view in schema ivoa or {config.view_schema}"
        yield path, f'found the schema "{config.shown_view[0]}"', remedy


def _presence(config: ObsCoreConfig) -> Iterator[Problem]:
    for name, rule in (config.tapdb.presence or {}).items():
        path = ("tapdb", "presence", name)
        if name not in config.dataset_types:
            yield path, "no such dataset type in dataset_types", likeliest(name, config.dataset_types)
        if name in {rule.replaced_by, *rule.made_from}:
            yield path, "found the dataset type itself", "name another dataset type"
        if rule.days is not None and not (math.isfinite(rule.days) and rule.days >= 0):
            yield (*path, "days"), f"found {rule.days}", "write days, 0 or more"


def _known(names: Iterable[str]) -> str:
    return f"known: {', '.join(names)}"
