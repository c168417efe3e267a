"""Users who lack rights: told before anything is changed, and the advised SQL is enough."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result

from examples.lsstcam import Pair
from tapdb.postgres.catalog import Catalog, describe, diff
from tapdb.postgres.engine import create_engine
from tests.plugins.migration_fixtures import RunAlembic
from tests.plugins.rights_fixtures import (
    OWNER,
    SECRET,
    USER,
    administer,
    advice,
    change_owner,
    refused,
    run_as_user,
    until_done,
)
from tests.plugins.view_fixtures import view_config_text

SCHEMAS = ("ivoa", "tapdb", "plain", "fresh")

GRANTS = {
    "no rights": "",
    "USAGE and no SELECT": "GRANT USAGE ON SCHEMA plain TO {user}",
    "SELECT and no USAGE": "GRANT SELECT ON ALL TABLES IN SCHEMA plain TO {user}",
    "SELECT": "GRANT USAGE ON SCHEMA plain TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA plain TO {user}",
    "SELECT and TRIGGER": (
        "GRANT USAGE ON SCHEMA plain TO {user}; GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA plain TO {user}"
    ),
    "SELECT and CREATEROLE": (
        "ALTER ROLE {user} CREATEROLE; "
        "GRANT USAGE ON SCHEMA plain TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA plain TO {user}"
    ),
    "NOINHERIT and CREATEROLE": "ALTER ROLE {user} NOINHERIT CREATEROLE",
    "a membership without its rights": "ALTER ROLE {user} NOINHERIT; GRANT {owner}, tapdb_owner TO {user}",
}
"""What a user may do with the registry; the rest is missing."""

USUAL = ("no rights", "a membership without its rights")
"""What each run of the tests begins with; the others are for the long ones."""

READ_REGISTRY = (
    "GRANT SELECT ON plain.butler_attributes, plain.dataset_type, plain.dimension_graph_definition, "
    f"plain.opaque_meta TO {USER};"
)


def catalog(url: sa.URL) -> Catalog:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = describe(connection, SCHEMAS)
    engine.dispose()
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a view in a schema that is there, over schema ``plain``."""
    path = tmp_path / "obscore.yaml"
    path.write_text(view_config_text("ivoa.more", registry_schema="plain"))
    return path


@pytest.fixture
def views(logins: None, view_pair: Pair) -> sa.URL:
    """Return a database with views, whose registry ``plain`` belongs to its owner."""
    change_owner(view_pair.url, "plain")
    return view_pair.url


@pytest.fixture
def registry(logins: None, butler_pair: Pair) -> sa.URL:
    """Return a database that was never migrated, whose registry ``plain`` belongs to its owner."""
    change_owner(butler_pair.url, "plain")
    administer(butler_pair.url, "DROP SCHEMA live CASCADE")
    return butler_pair.url


def run(url: sa.URL, *arguments: object) -> Result:
    return run_as_user(url, "obscore", *arguments)


@pytest.mark.parametrize(
    ("grant", "geometry"),
    [
        *(pytest.param(grant, "table", marks=() if grant in USUAL else pytest.mark.soak) for grant in GRANTS),
        ("SELECT", "none"),
        pytest.param("no rights", "none", marks=pytest.mark.soak),
    ],
)
def test_what_is_advised_is_enough_to_create_refresh_and_drop_a_view(
    views: sa.URL, config: Path, grant: str, geometry: str
) -> None:
    administer(views, GRANTS[grant].format(user=USER, owner=OWNER))
    before = catalog(views)
    create = ("create", "-c", config, "--geometry", geometry, "--no-describe")
    refused(run(views, *create))
    assert diff(before, catalog(views)) == ()
    # Which tables a view reads is known once the registry may be read; who owns them may do all the rest.
    until_done(views, lambda: run(views, *create), most=1 if geometry == "table" or grant == "SELECT" else 2)
    for command in (
        ("check", "--view", "ivoa.more"),
        ("refresh", "--view", "ivoa.more"),
        ("mapping", "--view", "ivoa.more"),
        ("drop", "--view", "ivoa.more"),
    ):
        done = run(views, *command)
        assert done.exit_code == 0, (command, done.output)
        assert "WARNING" not in done.output


@pytest.mark.parametrize("command", ["drop", "refresh"])
def test_what_is_advised_is_enough_to_change_a_view_of_somebody_else(views: sa.URL, command: str) -> None:
    arguments = (command, "--view", "ivoa.obscore", "--no-describe")
    # Two registries: that of the view is known only once its record can be read.
    until_done(views, lambda: run(views, *arguments), most=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--view", "ivoa.obscore"),
        ("mapping",),
        ("mapping", "-c", "CONFIG"),
        ("plan", "-c", "CONFIG"),
        ("resolve", "DID"),
    ],
)
def test_what_is_advised_is_enough_to_look_and_gives_no_right_to_change(
    views: sa.URL, config: Path, arguments: tuple[str, ...]
) -> None:
    administer(views, f"GRANT tapdb_reader TO {USER}")
    query = "SELECT obs_publisher_did FROM ivoa.obscore WHERE dataproduct_subtype = 'lsst.raw' LIMIT 1"
    engine = create_engine(views)
    with engine.connect() as connection:
        known = {"CONFIG": str(config), "DID": str(connection.exec_driver_sql(query).scalar_one())}
    engine.dispose()
    words = [known.get(one, one) for one in arguments]
    until_done(views, lambda: run(views, *words), most=1 if arguments[0] in {"check", "mapping"} else 2)
    refused(run(views, "refresh", "--view", "ivoa.obscore"))


def test_tables_of_a_superuser_change_hands_and_nobody_becomes_a_superuser(
    logins: None,
    view_pair: Pair,
    config: Path,
) -> None:
    url = view_pair.url
    result = run(url, "create", "-c", config, "--no-describe")
    assert not any(line.startswith(f"GRANT {url.username} ") for line in refused(result))
    assert "Or let the owner of Butler's tables run it." in result.stderr
    until_done(url, lambda: run(url, "create", "-c", config, "--no-describe"), most=2)
    until_done(url, lambda: run(url, "drop", "--view", "ivoa.more", "--no-describe"), most=0)


def test_reading_comes_first_and_then_the_tables_that_the_view_needs_and_no_others(
    logins: None, view_pair: Pair, config: Path
) -> None:
    url = view_pair.url
    first = refused(run(url, "create", "-c", config, "--no-describe"))
    assert first == [
        f"GRANT tapdb_owner TO {USER};",
        f"GRANT USAGE ON SCHEMA plain TO {USER};",
        READ_REGISTRY,
    ]
    administer(url, "".join(first))
    second = refused(run(url, "create", "-c", config, "--no-describe"))
    owned = {one.split(".")[1].split(" ")[0] for one in second if one.startswith("ALTER TABLE plain.")}
    assert len(second) < 30
    administer(url, "".join(second))
    assert run(url, "create", "-c", config, "--no-describe").exit_code == 0
    engine = create_engine(url)
    query = (
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal UNION "
        "SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid::regclass::text ~ '[.]tapdb_' UNION "
        "SELECT stxrelid::regclass::text FROM pg_statistic_ext"
    )
    with engine.connect() as connection:
        touched = {name.removeprefix("plain.") for name in connection.exec_driver_sql(query).scalars()}
    engine.dispose()
    # Negative control: most tables of the registry are in neither.
    assert owned
    assert owned <= {name for name in touched if "." not in name}


@pytest.mark.parametrize(
    "grant",
    [
        "no rights",
        *(
            pytest.param(grant, marks=pytest.mark.soak)
            for grant in ("USAGE and no SELECT", "SELECT", "SELECT and CREATEROLE")
        ),
    ],
)
def test_what_is_advised_is_enough_to_migrate_a_database_with_a_registry(
    registry: sa.URL, alembic: RunAlembic, tmp_path: Path, grant: str
) -> None:
    config = tmp_path / "obscore.yaml"
    config.write_text(view_config_text())
    administer(registry, GRANTS[grant].format(user=USER, owner=OWNER))
    as_user = registry.set(username=USER, password=SECRET)
    before = catalog(registry)
    refusal = alembic(as_user, "-x", f"obscore_config={config}", "upgrade", "head")
    assert refusal.returncode == 1
    assert f'Error: user "{USER}" lacks rights in this database to migrate it.' in refusal.stderr
    assert "Traceback" not in refusal.stderr
    assert "WARNING" not in refusal.stderr
    assert diff(before, catalog(registry)) == ()
    administer(registry, "".join(advice(refusal.stderr)))
    for command in ("upgrade", "downgrade", "upgrade"):
        target = "base" if command == "downgrade" else "head"
        done = alembic(as_user, "-x", f"obscore_config={config}", command, target)
        assert done.returncode == 0, done.stderr
        assert "no privileges" not in done.stderr


def test_a_registry_that_cannot_be_read_is_not_said_to_be_missing(registry: sa.URL, config: Path) -> None:
    result = run(registry, "plan", "-c", config)
    assert "none" not in result.stderr
    assert refused(result) == [
        f"GRANT USAGE ON SCHEMA plain TO {USER};",
        READ_REGISTRY,
    ]
    unknown = run(registry, "plan", "-c", config, "--registry-schema", "plane")
    assert 'Did you mean "plain"?' in unknown.stderr


def test_what_is_advised_is_enough_to_publish_tap_schema(views: sa.URL) -> None:
    published = until_done(views, lambda: run_as_user(views, "tap-schema", "publish"), most=1)
    assert "Published: " in published.stderr
