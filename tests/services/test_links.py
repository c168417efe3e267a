"""What ``/datalink/links`` says of datasets and rows, and that clients of the VO can follow it."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from pyvo.dal import TAPService
from pyvo.dal.adhoc import DatalinkResults

from adql.metadata import OutputColumn
from obscore_view.errors import IdentifierError
from obscore_view.identifiers import parse_did
from services.datalink.document import GivenLink, links_document
from tap_query.answer import descriptors_of
from tap_query.jobs.run import JobRequest, answer_query
from tap_query.metadata import read_services
from tap_schema.stored import read_rows, services_of_rows
from tapdb.hooks.descriptions import Link, LinkProvider, load_link_providers, read_dataset_files, read_links
from tapdb.postgres.engine import create_engine
from tests.plugins.service_fixtures import PLAIN, running_service
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.view_fixtures import open_engine
from tests.plugins.web_fixtures import OBJECT, SOURCES, Linked, did, insert, links_of

UNKNOWN_TO_STILTS = "Unknown predicate 'coderived' from core DataLink vocabulary"
"""STILTS 3.4.7 knows the vocabulary of DataLink 1.0; coderived came with VEP-005 in 2020."""


@pytest.fixture(scope="module")
def connection(linked: Linked) -> Iterator[sa.Connection]:
    engine = create_engine(linked.served.database)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def complaints(stilts: Stilts, document: bytes, folder: Path) -> list[str]:
    file = folder / "links.xml"
    file.write_bytes(document)
    found = [*stilts.datalink_errors(file), *stilts.votable_errors(file)]
    return [one for one in found if UNKNOWN_TO_STILTS not in one]


def test_an_image_has_its_file_what_was_derived_beside_it_and_sources(linked: Linked) -> None:
    image = linked.refs["visit_image"][0]
    (other,) = (ref for ref in linked.refs["difference_image"] if ref.dataId == image.dataId)
    this, *rest = linked.get(did(image.id))
    size = linked.file(image).stat().st_size
    assert (this["ID"], this["semantics"], this["content_length"]) == (did(image.id), "#this", str(size))
    assert (this["content_type"], this["local_semantics"]) == ("application/json", "visit_image")
    assert (this["content_qualifier"], this["link_auth"], this["link_authorized"]) == (
        "#image",
        "false",
        "true",
    )
    assert this["access_url"].startswith(f"{linked.served.url}/files/{image.id}?expires=")
    beside = {row["local_semantics"]: row["access_url"] for row in rest if row["semantics"] == "#coderived"}
    assert urlsplit(beside["difference_image"]).path == f"/files/{other.id}"
    derived = {row["local_semantics"]: row["access_url"] for row in rest if row["semantics"] == "#derivation"}
    assert derived.keys() == {"ppdb.DiaSource", "ppdb.DiaForcedSource"}
    answer = httpx.get(derived["ppdb.DiaSource"] + "&RESPONSEFORMAT=csv", verify=PLAIN)
    (source,) = csv.DictReader(answer.text.splitlines())
    assert source["diaSourceId"] == str(SOURCES[0])
    assert {row["semantics"] for row in rest} == {"#coderived", "#derivation"}


def test_a_dataset_with_another_data_id_or_in_no_chain_is_not_beside(linked: Linked) -> None:
    first, second = linked.refs["visit_image"][:2]
    with linked.repository.butler() as butler:
        runs = {"LSSTCam/runs/DRP/20260305T000000Z", "LSSTCam/runs/DRP/20260401T000000Z"}
        wanted = {
            str(ref.id)
            for name in ("visit_image", "difference_image", "image_and_mask")
            for ref in butler.registry.queryDatasets(name, collections=..., dataId=first.dataId)
            if ref.run in runs | {"LSSTCam/prompt/output-2026-03-01"} and ref.id != first.id
        }
    rows = linked.get(did(first.id))
    beside = {
        urlsplit(row["access_url"]).path.split("/")[-1] for row in rows if row["semantics"] == "#coderived"
    }
    assert beside == {one for one in wanted if UUID(one) != second.id}
    assert len(beside) >= 3


def test_a_composite_has_a_file_for_each_component(linked: Linked) -> None:
    (composite,) = linked.refs["composite"]
    rows = [row for row in linked.get(did(composite.id)) if row["semantics"] == "#this"]
    components = [parse_qs(urlsplit(row["access_url"]).query)["component"] for row in rows]
    assert components == [["image"], ["mask"]]


def test_a_deleted_file_is_an_error_row_and_not_beside_others(linked: Linked) -> None:
    (deleted,) = linked.refs["deleted"]
    this, *rest = linked.get(did(deleted.id))
    assert this["error_message"] == "NotFoundFault: the dataset has no file: it was deleted, or never stored"
    assert (this["access_url"], this["content_length"], this["semantics"]) == ("", "", "#this")
    assert all(row["error_message"] == "" and row["access_url"] for row in rest)


def test_a_row_of_a_catalogue_has_its_images_and_sources(linked: Linked) -> None:
    one = f"ivo://org.rubinobs/ppdb?table=ppdb.DiaObject&key={OBJECT}"
    source = f"ivo://org.rubinobs/ppdb?key={SOURCES[1]}&table=ppdb.diasource"
    rows = linked.get(one, quote(source, safe=""), f"{one}1", one.replace("DiaObject", "Nothing"))
    of_object = [row for row in rows if row["ID"] == one]
    images = {row["local_semantics"] for row in of_object if "/files/" in row["access_url"]}
    assert images == {"visit_image", "difference_image", "image_and_mask"}
    with_position = {urlsplit(row["access_url"]).path for row in of_object}
    assert {f"/files/{ref.id}" for ref in linked.refs["visit_image"][:2]} <= with_position
    this = of_object[0]
    assert (this["semantics"], this["local_semantics"]) == ("#this", "ppdb.DiaObject")
    found = httpx.get(this["access_url"] + "&RESPONSEFORMAT=csv", verify=PLAIN).text
    assert str(OBJECT) in found
    of_source = [row for row in rows if row["ID"] == quote(source, safe="")]
    assert f"/files/{linked.refs['visit_image'][1].id}" in {
        urlsplit(row["access_url"]).path for row in of_source
    }
    assert f"/files/{linked.refs['visit_image'][0].id}" not in {
        urlsplit(row["access_url"]).path for row in of_source
    }
    assert [row["error_message"] for row in rows if row["error_message"]] == [
        f"NotFoundFault: ppdb.DiaObject has no row {OBJECT}1",
        "NotFoundFault: no table ppdb.nothing with a key is published",
    ]


FORMS = {
    "as published": "ivo://org.rubinobs/usdac/lsst-demo?repo=demo&id={}",
    "of the release": "ivo://org.rubinobs/lsst-demo?repo=demo&id={}",
    "butler": "butler://demo/{}",
    "another order": "ivo://org.rubinobs/x?more=1&id={}&repo=demo",
    "case of the scheme": "IVO://org.rubinobs/x?repo=demo&id={}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_all_forms_of_an_identifier_mean_the_same_dataset(linked: Linked, form: str) -> None:
    image = linked.refs["visit_image"][0]
    texts = [form.format(image.id), form.format(image.id.hex), form.format(str(image.id).upper())]
    texts += [quote(texts[0], safe="")]
    rows = linked.get(*texts)
    assert [row["ID"] for row in rows if row["semantics"] == "#this"] == texts
    paths = {urlsplit(row["access_url"]).path for row in rows if row["semantics"] == "#this"}
    assert paths == {f"/files/{image.id}"}
    assert {parse_did(text).uuid for text in texts} == {image.id}


MALFORMED = [
    "nonsense",
    "ivo://",
    "ivo://org.rubinobs/x?repo=demo&id=1",
    "ivo://org.rubinobs/x?id=019c2c62-4b56-7f3d-8d30-3a4dd23c5b3c",
    "butler://demo/019c2c62-4b56-7f3d-8d30-3a4dd23c5b3",
    "butler://demo/019c2c62-4b56-7f3d-8d30-3a4dd23c5b3c#x",
    "ivo://a/b?table=ppdb.DiaObject&key=x",
    "ivo://a/b?table=ppdb.DiaObject;DROP&key=1",
    "ivo://a/b?table=ppdb.DiaObject&key=1&key=2",
    "'; DROP TABLE x; --",
    "%00",
    "a\0b",
    "é 日本 <&>\"' \ud83c\udf0c".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\x01",
]


def test_a_hundred_identifiers_have_a_row_each_whatever_they_are(
    linked: Linked, stilts: Stilts, tmp_path: Path
) -> None:
    good = [did(ref.id) for ref in linked.refs["visit_image"]]
    unpublished = [did(ref.id) for ref in linked.refs["unpublished"]]
    known = [*good, *unpublished, did(linked.refs["deleted"][0].id), *MALFORMED]
    dids = [*known, *(did(uuid4()) for _ in range(100 - len(known)))]
    answer = httpx.post(linked.url, data={"id": dids}, verify=PLAIN, timeout=60)
    rows = links_of(answer.content)
    by_id: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_id.setdefault(row["ID"], []).append(row)
    assert len(by_id) == 100
    assert len(unpublished) >= 3
    assert [key for key in by_id if key in dids] == [key for key in dids if key in by_id]
    faults = {key: some[0]["error_message"].split(":")[0] for key, some in by_id.items()}
    assert {faults.pop(one) for one in good} == {""}
    assert {faults.pop(one) for one in unpublished} == {"NotFoundFault"}
    assert {faults.pop(one) for one in dids[len(known) - len(MALFORMED) - 1 :] if parsed(one)} == {
        "NotFoundFault"
    }
    assert set(faults.values()) == {"UsageFault"}
    assert len(faults) == len(MALFORMED)
    assert complaints(stilts, answer.content, tmp_path) == []


def parsed(text: str) -> bool:
    try:
        parse_did(text)
    except IdentifierError:
        return False
    return True


def test_unpublished_and_unknown_datasets_are_answered_alike(linked: Linked) -> None:
    hidden, unknown = linked.get(did(linked.refs["unpublished"][0].id), did(uuid4()))
    assert hidden.pop("ID") != unknown.pop("ID")
    assert hidden == unknown


@pytest.fixture
def changing(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Return a connection whose changes are taken back."""
    with connection.begin() as transaction:
        yield connection
        transaction.rollback()


def test_who_may_not_read_the_views_gets_no_links(linked: Linked, changing: sa.Connection) -> None:
    image = did(linked.refs["visit_image"][0].id)
    providers = load_link_providers().values()
    changing.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
    assert read_links(changing, [image], providers)[0].error_message is None
    changing.exec_driver_sql("RESET ROLE")
    changing.exec_driver_sql(
        "REVOKE SELECT ON ivoa.obscore, untouched.obscore, embargo.obscore FROM tapdb_reader"
    )
    changing.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
    (row,) = read_links(changing, [image], providers)
    assert row.error_message == "NotFoundFault: no published dataset has this identifier"


def test_a_label_of_a_repository_may_have_any_character(changing: sa.Connection, linked: Linked) -> None:
    image = linked.refs["visit_image"][0].id
    definition = changing.scalar(sa.text("SELECT pg_get_functiondef('tapdb.published_datasets'::regproc)"))
    # As a view says whose configuration has this label.
    other = str(definition).replace(
        "v.obs_publisher_did,", "replace(v.obs_publisher_did, ''=demo'', ''=my%%20repo/2''),"
    )
    changing.exec_driver_sql(other.replace("%", "%%"))
    files = read_dataset_files(changing, image)
    assert files is not None
    assert {file.repository for file in files} == {"my repo/2"}


def test_a_row_without_sources_of_its_own_is_linked_beside_others(
    linked: Linked, changing: sa.Connection
) -> None:
    forced = "ivo://org.rubinobs/ppdb?table=ppdb.DiaForcedSource&key=11"
    rows = [f"ivo://org.rubinobs/ppdb?table=ppdb.DiaObject&key={OBJECT}", forced]
    insert(changing, "DiaForcedSource", diaForcedSourceId=11, diaObjectId=OBJECT)
    # A site may publish objects without sources.
    changing.exec_driver_sql('REVOKE SELECT ON ppdb."DiaSource" FROM tapdb_reader')
    changing.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
    image = did(linked.refs["visit_image"][0].id)
    found = read_links(changing, [image, *rows], load_link_providers().values())
    assert {row.error_message for row in found} == {None}
    this = {row.id: row.local_semantics for row in found if row.semantics == "#this"}
    assert [this[row] for row in rows] == ["ppdb.DiaObject", "ppdb.DiaForcedSource"]


def test_a_picture_with_the_same_data_id_is_a_preview(linked: Linked, changing: sa.Connection) -> None:
    changing.exec_driver_sql(
        "UPDATE tapdb.dataset_type_mapping SET access_format = 'image/png' "
        "WHERE dataset_type = 'difference_image'"
    )
    image = linked.refs["visit_image"][0]
    found = read_links(changing, [did(image.id)], load_link_providers().values())
    semantics = {row.local_semantics: row.semantics for row in found if row.content_type == "image/png"}
    assert semantics == {"difference_image": "#preview"}


def test_descriptions_of_services_are_read_alike_for_queries_and_for_jobs(connection: sa.Connection) -> None:
    (service,) = read_services(connection)
    assert services_of_rows(read_rows(connection)) == (service,)
    assert (service.id, service.access_url, len(service.parameters)) == ("links", "/datalink/links", 1)
    column = OutputColumn("x", "char", table="ivoa.ObsCore", column="obs_publisher_did")
    (descriptor,) = descriptors_of([service], [column], "https://example.org/archive")
    assert descriptor.params[0].value == "https://example.org/archive/datalink/links"
    assert descriptors_of([service], [column], "") == ()
    elsewhere = replace(service, access_url="https://example.org/links")
    assert descriptors_of([elsewhere], [column], "")[0].params[0].value == "https://example.org/links"
    connection.rollback()


DOCUMENTS = {
    "none": [],
    "one": [0],
    "bad": ["x", "y"],
    "many": list(range(4)),
}


@pytest.mark.parametrize("wanted", DOCUMENTS.values(), ids=DOCUMENTS)
def test_linters_find_no_error(
    linked: Linked, stilts: Stilts, tmp_path: Path, wanted: list[str | int]
) -> None:
    images = linked.refs["visit_image"]
    dids = [did(images[one].id) if isinstance(one, int) else one for one in wanted]
    answer = httpx.get(linked.url, params={"ID": dids, "MAXREC": "0"}, verify=PLAIN, timeout=60)
    assert complaints(stilts, answer.content, tmp_path) == []
    assert b'<INFO name="standardID" value="ivo://ivoa.net/std/DataLink#links-1.1" />' in answer.content
    assert len({row["ID"] for row in links_of(answer.content)}) == len(dids)


def test_the_linter_would_find_errors(stilts: Stilts, tmp_path: Path) -> None:
    wrong = [Link("a"), Link("b", "http://x", error_message="y"), Link("c", "http://x", semantics="#sibling")]
    found = complaints(stilts, links_document(map(GivenLink, wrong), [], "http://x"), tmp_path)
    assert len([one for one in found if one.startswith("E-")]) >= len(wrong)
    assert any("sibling" in one for one in found)


def test_a_request_that_links_cannot_answer_says_why(linked: Linked) -> None:
    other = httpx.get(linked.url, params={"RESPONSEFORMAT": "fits"}, verify=PLAIN)
    assert (other.status_code, "RESPONSEFORMAT: is another format than links have" in other.text) == (
        400,
        True,
    )
    image = did(linked.refs["visit_image"][0].id)
    same = httpx.get(linked.url, params={"Id": image, "responseFormat": "votable"}, verify=PLAIN)
    assert links_of(same.content)[0]["ID"] == image
    quoted = {"ID": image, "RESPONSEFORMAT": 'application/x-votable+xml; content="datalink"'}
    assert httpx.get(linked.url, params=quoted, verify=PLAIN).status_code == 200
    many = httpx.post(linked.url, data={"ID": [str(one) for one in range(1001)]}, verify=PLAIN)
    assert many.status_code == 400
    more = httpx.post(linked.url, data={"ID": [str(one) for one in range(2001)]}, verify=PLAIN)
    assert (more.status_code, "number of fields is 2000; send less at once" in more.text) == (400, True)


def test_pyvo_follows_links_to_the_bytes_that_butler_has(linked: Linked) -> None:
    image = linked.refs["visit_image"][0]
    results = DatalinkResults.from_result_url(f"{linked.url}?ID={quote(did(image.id), safe='')}")
    (this,) = (row for row in results if row.semantics == "#this")
    assert (this.id, this.content_type) == (did(image.id), "application/json")
    content = httpx.get(this.access_url, verify=PLAIN).content
    assert content == linked.file(image).read_bytes()
    with linked.repository.butler() as butler:
        assert json.loads(content) == butler.get(image)


def test_pyvo_goes_from_a_result_of_tap_to_links(linked: Linked) -> None:
    query = (
        "SELECT TOP 5 obs_id, obs_publisher_did FROM ivoa.ObsCore "
        "WHERE lsst_dataset_type = 'visit_image' ORDER BY 2"
    )
    service = TAPService(linked.served.tap)
    found = service.search(query)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        links = list(found.iter_datalinks())
    assert len(links) == len(found) == 5
    for row, results in zip(found, links, strict=True):
        assert {str(one["ID"]) for one in results} == {row["obs_publisher_did"]}


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("SELECT TOP 2 obs_publisher_did, obs_id FROM ivoa.ObsCore", "votable"),
        ("SELECT TOP 2 o.obs_publisher_did AS x FROM ivoa.ObsCore AS o", "votable/td"),
    ],
)
def test_a_result_has_the_descriptor_if_it_has_the_column(
    linked: Linked, stilts: Stilts, tmp_path: Path, query: str, form: str
) -> None:
    answer = linked.served.sync(query, RESPONSEFORMAT=form)
    assert f'value="{linked.url}"'.encode() in answer.content
    assert b'ref="ivoa_ObsCore_obs_publisher_did"' in answer.content
    file = tmp_path / "result.xml"
    file.write_bytes(answer.content)
    assert stilts.votable_errors(file) == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT obs_id FROM ivoa.ObsCore",
        "SELECT obs_publisher_did || '' AS obs_publisher_did FROM ivoa.ObsCore",
        "SELECT COUNT(obs_publisher_did) AS n FROM ivoa.ObsCore",
    ],
)
def test_a_result_without_the_column_has_no_descriptor(linked: Linked, query: str) -> None:
    answer = linked.served.sync(query)
    assert (answer.status_code, b"adhoc:service" in answer.content) == (200, False)


@pytest.mark.parametrize(("base_url", "is_there"), [("https://example.org/archive", True), ("", False)])
def test_a_result_of_a_job_has_the_descriptor_if_the_url_of_the_service_is_set(
    linked: Linked, monkeypatch: pytest.MonkeyPatch, base_url: str, *, is_there: bool
) -> None:
    monkeypatch.setenv("TAPDB_BASE_URL", base_url)
    query = (("QUERY", "SELECT TOP 1 obs_publisher_did FROM ivoa.ObsCore"),)
    stream = io.BytesIO()
    with open_engine(linked.served.database) as engine, engine.connect() as own:
        answer_query(own, JobRequest(query, {}, 0), stream)
    assert (b'value="https://example.org/archive/datalink/links"' in stream.getvalue()) == is_there
    assert (b"adhoc:service" in stream.getvalue()) == is_there


def test_a_descriptor_leads_where_clients_see_the_service(linked: Linked) -> None:
    with running_service(linked.served.database, base_url="https://example.org/archive") as other:
        answer = other.sync("SELECT TOP 1 obs_publisher_did FROM ivoa.ObsCore")
        assert b'value="https://example.org/archive/datalink/links"' in answer.content
        links = httpx.get(
            f"{other.url}/datalink/links", params={"ID": did(linked.refs["visit_image"][0].id)}, verify=PLAIN
        )
        this, *rest = links_of(links.content)
        assert this["error_message"] == 'FatalFault: the service has no files of the repository "demo"'
        assert {urlsplit(row["access_url"]).netloc for row in rest} == {"example.org"}
        assert {row["semantics"] for row in rest} == {"#derivation"}


def test_links_say_what_they_can_do(linked: Linked, stilts: Stilts, tmp_path: Path) -> None:
    for name, root in (("capabilities", "Capabilities"), ("availability", "Availability")):
        answer = httpx.get(f"{linked.served.url}/datalink/{name}", verify=PLAIN)
        file = tmp_path / f"{name}.xml"
        file.write_bytes(answer.content)
        kind = f"{{http://www.ivoa.net/xml/VOSI{root}/v1.0}}{name}"
        assert stilts.schema_errors(file, kind) == []
    text = httpx.get(f"{linked.served.url}/datalink/capabilities", verify=PLAIN).text
    assert 'standardID="ivo://ivoa.net/std/DataLink#links-1.1"' in text
    assert f">{linked.url}<" in text


def test_links_of_later_parts_are_absent_until_a_package_registers(linked: Linked) -> None:
    assert set(load_link_providers()) == {"obscore", "ppdb", "provenance"}
    images = [did(ref.id) for ref in linked.refs["visit_image"]]
    rows = linked.get(*images, *(did(ref.id) for some in linked.refs.values() for ref in some))
    assert {row["semantics"] for row in rows} == {"#this", "#coderived", "#derivation"}
    assert {row["service_def"] for row in rows} == {""}


PACKAGE = """
from tapdb.hooks.descriptions import LINKS_TABLE, LinkProvider, ParameterDescription, ServiceDescription
SERVICE = ServiceDescription(
    id="cutout", schema=LINKS_TABLE[0], table=LINKS_TABLE[1], access_url="/cutout",
    standard_id="ivo://ivoa.net/std/SODA#sync-1.0",
    parameters=(
        ParameterDescription(name="ID", column="ID"),
        ParameterDescription(name="CIRCLE", datatype="double", arraysize="3"),
    ),
)
LINKS = LinkProvider(link="cutouts.link", services=(SERVICE,))
"""
FUNCTION = """
CREATE SCHEMA cutouts;
CREATE FUNCTION cutouts.link(targets jsonb) RETURNS TABLE (
  number integer, access_url text, service_def text, error_message text, semantics text, description text,
  content_type text, content_length bigint, content_qualifier text, local_semantics text)
LANGUAGE sql STABLE AS $$
  SELECT (t ->> 'number')::integer, NULL, 'cutout', NULL, '#cutout', 'Cutout', 'application/fits',
    NULL::bigint, NULL, NULL
  FROM jsonb_array_elements(targets) t WHERE t ->> 'kind' = 'dataset'
  UNION ALL SELECT (t ->> 'number')::integer, NULL, 'nowhere', NULL, '#proc', NULL, NULL, NULL, NULL, NULL
  FROM jsonb_array_elements(targets) t WHERE t ->> 'kind' = 'row' $$;
GRANT USAGE ON SCHEMA cutouts TO tapdb_reader;
"""


def test_a_package_that_registers_adds_its_rows_and_descriptors(
    linked: Linked,
    connection: sa.Connection,
    monkeypatch: pytest.MonkeyPatch,
    stilts: Stilts,
    tmp_path: Path,
) -> None:
    facts = tmp_path / "cutouts-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: cutouts\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[tapdb.links]\ncutouts = cutouts_package:LINKS\n")
    (tmp_path / "cutouts_package.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    image = did(linked.refs["visit_image"][0].id)
    row = f"ivo://org.rubinobs/ppdb?table=ppdb.DiaObject&key={OBJECT}"
    connection.exec_driver_sql(FUNCTION)
    connection.commit()
    try:
        with running_service(linked.served.database) as other:
            answer = httpx.get(f"{other.url}/datalink/links", params={"ID": [image, row]}, verify=PLAIN)
    finally:
        connection.exec_driver_sql("DROP SCHEMA cutouts CASCADE")
        connection.commit()
    rows = links_of(answer.content)
    assert [
        one["ID"] for one in rows if one["service_def"] == "cutout" and one["semantics"] == "#cutout"
    ] == [image]
    assert [one["error_message"] for one in rows if one["semantics"] == "#proc"] == [
        "FatalFault: the service nowhere has no descriptor"
    ]
    assert b'ID="cutout"' in answer.content
    assert f'value="{other.url}/cutout"'.encode() in answer.content
    assert b'name="ID" datatype="char" arraysize="*" value="" ref="ID"' in answer.content
    assert complaints(stilts, answer.content, tmp_path) == []


def test_a_function_that_is_missing_is_a_fault_of_the_service(
    linked: Linked, connection: sa.Connection
) -> None:
    missing = LinkProvider(identify="nowhere.identify")
    with connection.begin() as transaction:
        with pytest.raises(
            sa.exc.ProgrammingError, match=r"there is no function nowhere.identify\(text\[\]\)"
        ):
            read_links(connection, ["x"], [missing])
        transaction.rollback()


def test_links_end_after_the_time_that_a_query_has(linked: Linked) -> None:
    row = f"ivo://org.rubinobs/ppdb?table=ppdb.DiaObject&key={OBJECT}"
    with (
        running_service(linked.served.database, max_seconds=1) as other,
        open_engine(linked.served.database) as engine,
        engine.begin() as connection,
    ):
        connection.exec_driver_sql('LOCK TABLE ppdb."DiaObject" IN ACCESS EXCLUSIVE MODE')
        answer = httpx.get(f"{other.url}/datalink/links", params={"ID": row}, verify=PLAIN, timeout=20)
    assert (answer.status_code, "took longer than the time limit" in answer.text) == (400, True)
