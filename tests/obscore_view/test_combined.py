"""One view that shows several: all their rows and no others, at any moment, found by the indexes of each."""

# ruff: noqa: S608  names of views are ours

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from examples.lsstcam import Pair, ingest_visit
from examples.lsstcam.content import make_pointing
from examples.lsstcam.layout import FIRST_RUN, SECOND_RUN
from obscore_view.check import check_combined
from obscore_view.config.parse import parse_config
from obscore_view.derived import ObsCoreViews, describe
from obscore_view.errors import CombinationError, NameTakenError, ViewExistsError
from obscore_view.view.combining import CombinedView, is_read, read_combined_views
from obscore_view.view.fill import Filling
from obscore_view.view.make import (
    combine_views,
    create_view,
    drop_view,
    find_stored_view,
    plan_combination,
    refresh_view,
    run_script,
    stored_config,
)
from obscore_view.view.store import STAGES, read_stored_views
from tapdb.cli.root import main
from tapdb.postgres.engine import DatabaseRefusedError
from tapdb.postgres.roles import MissingRightsError
from tests.plugins.view_fixtures import VIEW_OVER_LIVE, VIEWS_OVER_PLAIN, open_engine, view_config_text

PLAIN = VIEWS_OVER_PLAIN["table"]
BOTH = CombinedView("joint", "obscore", (PLAIN, VIEW_OVER_LIVE))
ONCE = CombinedView("once", "obscore", (VIEW_OVER_LIVE, PLAIN), first_only=True)


def columns(connection: sa.Connection, view: str) -> list[str]:
    """Return the columns of a view; values of pg_sphere, which have no order, as text."""
    schema, name = view.split(".")
    query = sa.text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = :schema "
        "AND table_name = :name ORDER BY ordinal_position"
    )
    found = connection.scalars(query, {"schema": schema, "name": name}).all()
    return [f"{one}::text" if one.startswith("pgs_") else one for one in found]


def differing(connection: sa.Connection, view: str, expected: str) -> int:
    """Return how many rows of a view another relation does not have, and the reverse."""
    listed = ", ".join(columns(connection, PLAIN))
    one, other = f"SELECT {listed} FROM {view}", f"SELECT {listed} FROM {expected} AS e"
    query = f"SELECT count(*) FROM (({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})) AS d"
    return int(connection.exec_driver_sql(query).scalar_one())


ALL_ROWS = f"(SELECT * FROM {PLAIN} UNION ALL SELECT * FROM {VIEW_OVER_LIVE})"
EACH_ONCE = (
    f"(SELECT * FROM {VIEW_OVER_LIVE} UNION ALL SELECT * FROM {PLAIN} AS p WHERE NOT EXISTS "
    f"(SELECT FROM {VIEW_OVER_LIVE} AS l WHERE l.registry_dataset_id = p.registry_dataset_id))"
)


def count(connection: sa.Connection, relation: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {relation} AS r").scalar_one())


def test_a_combined_view_has_the_rows_of_all_and_a_dataset_of_both_once_where_that_is_wished(
    view_connection_readonly: sa.Connection,
) -> None:
    session = view_connection_readonly
    # A row that only one of them has.
    session.exec_driver_sql(
        "DELETE FROM live.dataset_tags_00000002 AS t USING "
        "(SELECT dataset_id FROM live.dataset_tags_00000002 LIMIT 1) AS g WHERE g.dataset_id = t.dataset_id"
    )
    combine_views(session, BOTH)
    combine_views(session, ONCE)
    assert columns(session, "joint.obscore") == columns(session, PLAIN)
    assert differing(session, "joint.obscore", ALL_ROWS) == 0
    assert count(session, "once.obscore") < count(session, "joint.obscore")
    assert differing(session, "once.obscore", EACH_ONCE) == 0
    # The comparison sees one row that lacks.
    assert differing(session, "joint.obscore", PLAIN) == count(session, VIEW_OVER_LIVE)
    assert [(one.full_name, one.parts) for one in read_combined_views(session)] == [
        ("joint.obscore", BOTH.parts),
        ("once.obscore", ONCE.parts),
    ]


def plan(connection: sa.Connection, query: str) -> str:
    connection.exec_driver_sql(
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
    )
    return "\n".join(connection.exec_driver_sql(f"EXPLAIN {query}").scalars())


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("o.pgs_region ~ spoint(p.x, p.y)", "_region_pgs_region_idx"),
        ("o.registry_dataset_id = p.id", "_dataset_pkey"),
        ("o.obs_publisher_did = p.did", "_dataset_expr_idx"),
    ],
)
@pytest.mark.parametrize("view", ["joint.obscore", "once.obscore"])
def test_what_is_joined_with_a_combined_view_is_looked_up_in_both_by_their_indexes(
    view_connection_readonly: sa.Connection, view: str, condition: str, index: str
) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH if view == "joint.obscore" else ONCE)
    points = (
        "(SELECT random() AS x, random() AS y, gen_random_uuid() AS id, 'ivo://' || g AS did "
        "FROM generate_series(1, 20) AS g OFFSET 0) AS p"
    )
    found = plan(session, f"SELECT o.obs_id FROM {points} JOIN {view} AS o ON {condition}")
    assert found.count(f"{index} on") == 2, found
    # A UNION of the two views reads all rows of both for that.
    union = plan(session, f"SELECT o.obs_id FROM {points} JOIN {ALL_ROWS} AS o ON {condition}")
    assert f"{index} on" not in union, union


def test_what_butler_stores_is_in_a_combined_view_at_its_commit(view_pair: Pair) -> None:
    with open_engine(view_pair.url) as engine:
        with engine.begin() as session:
            combine_views(session, BOTH)
            combine_views(session, ONCE)
        with view_pair.live.butler(writeable=True) as butler:
            pointing = make_pointing(20_260_620, 7, 150.0, 2.0, 15.0, "r_57", "joint")
            ingest_visit(butler, view_pair.live, pointing)
        with view_pair.plain.butler(writeable=True) as butler:
            butler.removeRuns([SECOND_RUN], unlink_from_chains=True)
        with engine.connect() as session:
            assert differing(session, "joint.obscore", ALL_ROWS) == 0
            assert differing(session, "once.obscore", EACH_ONCE) == 0


def test_a_part_that_is_made_again_is_shown_as_it_is_then_and_grants_stay(
    view_connection: sa.Connection,
) -> None:
    session = view_connection
    combine_views(session, BOTH)
    session.exec_driver_sql("CREATE ROLE tapdb_test_both NOLOGIN")
    session.exec_driver_sql("REVOKE SELECT ON joint.obscore FROM tapdb_reader")
    session.exec_driver_sql("GRANT SELECT ON joint.obscore TO tapdb_test_both")
    refresh_view(session, find_stored_view(session, PLAIN))
    assert differing(session, "joint.obscore", ALL_ROWS) == 0
    for role, may in (("tapdb_test_both", True), ("tapdb_reader", False)):
        query = sa.select(sa.func.has_table_privilege(role, "joint.obscore", "SELECT"))
        assert session.scalar(query) is may, role


def test_the_sql_that_makes_a_view_again_leaves_its_grants_as_they_are(
    view_connection_readonly: sa.Connection,
) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH)
    session.exec_driver_sql("CREATE ROLE tapdb_test_both NOLOGIN")
    session.exec_driver_sql("REVOKE SELECT ON joint.obscore FROM tapdb_reader")
    session.exec_driver_sql("GRANT SELECT (obs_id) ON joint.obscore TO tapdb_test_both WITH GRANT OPTION")
    granted = sa.text(
        "SELECT relacl::text, attacl::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE pg_class.oid = to_regclass('joint.obscore') AND attname = 'obs_id'"
    )
    before = session.execute(granted).one()
    run_script(session, plan_combination(session, replace(BOTH, first_only=True)))
    assert session.execute(granted).one() == before


def test_a_part_that_could_not_be_shown_any_more_is_not_begun_to_be_made(
    view_connection: sa.Connection,
) -> None:
    session = view_connection
    combine_views(session, BOTH)
    session.commit()
    old = find_stored_view(session, PLAIN)
    text = view_config_text(PLAIN, geometry="none")
    said = r"joint\.obscore shows ivoa\.obscore and others(.|\n)*tapdb obscore drop --view joint\.obscore"
    with pytest.raises(CombinationError, match=said):
        refresh_view(session, old, parse_config(text), config_yaml=text)
    session.rollback()
    filling = Filling(session, timeout_ms=5000, batch_ms=1)
    with pytest.raises(CombinationError, match=said):
        filling.prepare(parse_config(text), config_yaml=text, old=old)
    session.exec_driver_sql("CREATE VIEW public.theirs AS SELECT obs_id FROM joint.obscore")
    with pytest.raises(DatabaseRefusedError, match=r"theirs stand on joint\.obscore"):
        filling.prepare(stored_config(old), config_yaml=old.config_yaml, old=old)
    session.rollback()
    assert [one.stage for one in read_stored_views(session, STAGES)] == ["published"] * 3
    assert differing(session, "joint.obscore", ALL_ROWS) == 0


def test_a_part_that_is_filled_beside_its_readers_is_shown_from_the_swap_on(
    view_connection: sa.Connection,
) -> None:
    session = view_connection
    combine_views(session, BOTH)
    session.commit()
    filling = Filling(session, timeout_ms=5000, batch_ms=1)
    old = find_stored_view(session, PLAIN)
    config = stored_config(old)
    session.rollback()
    filling.finish(filling.prepare(config, config_yaml=old.config_yaml, old=old))
    assert find_stored_view(session, PLAIN).kept != old.kept
    assert differing(session, "joint.obscore", ALL_ROWS) == 0


def test_parts_of_all_rules_of_collections_are_shown_together(view_connection: sa.Connection) -> None:
    session = view_connection
    options = {"ranked.obscore": {"find_first": [SECOND_RUN, FIRST_RUN]}}
    names = []
    for name, more in options.items():
        text = view_config_text(name, **more)
        create_view(session, parse_config(text), registry_schema="plain", config_yaml=text)
        names.append(name)
    combine_views(session, CombinedView("joint", "obscore", (PLAIN, *names, VIEW_OVER_LIVE)))
    union = " UNION ALL ".join(f"SELECT * FROM {name}" for name in (PLAIN, *names, VIEW_OVER_LIVE))
    assert count(session, "ranked.obscore") > 0
    assert differing(session, "joint.obscore", f"({union})") == 0
    with pytest.raises(CombinationError, match="already shows the first dataset"):
        combine_views(session, CombinedView("once", "obscore", (PLAIN, *names), first_only=True))


def test_views_that_cannot_be_shown_as_one_are_refused_and_nothing_is_left(
    view_connection_readonly: sa.Connection,
) -> None:
    session = view_connection_readonly

    def refused(parts: tuple[str, ...], said: str, name: str = "obscore") -> None:
        with pytest.raises(CombinationError, match=said):
            combine_views(session, CombinedView("joint", name, parts))

    refused((PLAIN, VIEWS_OVER_PLAIN["none"]), "untouched.obscore keeps no rows")
    refused((PLAIN, "no.where"), "there is no ObsCore view no.where\nThere are: embargo.obscore")
    assert session.scalar(sa.text("SELECT to_regclass('joint.obscore')")) is None
    combine_views(session, ONCE)
    refused((PLAIN, "once.obscore"), r"once.obscore shows several as one itself\nName these: embargo.obscore")
    with pytest.raises(ViewExistsError):
        combine_views(session, CombinedView("ivoa", "obscore", BOTH.parts))
    with pytest.raises(NameTakenError):
        combine_views(session, CombinedView("tapdb", "keeping", BOTH.parts))


def test_a_part_whose_readers_are_chosen_does_not_become_public_by_a_combined_view(
    view_connection_readonly: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    session = view_connection_readonly
    may = sa.select(sa.func.has_table_privilege("tapdb_reader", "joint.obscore", "SELECT"))
    combine_views(session, BOTH)
    assert session.scalar(may) is True
    session.exec_driver_sql("REVOKE SELECT ON embargo.obscore FROM tapdb_reader")
    ((finding,),) = check_combined(session).values()
    assert finding.severity == "warning"
    assert "tapdb_reader may read it, and not embargo.obscore" in finding.problem
    session.exec_driver_sql(finding.remedy)
    session.exec_driver_sql("DROP VIEW joint.obscore; DELETE FROM tapdb.combined_view")
    with caplog.at_level(logging.WARNING):
        combine_views(session, BOTH)
    assert session.scalar(may) is False
    session.exec_driver_sql("DROP VIEW joint.obscore")
    refresh_view(session, find_stored_view(session, PLAIN))
    assert session.scalar(may) is False
    assert "tapdb_reader may not read embargo.obscore, so not joint.obscore either" in caplog.text


def test_a_part_that_holds_rows_back_from_now_on_is_not_public_by_a_combined_view(
    view_connection_readonly: sa.Connection,
) -> None:
    session = view_connection_readonly
    may = sa.select(sa.func.has_table_privilege("tapdb_reader", "joint.obscore", "SELECT"))
    session.exec_driver_sql("CREATE ROLE tapdb_test_joint NOLOGIN; GRANT tapdb_reader TO tapdb_test_joint")
    combine_views(session, BOTH)
    session.exec_driver_sql("GRANT SELECT ON joint.obscore TO PUBLIC, tapdb_test_joint")
    stored = find_stored_view(session, PLAIN)
    text = view_config_text(stored.full_name, release="{readers: [tapdb_test_joint]}")
    refresh_view(session, stored, parse_config(text), config_yaml=text)
    assert session.scalar(may) is False
    # Of a role that was named by a DBA nothing is taken.
    theirs = sa.select(sa.func.has_table_privilege("tapdb_test_joint", "joint.obscore", "SELECT"))
    assert session.scalar(theirs) is True


def test_who_may_not_read_the_registries_is_told_what_to_grant(
    view_connection_readonly: sa.Connection,
) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH)
    session.exec_driver_sql(
        "CREATE ROLE tapdb_test_looks NOLOGIN; GRANT USAGE ON SCHEMA tapdb TO tapdb_test_looks; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA tapdb TO tapdb_test_looks; SET LOCAL ROLE tapdb_test_looks"
    )
    said = r"GRANT [^;]* ON [^;]*plain[^;]* TO tapdb_test_looks"
    with pytest.raises(MissingRightsError, match=said):
        plan_combination(session, BOTH)
    with pytest.raises(MissingRightsError, match=said):
        check_combined(session)
    # What others may read is known without a right on the schema of the view.
    assert is_read(session, PLAIN)


def test_a_part_is_dropped_after_what_shows_it(view_connection_readonly: sa.Connection) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH)
    with pytest.raises(CombinationError, match=r"tapdb obscore drop --view joint\.obscore"):
        drop_view(session, find_stored_view(session, PLAIN))


def test_a_migration_makes_combined_views_again(view_connection_readonly: sa.Connection) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH)
    views = ObsCoreViews()
    views.drop(session)
    assert read_combined_views(session) == ()
    assert session.scalar(sa.text("SELECT to_regclass('joint.obscore')")) is None
    views.create(session, {})
    assert differing(session, "joint.obscore", ALL_ROWS) == 0


def test_what_a_migration_cannot_make_again_is_said_with_the_command_for_it(
    view_connection_readonly: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    session = view_connection_readonly
    combine_views(session, ONCE)
    views = ObsCoreViews()
    views.drop(session)
    views.create(session, {"geometry": "none"})
    command = f"tapdb obscore combine once.obscore {VIEW_OVER_LIVE} {PLAIN} --first-only"
    assert any(one.endswith(command) for one in caplog.messages)


def test_a_combined_view_is_described_and_checked(view_connection_readonly: sa.Connection) -> None:
    session = view_connection_readonly
    combine_views(session, BOTH)
    assert check_combined(session) == {"joint.obscore": ()}
    assert "joint" in {one.name for one in describe(session)}
    session.exec_driver_sql("DROP VIEW joint.obscore")
    ((finding,),) = check_combined(session).values()
    assert (finding.severity, finding.problem) == ("error", "is missing")
    assert finding.remedy == f"tapdb obscore combine joint.obscore {PLAIN} {VIEW_OVER_LIVE}"


def test_the_commands_combine_check_and_drop(view_pair: Pair, tmp_path: Path) -> None:
    url = view_pair.url.render_as_string(hide_password=False)

    def run(*words: str) -> Result:
        result = CliRunner(env={"TAPDB_URL": url}).invoke(main, ["obscore", *words])
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        return result

    words = ("combine", "joint.obscore", PLAIN, VIEW_OVER_LIVE)
    dry = run(*words, "--dry-run")
    assert 'CREATE SCHEMA "joint"' in dry.output
    assert 'CREATE VIEW "joint"."obscore"' in dry.output
    assert "shows ivoa.obscore, embargo.obscore as one" in run(*words).output
    # Again, and otherwise.
    assert run(*words, "--first-only").exit_code == 0
    assert run("check", "--view", "joint.obscore").exit_code == 0
    assert run("combine", "joint", PLAIN, VIEW_OVER_LIVE).exit_code == 2
    for name in ("joint.", "a.b.c", 'jo"int.obscore', "my joint.obscore", "joint." + 64 * "x"):
        wrong = run("combine", name, PLAIN, VIEW_OVER_LIVE, "--dry-run")
        assert (wrong.exit_code, "write SCHEMA.NAME" in wrong.output) == (2, True), name
    assert run("combine", "joint.obscore", PLAIN).exit_code == 2
    refused = run("drop", "--view", PLAIN)
    assert refused.exit_code == 1
    assert "joint.obscore shows ivoa.obscore and embargo.obscore as one" in refused.output
    assert run("drop", "--view", PLAIN, "--dry-run").exit_code == 1
    assert 'DROP VIEW IF EXISTS "joint"."obscore"' in run("drop", "--all", "--dry-run").output
    dropped = run("drop", "--view", "joint.obscore").output
    assert "What it showed stays: ivoa.obscore, embargo.obscore." in dropped
    assert run(*words).exit_code == 0
    assert run("drop", "--all", "--save-config", str(tmp_path)).exit_code == 0
    with open_engine(view_pair.url) as engine, engine.connect() as session:
        assert read_combined_views(session) == ()
