"""What is not released yet: users of the group see it through every door, and others learn nothing of it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from lsst.daf.butler import DatasetRef
from starlette.requests import HTTPConnection

from examples.lsstcam import Pair, Repository
from examples.lsstcam.layout import FIRST_RUN
from examples.lsstcam.pair import clone_repository
from obscore_view.view.make import drop_view
from obscore_view.view.store import read_stored_views
from ppdb_replay import capture
from ppdb_replay.query_store.store import store_query
from ppdb_replay.tables import read_schema, with_system_columns
from ppdb_replay.versions.install import create_tables, install
from prompt_products.coverage.keeping import PUBLISHED, keep, rebuild
from services.errors import UnauthenticatedError
from services.identity import Authenticator, read_groups
from services.settings import ServiceSettings
from tap_schema.assemble import assemble
from tap_schema.datalink import read_services
from tap_schema.publish import publish
from tapdb.cli.root import main
from tapdb.errors import SettingsError
from tapdb.postgres.engine import create_engine
from tapdb.server.environment import client_environment
from tests.plugins.service_fixtures import PLAIN, Served, running_service
from tests.plugins.view_fixtures import make_test_view, view_config_text
from tests.plugins.web_fixtures import LABEL, did, insert, links_of

TOKENS = {"alice": "a-token-of-alice-0001", "bob": "a-token-of-bob-000002"}
ROLE = "tapdb_test_unreleased"
MJD_ZERO = dt.datetime(1858, 11, 17)  # noqa: DTZ001
NEVER = dt.datetime(9999, 1, 1)  # noqa: DTZ001  UTC, as dates of release
FULL = "SELECT registry_dataset_id, lsst_visit, s_ra, s_region, obs_id, obs_release_date FROM inner_.obscore"


@dataclass(frozen=True)
class World:
    """A service of which Alice sees all, and Bob what is released."""

    served: Served
    engine: sa.Engine
    repository: Repository
    jobs: Path
    settings: dict[str, Any]

    def get(self, user: str, path: str, **parameters: Any) -> httpx.Response:
        """Send a GET as a user; "" is nobody."""
        return self._send("GET", user, path, params=parameters or None)

    def post(self, user: str, path: str, **form: Any) -> httpx.Response:
        """Send a form as a user."""
        return self._send("POST", user, path, data=form)

    def _send(self, method: str, user: str, path: str, **content: Any) -> httpx.Response:
        url = path if "://" in path else f"{self.served.url}/{path}"
        headers = {"Authorization": f"Bearer {TOKENS[user]}"} if user else {}
        return httpx.request(method, url, headers=headers, verify=PLAIN, timeout=60, **content)

    def query(self, user: str, query: str) -> httpx.Response:
        """Send a query of TAP."""
        return self.get(user, "tap/sync", LANG="ADQL", QUERY=query, RESPONSEFORMAT="csv")

    def rows(self, user: str, query: str) -> list[dict[str, str]]:
        """Return the rows of a query."""
        answer = self.query(user, query)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))

    def all_rows(self) -> list[Any]:
        """Return all rows as the database has them: the oracle."""
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(FULL))

    def hidden(self) -> list[Any]:
        """Return the rows that Bob is not to see."""
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        return [row for row in self.all_rows() if (row.obs_release_date or NEVER) > now]

    def this(self, user: str, ref: DatasetRef) -> dict[str, str]:
        """Return the first link of a dataset."""
        answer = self.post(user, "datalink/links", ID=did(ref.id))
        assert answer.status_code == 200, answer.text
        return links_of(answer.content)[0]

    def image(self, visit: int) -> DatasetRef:
        """Return a visit image."""
        where = {"instrument": "LSSTCam", "visit": visit}
        with self.repository.butler() as butler:
            found = butler.registry.queryDatasets("visit_image", collections=FIRST_RUN, dataId=where)
            return min(found, key=lambda ref: ref.dataId["detector"])


def hours_since(time: dt.datetime) -> float:
    return (dt.datetime.now(dt.UTC).replace(tzinfo=None) - time) / dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def world(
    view_template: Pair,
    clone_for_session: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Return a service over visits of which some are released: the boundary lies among them."""
    url = clone_for_session(str(view_template.url.database))
    root = tmp_path_factory.mktemp("release")
    repository = clone_repository(view_template.plain, url, root / "plain")
    times = sorted({one.begin_tai_ns for one in repository.content.pointings})
    middle = dt.datetime.fromtimestamp(times[len(times) // 2] / 1e9 - 37, dt.UTC).replace(tzinfo=None)
    hours = hours_since(middle)
    rules = [
        "{instrument: LATISS, hours: 0}",
        "{on_sky: false, hours: 0}",
        "{dataset_type: deep_coadd, date: 2026-01-01}",
        f"{{hours: {hours}}}",
    ]
    release = (
        f"{{view: ivoa.ObsCore, readers: [{ROLE}], embargo: [{', '.join(rules)}], "
        "data_rights: {before: proprietary, after: secure}}"
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} NOLOGIN")
        connection.exec_driver_sql(f"GRANT tapdb_reader TO {ROLE}")
        for view in read_stored_views(connection):
            drop_view(connection, view)
        make_test_view(connection, view_config_text("inner_.ObsCore", release=release), "plain")
        create_tables(connection, with_system_columns(read_schema()))
        install(connection)
        rebuild(connection, keep(connection, "inner_.obscore"))
        for number, pointing in enumerate(repository.content.pointings):
            insert(connection, "DiaSource", diaSourceId=number, visit=pointing.id, detector=90)
        services = read_services(["resource://obscore_view/links.yaml"])
        publish(connection, assemble(connection, [], services=services).rows)
    (root / "tokens").write_text("".join(f"{user} {token}\n" for user, token in TOKENS.items()))
    (root / "groups.yaml").write_text("alice: [g_rubin]\n")
    settings = {
        "auth": "token",
        "token_file": root / "tokens",
        "group_file": root / "groups.yaml",
        "group_roles": f"g_rubin={ROLE}",
        "datastores": f"{LABEL}={repository.root}",
    }
    patch = pytest.MonkeyPatch()
    patch.setenv("TAPDB_JOBS_DIRECTORY", str(root / "jobs"))
    try:
        with running_service(url, **settings) as served:
            yield World(served, engine, repository, root / "jobs", settings)
    finally:
        patch.undo()
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
        engine.dispose()


def test_users_of_the_group_see_all_rows_and_others_those_that_are_released(world: World) -> None:
    everything, hidden = world.all_rows(), world.hidden()
    assert len(everything) > len(hidden) > 10
    query = "SELECT registry_dataset_id, data_rights, obs_release_date FROM ivoa.ObsCore"
    alice, bob = world.rows("alice", query), world.rows("bob", query)
    known = {str(row.registry_dataset_id) for row in everything}
    released = known - {str(row.registry_dataset_id) for row in hidden}
    assert {row["registry_dataset_id"] for row in alice} == known
    assert {row["registry_dataset_id"] for row in bob} == released
    assert {row["data_rights"] for row in bob} == {"secure"}
    rights = {row["registry_dataset_id"]: row["data_rights"] for row in alice}
    assert {one for one, said in rights.items() if said == "proprietary"} == known - released
    for user, count in (("alice", len(known)), ("bob", len(released))):
        assert world.rows(user, "SELECT COUNT(*) AS n FROM ivoa.ObsCore") == [{"n": str(count)}]


def test_rules_by_instrument_sky_and_dataset_type_decide_the_date(world: World) -> None:
    query = "SELECT instrument_name, lsst_dataset_type, t_max, obs_release_date FROM ivoa.ObsCore"
    rows = world.rows("alice", query)
    coadds = {row["obs_release_date"] for row in rows if row["lsst_dataset_type"] == "deep_coadd"}
    assert {date[:10] for date in coadds} == {"2026-01-01"}
    without = {row["lsst_dataset_type"] for row in rows if not row["obs_release_date"]}
    # No rule fits what has no time: it is never public.
    assert {"object_table_tract", "filter_coadd"} <= without
    latiss = [row for row in rows if row["instrument_name"] == "LATISS"]
    assert latiss
    for row in latiss:
        end = MJD_ZERO + dt.timedelta(days=float(row["t_max"]))
        assert abs(end - dt.datetime.fromisoformat(row["obs_release_date"])) < dt.timedelta(seconds=1)
    with world.engine.connect() as connection:
        dark = connection.exec_driver_sql(
            "SELECT v.t_max, v.obs_release_date FROM inner_.obscore v "
            "JOIN plain.exposure e ON e.id = v.lsst_exposure AND e.instrument = v.instrument_name "
            "WHERE NOT e.can_see_sky AND v.t_max IS NOT NULL"
        ).all()
    assert dark
    assert {row.obs_release_date.isoformat() < "2026-06-01" for row in dark} == {True}


def some_hidden(world: World) -> Any:
    """Return a row that Bob is not to know of, with a position and an image."""
    return next(row for row in world.hidden() if row.s_ra is not None and row.lsst_visit is not None)


def test_a_search_of_sia_shows_what_the_user_may_see(world: World) -> None:
    row = some_hidden(world)
    with world.engine.connect() as connection:
        dec = connection.exec_driver_sql(
            "SELECT s_dec FROM inner_.obscore WHERE registry_dataset_id = %s", (row.registry_dataset_id,)
        ).scalar_one()
    for path, given in (
        ("sia/query", {"POS": f"CIRCLE {row.s_ra} {dec} 0.01"}),
        ("sia/query", {"ID": did(row.registry_dataset_id)}),
    ):
        said = {user: world.get(user, path, RESPONSEFORMAT="csv", **given) for user in TOKENS}
        assert {one.status_code for one in said.values()} == {200}, path
        assert str(row.registry_dataset_id) in said["alice"].text, path
        assert str(row.registry_dataset_id) not in said["bob"].text, path
        assert row.obs_id not in said["bob"].text, path


def test_links_and_files_of_what_is_not_released_are_for_the_group_and_not_signed(world: World) -> None:
    image = world.image(some_visit(world, is_hidden=True))
    mine = world.this("alice", image)
    assert (mine["link_auth"], mine["link_authorized"]) == ("true", "true")
    assert urlsplit(mine["access_url"]).query == ""
    theirs, unknown = world.this("bob", image), world.get("bob", "datalink/links", ID=did(image.id.hex[::-1]))
    assert theirs["error_message"] == "NotFoundFault: no published dataset has this identifier"
    assert theirs["access_url"] == theirs["description"] == theirs["content_length"] == ""
    assert "NotFoundFault: no published dataset has this identifier" in unknown.text
    with world.repository.butler() as butler:
        content = Path(butler.getURI(image).ospath).read_bytes()
    given = world.get("alice", mine["access_url"])
    assert (given.status_code, given.content, "location" in given.headers) == (200, content, False)
    for user, status in (("bob", 404), ("", 401)):
        refused = world.get(user, mine["access_url"])
        assert (refused.status_code, content in refused.content) == (status, False)
        assert "signature" not in str(refused.headers) + refused.text


def test_what_is_released_is_signed_for_everybody(world: World) -> None:
    image = world.image(some_visit(world, is_hidden=False))
    for user in TOKENS:
        link = world.this(user, image)
        assert "signature=" in link["access_url"]
        assert world.get("", link["access_url"]).status_code == 200


def some_visit(world: World, *, is_hidden: bool) -> int:
    """Return a visit of LSSTCam whose images are, or are not, hidden from Bob."""
    visits = [one.id for one in world.repository.content.pointings if one.instrument == "LSSTCam"]
    hidden = {row.lsst_visit for row in world.hidden()}
    return next(one for one in visits if (one in hidden) == is_hidden)


def test_identifiers_pages_and_data_ids_say_nothing_of_it(world: World) -> None:
    image = world.image(some_visit(world, is_hidden=True))
    data_id = {"instrument": "LSSTCam", "visit": image.dataId["visit"], "detector": image.dataId["detector"]}
    paths: list[tuple[str, dict[str, Any]]] = [
        ("identifiers/data-ids", {"ID": did(image.id)}),
        ("identifiers/dids", {"dataset_type": "visit_image", "run": FIRST_RUN, **data_id}),
        ("images", {"ID": did(image.id)}),
    ]
    for path, given in paths:
        alice, bob = world.get("alice", path, **given), world.get("bob", path, **given)
        assert (alice.status_code, str(image.dataId["visit"]) in alice.text) == (200, True), path
        told = bob.text.replace(did(image.id), "")
        assert not {FIRST_RUN, "visit_image"} & set(told.split('"')), path
        assert str(image.id) not in told or path != "identifiers/dids"
        assert bob.status_code in {200, 404}, path


# Each fails on rows of the one place or visit that is hidden, if it is computed there.
PLACE, VISIT = "1.0E300 / (ABS({a}s_ra - {ra}) + 1.0E-300) > 0", "ABS(lsst_visit - {visit})"
COMPUTED = PLACE.removesuffix(" > 0")
FAILING = {
    "overflow": f"ivoa.ObsCore WHERE (9223372036854775807 - {VISIT}) + 1 <> 0",
    "overflow of the place": f"ivoa.ObsCore WHERE {PLACE}",
    "of a derived table": f"(SELECT * FROM ivoa.ObsCore) AS b WHERE {PLACE}",  # noqa: S608
    "of a computed table": f"(SELECT {COMPUTED} AS x FROM ivoa.ObsCore) AS b WHERE x > 0",  # noqa: S608
    "of a subquery": f"ivoa.ObsCore WHERE obs_id IN (SELECT obs_id FROM ivoa.ObsCore WHERE {PLACE})",  # noqa: S608
    "of a join": f"ivoa.ObsCore AS a JOIN ivoa.ObsCore AS b ON a.obs_id = b.obs_id AND {PLACE}",
    "of groups": f"ivoa.ObsCore GROUP BY s_ra HAVING {PLACE}",
}


@pytest.mark.parametrize("source", FAILING.values(), ids=FAILING)
def test_an_error_tells_nothing_of_a_hidden_row(world: World, source: str) -> None:
    row = some_hidden(world)
    alias = "a." if " AS a " in source else ""
    query, elsewhere = (
        f"SELECT COUNT(*) AS n FROM {source.format(visit=visit, ra=repr(ra), a=alias)}"  # noqa: S608
        for visit, ra in ((row.lsst_visit, row.s_ra), (1, 999.5))
    )
    bob = world.query("bob", query)
    assert bob.status_code == 200, bob.text
    assert sorted(world.query("bob", elsewhere).text.split()) == sorted(bob.text.split())
    assert world.query("alice", query).status_code == 400
    assert world.query("alice", elsewhere).status_code == 200


def test_what_is_computed_for_the_result_fails_on_no_hidden_row(world: World) -> None:
    row = some_hidden(world)
    computed = COMPUTED.format(ra=repr(row.s_ra), a="")
    query = f"SELECT {computed} AS x FROM ivoa.ObsCore ORDER BY {computed}"  # noqa: S608
    assert world.query("bob", query).status_code == 200
    assert world.query("alice", query).status_code == 400


@pytest.mark.parametrize("table", PUBLISHED)
def test_what_is_counted_of_all_rows_is_for_the_group(world: World, table: str) -> None:
    query = f"SELECT COUNT(*) AS n FROM ivoa.{table}"  # noqa: S608
    counts = {user: int(world.rows(user, query)[0]["n"]) for user in TOKENS}
    assert counts["bob"] == 0
    assert counts["alice"] > 0 or table in {"template_coverage", "last_night"}


def test_no_plan_is_shown_of_what_hides_rows(world: World) -> None:
    query = f"SELECT obs_id FROM ivoa.ObsCore WHERE lsst_visit = {some_hidden(world).lsst_visit}"  # noqa: S608
    bob = world.post("bob", "page/plan", QUERY=query).json()
    assert (bob["ok"], bob["problem"]) == (
        False,
        "No plan is shown of a table with rows that are not released yet.",
    )
    assert world.post("alice", "page/plan", QUERY=query).json()["ok"]
    assert world.get("bob", "tables").status_code == 200
    assert str(len(world.all_rows())) not in world.get("bob", "tables").text


def test_a_job_runs_in_the_role_of_its_user(world: World) -> None:
    query = "SELECT COUNT(*) AS n FROM ivoa.ObsCore"
    made = {
        user: world.post(
            user, "tap/async", LANG="ADQL", QUERY=query, PHASE="RUN", RESPONSEFORMAT="csv"
        ).headers["location"]
        for user in TOKENS
    }
    environment = client_environment(world.served.database) | {
        "TAPDB_JOBS_DIRECTORY": str(world.jobs),
        "TAPDB_GROUP_ROLES": world.settings["group_roles"],
    }
    done = CliRunner().invoke(main, ["queue", "work", "--no-wait"], env=environment)
    assert done.exit_code == 0, done.output
    counts = {
        user: int(world.get(user, f"{url}/results/result").text.split()[1]) for user, url in made.items()
    }
    assert counts == {"alice": len(world.all_rows()), "bob": len(world.all_rows()) - len(world.hidden())}
    assert world.get("bob", f"{made['alice']}/results/result").status_code == 404


def test_a_row_appears_when_its_time_has_come_without_anything_being_done(world: World) -> None:
    visit = some_visit(world, is_hidden=True)
    image = world.image(visit)
    query = (
        f"SELECT obs_id FROM ivoa.ObsCore WHERE lsst_dataset_type = 'visit_image' AND lsst_visit = {visit}"  # noqa: S608
    )
    shift = sa.text(
        "UPDATE plain.visit SET timespan = int8range(lower(timespan) + :by, upper(timespan) + :by) "
        "WHERE id = :id"
    )
    month = {"by": 30 * 24 * 3600 * 10**9, "id": visit}
    assert world.rows("bob", query) == []
    # The same visit, a month older: its time has come.
    with world.engine.begin() as connection:
        connection.execute(shift, month | {"by": -month["by"]})
    try:
        assert len(world.rows("bob", query)) == len(world.rows("alice", query)) > 0
        assert "signature=" in world.this("bob", image)["access_url"]
    finally:
        with world.engine.begin() as connection:
            connection.execute(shift, month)
    assert world.rows("bob", query) == []
    assert world.this("bob", image)["error_message"].startswith("NotFoundFault")


def test_readers_of_the_database_itself_see_no_more(world: World) -> None:
    with world.engine.connect() as connection:
        connection.exec_driver_sql("SET ROLE tapdb_reader")
        shown = connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore").scalar_one()
        assert 0 < shown < len(world.all_rows())
        for setting in ("infinity", "2099-01-01"):
            connection.exec_driver_sql(f"SET tapdb.release_instant = '{setting}'")
            assert connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore").scalar_one() == shown
        connection.exec_driver_sql("SET tapdb.release_instant = '2000-01-01'")
        assert connection.exec_driver_sql("SELECT count(*) FROM ivoa.obscore").scalar_one() == 0
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.exec_driver_sql("SELECT count(*) FROM inner_.obscore")


def test_the_index_on_regions_serves_what_is_released(world: World) -> None:
    query = "SELECT obs_id FROM ivoa.ObsCore WHERE INTERSECTS(s_region, CIRCLE(53.13, -28.1, 0.1)) = 1"
    with world.engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off; SET ROLE tapdb_reader")
        plan = connection.exec_driver_sql(
            "EXPLAIN SELECT obs_id FROM ivoa.obscore "
            "WHERE pgs_region && scircle(spoint(radians(53.13), radians(-28.1)), radians(0.1))"
        ).scalars()
        assert "pgs_region_idx" in "\n".join(plan)
    assert world.query("bob", query).status_code == 200


def test_what_becomes_public_in_the_next_hours_is_listed(world: World) -> None:
    environment = client_environment(world.served.database)
    command = ["obscore", "releases", "--format", "json", "--hours"]
    counts = []
    for hours in (1.0, 8000.0):
        done = CliRunner().invoke(main, [*command, str(hours)], env=environment)
        assert done.exit_code == 0, done.output
        end = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=hours)
        found = json.loads(done.stdout)
        counts.append(sum(row["datasets"] for row in found))
        assert counts[-1] == sum((row.obs_release_date or NEVER) <= end for row in world.hidden())
    assert counts[1] > 0


JOINED = (
    "SELECT o.obs_id, s.diaSourceId FROM ivoa.ObsCore AS o "
    "JOIN ppdb.DiaSource AS s ON s.visit = o.lsst_visit WHERE o.lsst_visit = {visit}"
)


def test_a_result_is_made_again_for_the_user_who_asks(world: World) -> None:
    visit = some_visit(world, is_hidden=True)
    sent = {user: world.query(user, JOINED.format(visit=visit)) for user in TOKENS}
    rows = {user: len(answer.text.split()) - 1 for user, answer in sent.items()}
    shown = world.rows("bob", f"SELECT obs_id FROM ivoa.ObsCore WHERE lsst_visit = {visit}")  # noqa: S608
    assert rows["bob"] == len(shown) < rows["alice"]
    address = sent["alice"].headers["link"].partition(">")[0].removeprefix("<")
    for user, count in rows.items():
        again = world.get(user, f"{address}/result?RESPONSEFORMAT=csv")
        assert (again.status_code, len(again.text.split()) - 1) == (200, count)
        record = world.get(user, address).json()
        assert (record["row_count"], record["guarantee"]["level"]) == (count, "partial")


def test_a_stored_record_over_hidden_rows_is_for_the_group(world: World) -> None:
    query = JOINED.format(visit=some_visit(world, is_hidden=True))
    published = world.served.service.databases[ROLE].publication().metadata
    target = world.served.database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(target, autocommit=True) as connection:
        record = capture(connection, query, max_rows=1000, published=published).record
        pid = store_query(connection, record, published=published).pid
    for path in (f"replay/{pid}", f"replay/{pid}/result", f"replay/{pid}/changes", f"results?ID={pid}"):
        bob, alice = world.get("bob", path), world.get("alice", path)
        assert (alice.status_code, bob.status_code) == (200, 403), path
        assert record.digest not in bob.text
        assert "may hold rows that are not released for you" in bob.text


def test_a_query_that_is_recorded_tells_nothing_by_an_error(world: World) -> None:
    row = some_hidden(world)
    condition = PLACE.format(a="o.", ra=repr(row.s_ra))
    query = f"{JOINED.partition(' WHERE')[0]} AND {condition}"
    assert (world.query("bob", query).status_code, world.query("alice", query).status_code) == (200, 400)


def test_groups_come_from_the_proxy_once_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "groups.yaml"
    file.write_text("alice: [a, b]\n")
    assert read_groups(file) == {"alice": {"a", "b"}}
    who = Authenticator(ServiceSettings(auth="proxy", group_file=file))
    name, groups = (b"x-auth-request-user", b"alice"), b"x-auth-request-groups"

    def groups_of(*headers: tuple[bytes, bytes], trusted: bool = True) -> frozenset[str]:
        scope = {"type": "http", "headers": [name, *headers], "client": None, "tapdb.trusted": trusted}
        return who.user(HTTPConnection(scope)).groups

    assert groups_of() == {"a", "b"}
    assert groups_of((groups, b"c, d,")) == {"a", "b", "c", "d"}
    assert groups_of((groups, b"c"), (groups, b"d")) == {"a", "b"}
    with pytest.raises(UnauthenticatedError):
        groups_of((groups, b"c"), trusted=False)
    for text in ("alice: a\n", "[x]", "a: [", "alice: [1, {}]"):
        file.write_text(text)
        with pytest.raises(SettingsError, match="TAPDB_GROUP_FILE"):
            read_groups(file)
