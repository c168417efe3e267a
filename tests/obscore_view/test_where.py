"""Query expressions against Butler itself: the same rows, the same refusals."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from astropy.time import Time

from examples.lsstcam import Pair, RegistryVersion, Repository
from examples.lsstcam.camera import LSSTCAM
from examples.lsstcam.repository import insert_records
from obscore_view.errors import ConfigError, WhereError
from obscore_view.where.sql import build_condition, names_in
from obscore_view.where.time import utc_of_tai_ns
from tapdb.postgres.engine import create_engine
from tests.obscore_view.where_registry import Registry, odd_exposure_records, read_registry_tables


@pytest.fixture(scope="module")
def registry(
    butler_template: Pair,
    clone_for_session: Callable[[str], sa.URL],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Registry]:
    assert butler_template.url.database is not None
    pair = butler_template.clone(
        clone_for_session(butler_template.url.database), tmp_path_factory.mktemp("where")
    )
    engine = create_engine(pair.url)
    with pair.plain.butler(writeable=True) as butler, engine.connect() as connection:
        insert_records(butler, odd_exposure_records())
        yield Registry(butler, connection, read_registry_tables(connection, pair.plain.schema))
    engine.dispose()


_SOME = 2026040100006
_BIND: dict[str, Any] = {
    "one": 2026040100006,
    "two": 2026040200007,
    "ids": [2026040100002, 2026040200003, 2026040100010],
    "names": ("Fornax", "a*b"),
    "limit": 20.5,
    "kind": "science",
    "pattern": "For*",
    "exposure.zenith_angle": 5,
    "when": Time("2026-04-01T00:05:00", scale="tai"),
}

_EXPRESSIONS = [
    "",
    "   ",
    f"exposure = {_SOME}",
    f"exposure != {_SOME}",
    f"exposure.id >= {_SOME} AND exposure <= 2026040200010",
    f"NOT exposure = {_SOME}",
    "NOT NOT exposure.seq_num = 4",
    "exposure.exposure_time > 20",
    "exposure.exposure_time > 20.5",
    "exposure.exposure_time >= 2.05e1 AND exposure.exposure_time < .3E+2",
    "20 < exposure.exposure_time",
    "exposure.exposure_time = NULL",
    "exposure.exposure_time != null",
    "NULL = exposure.target_name",
    "exposure.target_name = 'Fornax'",
    "exposure.target_name != 'Fornax'",
    "exposure.target_name > 'a'",
    "exposure.target_name = ''",
    "exposure.target_name = 'it is' OR exposure.seq_num = 2",
    "exposure.target_name IN ('Fornax', 'a?b')",
    "exposure.target_name NOT IN ('Fornax', 'a?b')",
    "exposure.target_name IN ('Fornax', NULL)",
    "exposure.target_name IN (names)",
    "exposure.target_name IN (:names, 'a!b')",
    "GLOB(exposure.target_name, 'For*')",
    "glob(exposure.target_name, '*_*')",
    "GLOB(exposure.target_name, 'For?nax')",
    "GLOB(exposure.target_name, 'a\\*b')",
    "GLOB(exposure.target_name, 'a\\?b')",
    "GLOB(exposure.target_name, '*%*')",
    "GLOB(exposure.target_name, '*!*')",
    "GLOB(exposure.target_name, '')",
    "NOT GLOB(exposure.target_name, :pattern)",
    "exposure.seq_num IN (1..9)",
    "exposure.seq_num IN (1 .. 9 : 2)",
    "exposure.seq_num IN (2..9:3, 17, 20..22)",
    "exposure.seq_num NOT IN (2..9:3, 17)",
    "exposure.seq_num IN (4..4)",
    "exposure.seq_num IN (-3..3, -1, +5)",
    "exposure IN (ids)",
    "exposure NOT IN (:ids)",
    "exposure = one OR exposure = :two",
    "exposure.zenith_angle = 5 AND exposure.seq_num > 8",
    "exposure.exposure_time > limit",
    "exposure.observation_type = kind",
    "exposure.seq_num + 1 = 5",
    "exposure.seq_num - 1 - 1 = 5",
    "exposure.seq_num * 2 + 1 > 30",
    "exposure.seq_num / 2 = 3",
    "exposure.seq_num / 2 > 3",
    "exposure.seq_num % 3 = 1",
    "-exposure.seq_num < -10",
    "exposure.seq_num - -3 = 10",
    "+exposure.seq_num = 3",
    "exposure.exposure_time * 2.0 - exposure.dark_time > 25",
    "(exposure.seq_num + 1) * 2 = 12",
    "exposure.has_simulated",
    "NOT exposure.has_simulated",
    "exposure.can_see_sky",
    "NOT exposure.can_see_sky",
    "exposure.can_see_sky = NULL",
    "exposure.can_see_sky != NULL AND exposure.has_simulated",
    "band = 'g'",
    "band IN ('g', 'u') AND physical_filter != 'u_24'",
    "instrument = 'LSSTCam' AND day_obs = 20260401",
    "instrument.detector_max > 10 AND exposure.day_obs IN (20260401, 20260402)",
    "exposure.observation_type = 'science' AND band = 'g' OR exposure.observation_type = 'dark'",
    "exposure.observation_type = 'science' AND (band = 'g' OR exposure.observation_type = 'dark')",
    "NOT (exposure.observation_type = 'science' OR band = 'g')",
    "NOT exposure.observation_type = 'science' AND band = 'g'",
    "exposure.seq_num = 1 OR exposure.seq_num = 2 AND band = 'x'",
    "exposure.timespan OVERLAPS (T'2026-04-01T00:03:00/tai', T'2026-04-01T00:08:10/tai')",
    "(T'2026-04-01T00:03:00/tai', NULL) OVERLAPS exposure.timespan",
    "exposure.timespan OVERLAPS (NULL, T'2026-04-01 00:03:00')",
    "exposure.timespan OVERLAPS (null, null)",
    "NOT exposure.timespan OVERLAPS (T'2026-04-01T00:03:00/tai', NULL)",
    "exposure.timespan OVERLAPS T'2026-04-01T00:08:10/tai'",
    "T'2026-04-01T00:08:10/tai' OVERLAPS exposure.timespan",
    "exposure.timespan OVERLAPS (T'2026-04-01T00:08:10/tai', T'2026-04-01T00:08:10/tai')",
    "exposure.timespan OVERLAPS (T'2026-04-01T00:08:10/tai', T'2026-04-01T00:03:10/tai')",
    "exposure.timespan OVERLAPS when",
    "exposure.timespan.begin > T'2026-04-01T00:05:00/tai'",
    "exposure.timespan.begin < T'2026-04-01T00:05:00/TAI'",
    "exposure.timespan.end <= t'61131.01'",
    "exposure.timespan.end <= T'mjd/61131.01/utc'",
    "exposure.timespan.begin = T'2026:091:00:09:00/tai'",
    "exposure.timespan.begin >= T'+02026-04-01T00:05:00'",
    "exposure.timespan.begin > when AND exposure.timespan.end != NULL",
    "exposure.timespan = NULL",
    "exposure.timespan != NULL",
    "exposure.timespan.begin = exposure.timespan.begin",
    "exposure.seq_num\n  >\t5",
]


@pytest.mark.parametrize("expression", _EXPRESSIONS)
def test_an_expression_finds_what_butler_finds(registry: Registry, expression: str) -> None:
    assert registry.ours(expression, _BIND) == registry.theirs(expression, _BIND)


def test_the_expressions_tell_exposures_apart(registry: Registry) -> None:
    """Equal results would mean little if they were all or nothing."""
    everything = registry.ours("", {})
    found = [registry.ours(expression, _BIND) for expression in _EXPRESSIONS]
    telling = [rows for rows in found if rows and rows != everything]
    assert len(telling) > 0.9 * len(found)
    assert len({frozenset(rows) for rows in telling}) > 0.6 * len(found)


def test_written_out_as_a_view_keeps_it_an_expression_finds_the_same(registry: Registry) -> None:
    for expression in _EXPRESSIONS:
        assert registry.ours(expression, _BIND, literal=True) == registry.ours(expression, _BIND), expression


_REFUSED = [
    # What neither of us takes.
    ("exposure.target_name = 5", r"character 22: found text = a whole number; give both sides one type"),
    ("exposure.seq_num = 'a'", r"found a whole number = text"),
    (
        "exposure.seq_num + 1.5 > 2",
        r"character 18: found a whole number \+ a number with fraction; both have",
    ),
    ("exposure.exposure_time % 2.0 = 1", r"found a number with fraction % a number with fraction"),
    ("exposure.target_name + 'a' = 'b'", r"found text \+ text"),
    ("-exposure.target_name = 'b'", r"character 1: found - before text"),
    ("exposure.seq_num", r"character 1: found a whole number, expected a condition"),
    ("exposure.seq_num AND band = 'g'", r"found a whole number, expected a condition"),
    ("NOT band", r"character 5: found text, expected a condition"),
    ("NULL = NULL", r"found NULL = NULL"),
    ("exposure.seq_num < NULL", r"found a whole number < NULL"),
    ("exposure.has_simulated = 1", r"found a truth value = a whole number"),
    ("exposure.has_simulated = exposure.can_see_sky", r"found a truth value = a truth value"),
    ("(band = 'g') = (band = 'r')", r"character 7: found a condition, expected a value"),
    ("(band IN ('g')) != NULL", r"character 7: found a condition, expected a value"),
    ("1 < exposure.seq_num < 9", r"character 3: found a condition, expected a value"),
    ("exposure.timespan < T'2026-04-01'", r"found a time span < a time"),
    ("exposure.timespan OVERLAPS 5", r"found a time span OVERLAPS a whole number"),
    (
        "exposure.timespan OVERLAPS (1, 2)",
        r"character 29: found a whole number; write T'...' or NULL for each",
    ),
    ("exposure.timespan OVERLAPS ('2026-04-01', NULL)", r"character 29: found text; write T'...' or NULL"),
    ("exposure.seq_num = 1..5", r"character 20: found a range; ranges stand in the list of IN"),
    ("exposure.target_name IN (1..5)", r"character 26: found a range for text"),
    ("exposure.seq_num IN (5..1)", r"character 22: found the range 5..1; write the smaller"),
    ("exposure.seq_num IN ('a')", r"character 22: found a whole number = text"),
    ("exposure.seq_num IN (1, ids, 'a')", r"character 30: found a whole number = text"),
    ("exposure = ids", r"character 12: found a bind with several values; use it in the list of IN"),
    (
        "exposure = :nothing",
        r'character 12: found the bind "nothing", which has no value; give it one in bind',
    ),
    ("exposure.nothing = 1", r'character 1: found the name "exposure.nothing": no such name'),
    ("nothing = 1", r'character 1: found the name "nothing": no such name'),
    ("exposure.seq_num.begin = 1", r"but exposure.seq_num is a whole number; only time spans have ends"),
    ("exposure.timespan.begin.x = 1", r'character 24: found "."|found .'),
    ("GLOB(exposure.seq_num, 'a*')", r"character 6: found a whole number in GLOB, expected text"),
    ("GLOB(exposure.target_name, 5)", r"character 1: found GLOB; write it as GLOB\(name, 'pattern'\)"),
    ("GLOB(exposure.target_name)", r"found GLOB; write it"),
    ("GLOB('a', 'a')", r"found GLOB; write it"),
    ("UUID('12') = exposure.target_name", r"character 6: found '12', no UUID"),
    ("UUID(5) = exposure.target_name", r"found UUID\(...\)"),
    ("MAX(exposure) = 5", r"character 1: found MAX\(...\); use GLOB\(name, 'pattern'\) or UUID"),
    (
        "exposure.timespan.end > T'yesterday'",
        r"character 25: found T'yesterday': expected a time such as 2026|2025",
    ),
    ("exposure.timespan.end > T'2026-13-01'", r"2026-13-01 is no time of format iso with scale utc"),
    ("exposure.timespan.end > T'2026-01-01/mars'", r"no format iso with scale mars is known"),
    ("exposure.timespan.end > T'swatch/2026-01-01'", r"no format swatch with scale tai is known"),
]


@pytest.mark.parametrize(("expression", "message"), _REFUSED)
def test_what_butler_refuses_is_refused_with_its_place(
    registry: Registry, expression: str, message: str
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - Butler raises a dozen kinds
        registry.theirs(expression, _BIND)
    with pytest.raises(WhereError) as caught:
        registry.ours(expression, _BIND)
    assert isinstance(caught.value, ConfigError)
    assert caught.value.expression == expression
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("expression", "position", "found"),
    [
        ("visit.region OVERLAPS POINT(10, 20)", 0, 'found "visit.region"; regions cannot restrict a view'),
        ("band = 'g' AND POINT(1, 2) OVERLAPS visit.region", 15, "found POINT; regions cannot"),
        ("CIRCLE(1, 2, 3) OVERLAPS visit.region", 0, "found CIRCLE"),
        ("visit.region = NULL", 0, "regions cannot restrict"),
    ],
)
def test_regions_are_refused_by_name(expression: str, position: int, found: str) -> None:
    columns = {"visit.region": sa.column("region", sa.Text()), "band": sa.column("band", sa.Text())}
    with pytest.raises(WhereError, match=re.escape(found)) as caught:
        build_condition(expression, columns.__getitem__, bind={})
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (True, "found a bind with the value True"),
        (None, "found a bind with the value None"),
        ({"a": 1}, "found a bind with the value {'a': 1}"),
        ([1, "a"], "found a whole number = text"),
    ],
)
def test_a_bind_has_to_be_a_value_or_a_list_of_values(bind: object, message: str) -> None:
    with pytest.raises(WhereError, match=re.escape(message)):
        build_condition("visit IN (x)", lambda _: sa.column("visit", sa.BigInteger()), bind={"x": bind})


def test_a_column_of_a_strange_type_is_refused() -> None:
    with pytest.raises(WhereError, match=r"found \"visit\", a column of type JSON"):
        build_condition("visit = 5", lambda _: sa.column("visit", sa.JSON()), bind={})


def test_names_are_told_without_ends_constants_and_binds() -> None:
    expression = (
        "visit.timespan.begin > x AND timespan.end = NULL AND (band IN (y, 'a') OR visit = :z) AND visit = 1"
    )
    assert names_in(expression, bind={"x": 1, "y": 2, "z": 3}) == (
        "visit.timespan",
        "timespan",
        "band",
        "visit",
    )
    assert names_in("", bind={}) == ()
    assert names_in("GLOB(run, 'a*') OR NOT -exposure.seq_num IN (1..3)", bind={}) == (
        "run",
        "exposure.seq_num",
    )


# --- datasets: ingest date and id ------------------------------------------------


@pytest.mark.parametrize("datasets", ["1.0.0", "2.0.0"])
def test_ingest_dates_and_ids_find_the_datasets_that_butler_finds(
    versioned_repository: Callable[[RegistryVersion], Repository], datasets: str
) -> None:
    repository = versioned_repository(RegistryVersion(datasets=datasets))
    engine = create_engine(repository.url)
    with repository.butler() as butler, engine.connect() as connection:
        table = sa.Table("dataset", sa.MetaData(schema=repository.schema), autoload_with=connection)
        refs = sorted(butler.query_datasets("raw", collections="*", find_first=False), key=lambda ref: ref.id)
        times = [butler.get_dataset(ref.id, dimension_records=False) for ref in refs]
        assert all(times)
        columns = {"ingest_date": table.c.ingest_date, "dataset_id": table.c.id}
        between = connection.scalar(
            sa.select(sa.func.max(table.c.ingest_date)).where(table.c.id.in_(_ids(refs)))
        )
        middle = between if isinstance(between, dt.datetime) else utc_of_tai_ns(between)
        found = []
        for expression in (
            "ingest_date > T'2020-01-01'",
            "ingest_date < T'2020-01-01'",
            f"T'{middle.isoformat()}' >= ingest_date",
            f"ingest_date < T'{middle.isoformat()}'",
            f"dataset_id = UUID('{refs[0].id}')",
            f"dataset_id IN (UUID('{refs[0].id}'), some)",
        ):
            bind = {"some": refs[1].id}
            theirs = butler.query_datasets(
                "raw", collections="*", find_first=False, explain=False, bind=bind,
                where=re.sub("ingest_date|dataset_id", r"raw.\g<0>", expression), instrument=LSSTCAM,
            )  # fmt: skip
            condition = build_condition(expression, columns.__getitem__, bind=bind)
            ours = connection.scalars(sa.select(table.c.id).where(table.c.id.in_(_ids(refs)), condition))
            found.append(_ids(theirs))
            assert set(ours) == found[-1], expression
    engine.dispose()
    assert [len(ids) > 0 for ids in found] == [True, False, True, True, True, True]


def _ids(refs: Iterable[Any]) -> set[UUID]:
    return {ref.id for ref in refs}
