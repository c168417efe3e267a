"""Whether `check_view` finds each way in which a view and its registry can come apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa
from lsst.daf.butler import DatasetType

from examples.lsstcam import Pair, ingest_visit, next_pointing
from obscore_view import parse_config
from obscore_view.check import check_view
from obscore_view.view.make import find_stored_view, refresh_view
from obscore_view.view.store import read_stored_views
from tapdb.findings import Finding
from tapdb.postgres.engine import create_engine, hides_rows
from tapdb.sources import execute_text
from tests.plugins.view_fixtures import make_test_view, view_config_text

VIEW = "ivoa.obscore"
NOT_REGISTERED = """\
  later_image:
    dataproduct_type: image
    calib_level: 2
    obs_id_fmt: "{visit}-{detector}"
"""


@pytest.fixture
def engine(view_pair: Pair) -> Iterator[sa.Engine]:
    engine = create_engine(view_pair.url)
    yield engine
    engine.dispose()


def check(
    engine: sa.Engine, *, view: str = VIEW, deep: bool = False, text: str | None = None
) -> tuple[Finding, ...]:
    with engine.connect() as connection:
        stored = find_stored_view(connection, view)
        config = None if text is None else parse_config(text)
        return check_view(connection, stored, config, deep=deep)


def change(engine: sa.Engine, text: str) -> None:
    with engine.begin() as connection:
        execute_text(connection, text)


def check_after(
    connection: sa.Connection, statement: str, *, view: str = VIEW, deep: bool = False
) -> tuple[Finding, ...]:
    """Return the findings after a change that is undone with the test."""
    execute_text(connection, statement)
    return check_view(connection, find_stored_view(connection, view), deep=deep)


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [str(one) for one in findings]
    return findings[0]


def refresh_with(engine: sa.Engine, text: str) -> None:
    with engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW), parse_config(text), config_yaml=text)


def text_with_later_image() -> str:
    return view_config_text().replace("dataset_types:\n", f"dataset_types:\n{NOT_REGISTERED}")


EMPTY_RUN = """
INSERT INTO plain.collection (collection_id, name, type)
SELECT max(collection_id) + 1, 'LSSTCam/runs/without/datasets', 1 FROM plain.collection
"""
"""Registers a RUN collection that is published, without datasets."""


def dataset_type(butler_pair: Pair, name: str, *dimensions: str) -> DatasetType:
    with butler_pair.plain.butler() as butler:
        return DatasetType(name, dimensions, "StructuredDataDict", universe=butler.dimensions)


def test_views_that_were_just_made_have_no_findings(view_connection_readonly: sa.Connection) -> None:
    views = read_stored_views(view_connection_readonly)
    assert len(views) == 3
    for view in views:
        assert check_view(view_connection_readonly, view, deep=True) == ()


def test_what_butler_ingests_and_deletes_is_no_drift(view_pair: Pair, engine: sa.Engine) -> None:
    pointing = next_pointing(view_pair.plain.content, 10.0, -20.0)
    with view_pair.plain.butler(writeable=True) as butler:
        ingest_visit(butler, view_pair.plain, pointing)
        found = butler.query_datasets("raw", collections="*", find_first=False)
        butler.pruneDatasets(found[:3], disassociate=True, unstore=True, purge=True)
    assert check(engine, deep=True) == ()


def test_a_dataset_type_that_was_removed_and_registered_again_is_drift(
    view_pair: Pair, engine: sa.Engine
) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        butler.pruneDatasets(
            butler.query_datasets("exposure_thumbnail", collections="*", find_first=False),
            disassociate=True,
            unstore=True,
            purge=True,
        )
        removed = butler.get_dataset_type("exposure_thumbnail")
        butler.registry.removeDatasetType("exposure_thumbnail")
        gone = only(check(engine))
        butler.registry.registerDatasetType(removed)
    assert (gone.severity, gone.subject) == ("error", "dataset type exposure_thumbnail")
    assert "was removed from the registry" in gone.problem
    again = only(check(engine))
    assert (again.severity, again.subject) == ("error", "dataset type exposure_thumbnail")
    assert "registered again" in again.problem
    with engine.begin() as connection:
        refresh_view(connection, find_stored_view(connection, VIEW))
    assert check(engine) == ()


def test_a_dataset_type_with_other_dimensions_has_moved_to_another_tags_table(
    view_pair: Pair, engine: sa.Engine
) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        found = butler.query_datasets("exposure_thumbnail", collections="*", find_first=False)
        butler.pruneDatasets(found, disassociate=True, unstore=True, purge=True)
        butler.registry.removeDatasetType("exposure_thumbnail")
        butler.registry.registerDatasetType(
            DatasetType(
                "exposure_thumbnail",
                ("exposure", "detector"),
                "StructuredDataDict",
                universe=butler.dimensions,
            )
        )
    moved = only(check(engine))
    assert moved.severity == "error"
    assert "has other dimensions" in moved.problem
    assert "moved from tags table dataset_tags_" in moved.problem


def test_a_configured_type_registered_in_a_known_dimension_group_is_a_notice(
    view_pair: Pair, engine: sa.Engine
) -> None:
    refresh_with(engine, text_with_later_image())
    before = only(check(engine))
    assert (before.severity, before.subject) == ("notice", "dataset type later_image")
    with view_pair.plain.butler(writeable=True) as butler:
        butler.registry.registerDatasetType(dataset_type(view_pair, "later_image", "visit", "detector"))
    after = only(check(engine))
    assert after.severity == "notice"
    assert "its datasets are in the view" in after.problem


def test_a_configured_type_registered_in_a_new_dimension_group_is_drift(
    view_pair: Pair, engine: sa.Engine
) -> None:
    refresh_with(engine, text_with_later_image())
    with view_pair.plain.butler(writeable=True) as butler:
        butler.registry.registerDatasetType(
            dataset_type(view_pair, "later_image", "visit", "detector", "healpix7")
        )
    finding = only(check(engine))
    assert (finding.severity, finding.subject) == ("error", "dataset type later_image")
    assert "in a dimension group that the view does not read" in finding.problem


def test_a_new_dimension_group_that_a_configured_type_could_be_in_is_drift(
    view_pair: Pair, engine: sa.Engine
) -> None:
    refresh_with(engine, text_with_later_image())
    with view_pair.plain.butler(writeable=True) as butler:
        butler.registry.registerDatasetType(
            dataset_type(view_pair, "unrelated", "visit", "detector", "healpix7")
        )
    findings = check(engine)
    assert [one.severity for one in findings] == ["error", "notice"]
    assert "tags tables that are new" in findings[0].problem


def test_a_new_dimension_group_that_no_configured_type_is_in_is_no_drift(
    view_pair: Pair, engine: sa.Engine
) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        butler.registry.registerDatasetType(dataset_type(view_pair, "unrelated", "visit", "healpix7"))
    assert check(engine) == ()


@pytest.mark.parametrize(
    ("statement", "what", "detail"),
    [
        (
            "ALTER TABLE plain.exposure ALTER COLUMN seq_start TYPE numeric",
            "column plain.exposure.seq_start",
            "was bigint, is numeric",
        ),
        (
            "ALTER TABLE plain.detector RENAME COLUMN purpose TO used_for",
            "column plain.detector.purpose",
            "is not there any more",
        ),
        (
            """
            UPDATE plain.butler_attributes SET value = replace(value, '"version": 8', '"version": 7')
            WHERE name = 'config:dimensions.json'
            """,
            "dimension universe",
            "was version 8, is version 7",
        ),
        (
            """
            UPDATE plain.butler_attributes SET value = '1.0.0'
            WHERE name LIKE 'version:%ByDimensionsDatasetRecordStorageManagerUUID'
            """,
            "datasets manager",
            "is ByDimensionsDatasetRecordStorageManagerUUID 1.0.0",
        ),
        (
            """
            UPDATE plain.butler_attributes SET value = '9.0.0'
            WHERE name LIKE 'version:%StaticDimensionRecordStorageManager'
            """,
            "registry in schema plain",
            "9.0.0",
        ),
        (
            "DELETE FROM plain.opaque_meta",
            "tables of the datastores",
            "were file_datastore_records; are none",
        ),
        (
            "UPDATE tapdb.view_definition SET software_version = '0.0.1'",
            "view ivoa.obscore",
            "was made by tapdb 0.0.1",
        ),
    ],
)
def test_what_has_changed_in_the_registry_is_named(
    view_connection_readonly: sa.Connection, statement: str, what: str, detail: str
) -> None:
    finding = only(check_after(view_connection_readonly, statement))
    assert (finding.severity, finding.subject) == ("error", what)
    assert detail in finding.problem


def test_a_registry_that_has_moved_to_another_schema_is_drift(
    view_connection_readonly: sa.Connection,
) -> None:
    findings = check_after(view_connection_readonly, "ALTER SCHEMA plain RENAME TO renamed")
    assert "registry in schema plain" in {one.subject for one in findings if one.severity == "error"}


def test_another_configuration_is_drift_and_its_comments_are_not(
    view_connection_readonly: sa.Connection,
) -> None:
    view = find_stored_view(view_connection_readonly, VIEW)
    text = view_config_text(VIEW, geometry="table")
    same, other = text + "# a comment\n", text.replace("facility_name: Rubin-LSST", "facility_name: Rubin")
    assert check_view(view_connection_readonly, view, parse_config(same)) == ()
    assert only(check_view(view_connection_readonly, view, parse_config(other))).subject == "configuration"


@pytest.mark.parametrize(
    ("statement", "severity", "what", "detail"),
    [
        ("DROP VIEW ivoa.obscore", "error", "view ivoa.obscore", "missing"),
        (
            "DROP TRIGGER tapdb_insert ON plain.visit",
            "error",
            "trigger tapdb_insert on plain.visit",
            "missing",
        ),
        (
            "ALTER TABLE plain.visit DISABLE TRIGGER tapdb_update",
            "error",
            "trigger tapdb_update on plain.visit",
            "disabled",
        ),
        (
            "ALTER TABLE plain.collection ENABLE REPLICA TRIGGER tapdb_delete",
            "error",
            "trigger tapdb_delete on plain.collection",
            "replica",
        ),
        (
            "ALTER TABLE tapdb.plain_region DROP CONSTRAINT plain_region_pkey",
            "error",
            "table tapdb.plain_region",
            "no primary key",
        ),
        (
            "ALTER TABLE tapdb.ivoa_obscore_dataset DROP CONSTRAINT ivoa_obscore_dataset_pkey",
            "error",
            "table tapdb.ivoa_obscore_dataset",
            "no primary key",
        ),
        (
            "ALTER TABLE plain.visit ENABLE ROW LEVEL SECURITY",
            "error",
            "table plain.visit",
            "hide from tapdb_owner",
        ),
        (
            "ALTER TABLE tapdb.plain_region ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "error",
            "table tapdb.plain_region",
            "hide from tapdb_owner",
        ),
        ("REVOKE SELECT ON plain.dataset FROM tapdb_owner", "error", "table plain.dataset", "read by"),
        ("SELECT tapdb.set_region_selectivity('contsel')", "warning", "operators of pg_sphere", "&&"),
        (
            "ALTER TABLE tapdb.plain_region ALTER pgs_region RESET (n_distinct)",
            "warning",
            "table tapdb.plain_region",
            "n_distinct",
        ),
        (
            "DROP INDEX tapdb.plain_region_pgs_region_idx",
            "warning",
            "table tapdb.plain_region",
            "no GiST index",
        ),
        (
            "UPDATE pg_class SET reltuples = -1 WHERE oid = 'tapdb.plain_region'::regclass",
            "warning",
            "table tapdb.plain_region",
            "never analysed",
        ),
        (
            "UPDATE pg_class SET reltuples = -1 WHERE oid = 'tapdb.ivoa_obscore_dataset'::regclass",
            "warning",
            "table tapdb.ivoa_obscore_dataset",
            "never analysed",
        ),
        (
            "ALTER VIEW ivoa.obscore SET (security_barrier)",
            "warning",
            "view ivoa.obscore",
            "security_barrier",
        ),
        (
            "ALTER TABLE tapdb.plain_region SET (toast.autovacuum_enabled = off)",
            "notice",
            "table tapdb.plain_region",
            "toast.autovacuum_enabled=off",
        ),
        (
            "ALTER TABLE tapdb.plain_region SET (autovacuum_enabled = off)",
            "notice",
            "table tapdb.plain_region",
            ": autovacuum_enabled=off",
        ),
    ],
)
def test_what_is_missing_or_does_not_work_is_named(
    view_connection_readonly: sa.Connection, statement: str, severity: str, what: str, detail: str
) -> None:
    finding = only(check_after(view_connection_readonly, statement))
    assert (finding.severity, finding.subject) == (severity, what)
    assert detail in finding.problem


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE plain.visit ENABLE ROW LEVEL SECURITY; ALTER ROLE tapdb_owner BYPASSRLS",
        "ALTER TABLE plain.visit ENABLE ROW LEVEL SECURITY; ALTER TABLE plain.visit OWNER TO tapdb_owner",
        "CREATE TABLE plain.mine (); ALTER TABLE plain.mine ENABLE ROW LEVEL SECURITY",
    ],
)
def test_row_security_that_hides_nothing_from_a_view_is_no_finding(
    view_connection_readonly: sa.Connection, statement: str
) -> None:
    assert check_after(view_connection_readonly, statement) == ()


def test_a_refresh_whose_rows_a_policy_would_cut_is_refused(engine: sa.Engine) -> None:
    change(engine, "ALTER TABLE plain.visit ENABLE ROW LEVEL SECURITY")
    kept = "SELECT count(*) FROM tapdb.plain_region"
    with engine.connect() as connection:
        before = connection.exec_driver_sql(kept).scalar_one()
        with pytest.raises(sa.exc.ProgrammingError) as caught:
            refresh_view(connection, find_stored_view(connection, VIEW), rebuild_footprints=True)
        assert isinstance(caught.value.orig, psycopg.Error)
        assert hides_rows(caught.value.orig)
        connection.rollback()
        assert connection.exec_driver_sql(kept).scalar_one() == before > 0


@pytest.mark.parametrize(
    ("relation", "options"),
    [
        ("VIEW ivoa.obscore", "security_barrier = true"),
        ("VIEW ivoa.obscore", "security_barrier = true, security_invoker = true"),
        ("VIEW tapdb.plain_visit_region_source", "security_invoker = on"),
        ("TABLE tapdb.plain_region", "fillfactor = 50, toast.autovacuum_vacuum_threshold = 7"),
    ],
)
def test_the_remedy_for_an_option_takes_it_back(
    view_connection_readonly: sa.Connection, relation: str, options: str
) -> None:
    version = view_connection_readonly.dialect.server_version_info
    assert version is not None
    if "security_invoker" in options and version < (15,):
        return
    found = check_after(view_connection_readonly, f"ALTER {relation} SET ({options})")
    assert found
    for finding in found:
        assert finding.remedy.startswith(f"ALTER {relation} RESET (")
        execute_text(view_connection_readonly, finding.remedy)
    assert check_view(view_connection_readonly, find_stored_view(view_connection_readonly, VIEW)) == ()


def test_an_option_of_a_view_that_is_switched_off_is_no_finding(
    view_connection_readonly: sa.Connection,
) -> None:
    assert check_after(view_connection_readonly, "ALTER VIEW ivoa.obscore SET (security_barrier = off)") == ()


def test_objects_on_butlers_tables_that_an_older_view_lacks_are_named(
    view_connection_readonly: sa.Connection,
) -> None:
    """Revision 0002 and before made indexes and statistics; such a view is checked until it is refreshed."""
    connection = view_connection_readonly
    view = find_stored_view(connection, VIEW)
    assert (view.objects.indexes, view.objects.statistics) == ((), ())
    older = replace(
        view,
        objects=replace(view.objects, indexes=("tapdb_old_idx",), statistics=(("tapdb", "old_statistics"),)),
    )
    assert {(one.severity, one.subject) for one in check_view(connection, older)} == {
        ("error", "index plain.tapdb_old_idx"),
        ("warning", "statistics tapdb.old_statistics"),
    }
    execute_text(
        connection,
        "CREATE INDEX tapdb_old_idx ON plain.visit (day_obs); "
        "CREATE STATISTICS tapdb.old_statistics ON instrument, day_obs FROM plain.visit",
    )
    assert check_view(connection, older) == ()


def test_a_kept_table_and_its_source_that_are_gone_are_drift(view_connection_readonly: sa.Connection) -> None:
    dropped = "DROP VIEW tapdb.plain_visit_region_source"
    source = "view tapdb.plain_visit_region_source"
    for deep in (False, True):
        text = "" if deep else dropped
        assert only(check_after(view_connection_readonly, text, deep=deep)).subject == source
    dropped = "DROP TABLE tapdb.ivoa_obscore_observation CASCADE"
    found = {one.subject for one in check_after(view_connection_readonly, dropped, deep=True)}
    assert {"view ivoa.obscore", "table tapdb.ivoa_obscore_observation", source} <= found
    assert all(one == source or "ivoa" in one for one in found)


ONE_DATASET = "(SELECT dataset_id FROM tapdb.ivoa_obscore_dataset WHERE region IS NOT NULL LIMIT 1)"


@pytest.mark.parametrize(
    ("table", "statement", "problem"),
    [
        (
            "plain_region",
            """
            DELETE FROM tapdb.plain_region
            WHERE key = (SELECT max(key) FROM tapdb.plain_region WHERE key ~ '^v/')
            """,
            "lacks 1 rows",
        ),
        (
            "plain_region",
            """
            UPDATE tapdb.plain_region SET key = key || '0000'
            WHERE key = (SELECT max(key) FROM tapdb.plain_region WHERE key ~ '^v/')
            """,
            "lacks 1 rows and has 1 rows too many",
        ),
        (
            "plain_region",
            """
            UPDATE tapdb.plain_region SET pgs_region = '{(0,0),(0.1,0),(0,0.1)}'
            WHERE key = (SELECT min(key) FROM tapdb.plain_region WHERE key ~ '^d/')
            """,
            "has 1 rows with other values",
        ),
        (
            "ivoa_obscore_observation",
            """
            INSERT INTO tapdb.ivoa_obscore_observation (key)
            SELECT regexp_replace(min(key), '[0-9]+$', '7') FROM tapdb.ivoa_obscore_3_visit_source
            """,
            "has 1 rows too many",
        ),
        (
            "ivoa_obscore_collection",
            "DELETE FROM tapdb.ivoa_obscore_collection WHERE name = 'LSSTCam/runs/without/datasets'",
            "lacks 1 rows",
        ),
        (
            "ivoa_obscore_collection",
            """
            UPDATE tapdb.ivoa_obscore_collection SET name = name || '?'
            WHERE name = 'LSSTCam/runs/without/datasets'
            """,
            "has 1 rows with other values",
        ),
        *(
            ("ivoa_obscore_dataset", f"{change} WHERE dataset_id = {ONE_DATASET}", problem)
            for change, problem in (
                ("DELETE FROM tapdb.ivoa_obscore_dataset", "lacks 1 rows"),
                *(
                    (f"UPDATE tapdb.ivoa_obscore_dataset SET {value}", "has 1 rows with other values")  # noqa: S608
                    for value in ("region = NULL", "t_min = 1", "detector = -1", "observation = -observation")
                ),
            )
        ),
    ],
)
def test_each_way_in_which_a_kept_row_can_be_wrong_is_found_by_a_deep_check_alone(
    view_connection_readonly: sa.Connection, table: str, statement: str, problem: str
) -> None:
    execute_text(view_connection_readonly, EMPTY_RUN)
    assert check_after(view_connection_readonly, statement) == ()
    finding = only(check_after(view_connection_readonly, "", deep=True))
    assert (finding.severity, finding.subject) == ("error", f"table tapdb.{table}")
    assert finding.problem == problem
    assert "--rebuild-footprints" in finding.remedy


def test_a_change_that_could_not_be_followed_is_named_without_comparing_a_row(
    view_connection_readonly: sa.Connection,
) -> None:
    connection = view_connection_readonly
    note = """
        INSERT INTO tapdb.kept_note (registry_schema, relation, event, kept, problem)
        VALUES ('plain', 'visit', 'UPDATE', '{kept}', 'permission denied for schema public')
        """
    for kept, subject in (
        ("ivoa_obscore", "tables tapdb.ivoa_obscore_..."),
        ("plain_region", "regions of the registry plain"),
    ):
        finding = only(check_after(connection, note.format(kept=kept)))
        assert (finding.severity, finding.subject) == ("error", subject)
        assert finding.problem == (
            "could not be brought up to date after UPDATE on visit: permission denied for schema public"
        )
        # It concerns nobody else.
        assert check_view(connection, find_stored_view(connection, "embargo.obscore")) == ()
        connection.rollback()


def test_a_change_that_others_may_have_added_to_is_no_finding(
    view_connection_readonly: sa.Connection,
) -> None:
    note = (
        "INSERT INTO tapdb.kept_note (registry_schema, relation, event) VALUES ('plain', 'visit', 'UPDATE')"
    )
    assert check_after(view_connection_readonly, note, deep=True) == ()


def test_a_refresh_mends_what_a_check_has_found(engine: sa.Engine) -> None:
    change(
        engine,
        "DELETE FROM tapdb.plain_region; DELETE FROM tapdb.ivoa_obscore_observation; "
        "DELETE FROM tapdb.ivoa_obscore_dataset WHERE detector = 94; DELETE FROM tapdb.keeping; "
        "INSERT INTO tapdb.kept_note (registry_schema, relation, event, kept, problem) "
        "VALUES ('plain', 'visit', 'UPDATE', 'ivoa_obscore', 'a'), "
        "('plain', 'visit', 'UPDATE', 'plain_region', 'b');"
        "ALTER TABLE plain.visit DISABLE TRIGGER ALL; DROP VIEW ivoa.obscore",
    )
    assert len(check(engine, deep=True)) > 5
    with engine.begin() as connection:
        for view in read_stored_views(connection):
            refresh_view(connection, view, rebuild_footprints=True)
    assert check(engine, deep=True) == ()


def test_a_refresh_mends_a_kept_table_that_another_view_needs_too(
    view_connection_readonly: sa.Connection,
) -> None:
    connection = view_connection_readonly
    make_test_view(connection, view_config_text("second.obscore"), "plain")
    statement = """
        DELETE FROM tapdb.plain_region WHERE key LIKE 'v/%';
        DROP TRIGGER tapdb_update ON plain.visit
        """
    found = {one.subject for one in check_after(connection, statement, deep=True)}
    assert "table tapdb.plain_region" in found
    refresh_view(connection, find_stored_view(connection, VIEW), rebuild_footprints=True)
    for view in (VIEW, "second.obscore"):
        assert check_view(connection, find_stored_view(connection, view), deep=True) == ()


def test_a_check_needs_no_more_than_to_read(view_pair_readonly: Pair) -> None:
    engine = create_engine(view_pair_readonly.url, read_only=True)
    assert check(engine, deep=True) == ()
    engine.dispose()
