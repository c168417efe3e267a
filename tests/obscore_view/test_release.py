"""A view of what is released: made, refreshed, filled, checked and dropped as all views are."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from lsst.daf.butler import CollectionType  # type: ignore[attr-defined]  # public, but in no __all__

from examples.lsstcam import Pair
from examples.lsstcam.layout import FIRST_RUN
from obscore_view import parse_config
from obscore_view.check import check_view
from obscore_view.view.fill import Filling
from obscore_view.view.make import create_view, drop_view, find_stored_view, refresh_view
from obscore_view.view.store import read_stored_views
from tests.plugins.view_fixtures import open_engine, view_config_text

ROLE = "tapdb_test_inner"
NEVER = "{date: 2099-01-01}"
NAMES = ("ivoa.released", "ivoa.obscore", "tapdb.ivoa_released_guarded")


def text(embargo: str = NEVER, view: str = "ivoa.obscore", **options: object) -> str:
    release = f"{{view: ivoa.Released, readers: [{ROLE}], embargo: [{embargo}]}}"
    return view_config_text(view, release=release, **options)


def may_read(connection: sa.Connection, role: str, name: str) -> bool:
    return bool(connection.scalar(sa.select(sa.func.has_table_privilege(role, name, "SELECT"))))


def count(connection: sa.Connection, role: str, name: str) -> int:
    connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
    schema, _, relation = name.partition(".")
    counted = sa.select(sa.func.count()).select_from(sa.table(relation, schema=schema))
    found = connection.execute(counted).scalar_one()
    connection.exec_driver_sql("RESET ROLE")
    return int(found)


@pytest.fixture
def connection(view_connection: sa.Connection) -> Iterator[sa.Connection]:
    """Return a connection whose role and views are taken back."""
    view_connection.exec_driver_sql(f"CREATE ROLE {ROLE} NOLOGIN")
    view_connection.exec_driver_sql(f"GRANT tapdb_reader TO {ROLE}")
    yield view_connection
    view_connection.rollback()


def test_a_view_that_was_for_all_is_not_after_a_refresh_that_says_so(connection: sa.Connection) -> None:
    stored, rows = find_stored_view(connection, "ivoa.obscore"), count(connection, "tapdb_reader", NAMES[1])
    restricted = text()
    refresh_view(connection, stored, parse_config(restricted), config_yaml=restricted)
    assert [may_read(connection, "tapdb_reader", name) for name in NAMES] == [True, False, True]
    assert [may_read(connection, ROLE, name) for name in NAMES] == [True, True, True]
    for name in (NAMES[0], NAMES[2]):
        assert (count(connection, "tapdb_reader", name), count(connection, ROLE, name)) == (0, rows)
    stored = find_stored_view(connection, "ivoa.obscore")
    assert [one for one in check_view(connection, stored) if one.severity == "error"] == []
    connection.exec_driver_sql("GRANT SELECT ON ivoa.obscore TO PUBLIC")
    assert [one.problem for one in check_view(connection, stored) if one.severity == "error"] == [
        "readers may see what is not released"
    ]
    refresh_view(connection, stored)
    assert not may_read(connection, "tapdb_reader", NAMES[1])
    connection.exec_driver_sql(f"ALTER VIEW {NAMES[2]} RESET (security_barrier)")
    stored = find_stored_view(connection, "ivoa.obscore")
    assert "is no barrier any more" in str(check_view(connection, stored))


def test_a_filling_beside_readers_ends_with_what_they_may_see(view_pair: Pair) -> None:
    restricted = text()
    with open_engine(view_pair.url) as engine, engine.connect() as connection, engine.connect() as filler:
        connection.exec_driver_sql(f"CREATE ROLE {ROLE} NOLOGIN")
        connection.commit()
        try:
            old = find_stored_view(connection, "ivoa.obscore")
            connection.rollback()
            filling = Filling(filler, timeout_ms=5000)
            for config in (restricted, view_config_text("ivoa.obscore")):
                chosen = parse_config(config)
                filling.finish(filling.prepare(chosen, config_yaml=config, old=old))
                is_restricted = chosen.is_restricted
                # Grants are as they were before: who has no right is not given one.
                assert not may_read(connection, "tapdb_reader", "ivoa.obscore")
                there = connection.scalar(sa.select(sa.func.to_regclass("ivoa.released")))
                assert (there is not None) is is_restricted
                old = find_stored_view(connection, "ivoa.obscore")
                assert [one for one in check_view(connection, old) if one.severity == "error"] == []
                connection.rollback()
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
            connection.commit()


def test_all_of_it_goes_with_the_view(connection: sa.Connection) -> None:
    for geometry in ("table", "none"):
        config = text("{hours: 0}", view="inner_.obscore", geometry=geometry)
        create_view(connection, parse_config(config), registry_schema="plain", config_yaml=config)
        dated = connection.exec_driver_sql(
            "SELECT count(*) FROM inner_.obscore WHERE t_max IS NOT NULL AND obs_release_date < now()"
        ).scalar_one()
        assert count(connection, "tapdb_reader", "ivoa.released") == dated > 0
        drop_view(connection, find_stored_view(connection, "inner_.obscore"))
        for name in ("ivoa.released", "inner_.obscore", NAMES[2]):
            assert connection.scalar(sa.select(sa.func.to_regclass(name))) is None


def test_a_row_appears_when_its_instant_has_come(connection: sa.Connection) -> None:
    soon = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=2)
    config = text(f"{{date: '{soon.isoformat()}'}}", view="inner_.obscore")
    create_view(connection, parse_config(config), registry_schema="plain", config_yaml=config)
    assert count(connection, "tapdb_reader", "ivoa.released") == 0
    # What a transaction sees is of its begin; the next one begins when the time has come.
    connection.commit()
    try:
        while dt.datetime.now(dt.UTC).replace(tzinfo=None) <= soon:
            time.sleep(0.05)
        assert count(connection, "tapdb_reader", "ivoa.released") > 0
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
        connection.commit()


def test_a_tagged_collection_says_what_is_available(view_pair: Pair, connection: sa.Connection) -> None:
    for view in read_stored_views(connection):
        drop_view(connection, view)
    collection = "Prompt/Available"
    tagged = view_config_text("ivoa.ObsCore").replace("collection_type: RUN\n", "collection_type: TAGGED\n")
    head, _, rest = tagged.partition("collections:\n")
    tagged = f"{head}collections: [{collection}]\n{rest[rest.index('obs_collection:') :]}"
    everything = view_config_text("inner_.ObsCore", release=f"{{readers: [{ROLE}]}}")
    connection.commit()
    try:
        with view_pair.plain.butler(writeable=True) as butler:
            butler.collections.register(collection, CollectionType.TAGGED)
            refs = list(butler.registry.queryDatasets("visit_image", collections=FIRST_RUN))[:3]
        for config in (tagged, everything):
            create_view(connection, parse_config(config), registry_schema="plain", config_yaml=config)
        connection.commit()
        assert not may_read(connection, "tapdb_reader", "inner_.obscore")
        assert count(connection, "tapdb_reader", "ivoa.obscore") == 0
        connection.commit()
        with view_pair.plain.butler(writeable=True) as butler:
            butler.registry.associate(collection, refs)
        assert count(connection, "tapdb_reader", "ivoa.obscore") == len(refs)
        connection.commit()
        with view_pair.plain.butler(writeable=True) as butler:
            butler.registry.disassociate(collection, refs[:1])
        assert count(connection, "tapdb_reader", "ivoa.obscore") == len(refs) - 1
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
        connection.commit()
