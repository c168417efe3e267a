"""What the service says of itself is valid, is true, and is what clients of the VO want to read."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import httpx
import pytest
import sqlalchemy as sa
from pyvo.dal import TAPService

from services.settings import ServiceSettings
from tapdb.postgres.engine import create_engine
from tests.plugins.service_fixtures import Serve, Served, service_process
from tests.plugins.stilts_fixtures import Stilts

TAP = "{http://www.ivoa.net/xml/VOSI%s/v1.0}%s"
ALLOWED = {
    "F-LOC-NOTP": "ivoa.obsplan is not published",
}
"""What taplint may find, with the reason."""

# A query for each feature that capabilities name; %s is the feature.
QUERIES = {
    "AREA": "SELECT AREA(s_region) AS v FROM ivoa.ObsCore",
    "BOX": "SELECT COUNT(*) AS v FROM ivoa.ObsCore WHERE CONTAINS(POINT(s_ra, s_dec), BOX(0, 0, 1, 1)) = 1",
    "CENTROID": "SELECT CENTROID(s_region) AS v FROM ivoa.ObsCore",
    "CIRCLE": "SELECT CIRCLE(s_ra, s_dec, 1) AS v FROM ivoa.ObsCore",
    "CONTAINS": "SELECT COUNT(*) AS v FROM ivoa.ObsCore WHERE CONTAINS(POINT(0, 0), s_region) = 1",
    "COORD1": "SELECT COORD1(POINT(s_ra, s_dec)) AS v FROM ivoa.ObsCore",
    "COORD2": "SELECT COORD2(POINT(s_ra, s_dec)) AS v FROM ivoa.ObsCore",
    "COORDSYS": "SELECT COORDSYS(POINT(s_ra, s_dec)) AS v FROM ivoa.ObsCore",
    "DISTANCE": "SELECT DISTANCE(POINT(s_ra, s_dec), POINT(0, 0)) AS v FROM ivoa.ObsCore",
    "INTERSECTS": "SELECT COUNT(*) AS v FROM ivoa.ObsCore WHERE INTERSECTS(CIRCLE(0, 0, 1), s_region) = 1",
    "POINT": "SELECT POINT(s_ra, s_dec) AS v FROM ivoa.ObsCore",
    "POLYGON": "SELECT COUNT(*) AS v FROM ivoa.ObsCore "
    "WHERE CONTAINS(POINT(s_ra, s_dec), POLYGON(0, 0, 1, 0, 1, 1)) = 1",
    "REGION": "SELECT COUNT(*) AS v FROM ivoa.ObsCore "
    "WHERE CONTAINS(POINT(s_ra, s_dec), REGION('CIRCLE ICRS 0 0 1')) = 1",
    "LOWER": "SELECT LOWER(obs_id) AS v FROM ivoa.ObsCore",
    "UPPER": "SELECT UPPER(obs_id) AS v FROM ivoa.ObsCore",
    "ILIKE": "SELECT obs_id FROM ivoa.ObsCore WHERE obs_id ILIKE 'mc%'",
    "UNION": "SELECT obs_id FROM ivoa.ObsCore UNION SELECT obs_id FROM ivoa.ObsCore",
    "EXCEPT": "SELECT obs_id FROM ivoa.ObsCore EXCEPT SELECT obs_id FROM ivoa.ObsCore",
    "INTERSECT": "SELECT obs_id FROM ivoa.ObsCore INTERSECT SELECT obs_id FROM ivoa.ObsCore",
    "WITH": "WITH few AS (SELECT TOP 2 obs_id FROM ivoa.ObsCore) SELECT * FROM few",
    "CAST": "SELECT CAST(calib_level AS VARCHAR) AS v FROM ivoa.ObsCore",
    "IN_UNIT": "SELECT IN_UNIT(t_exptime, 'min') AS v FROM ivoa.ObsCore",
    "OFFSET": "SELECT obs_id FROM ivoa.ObsCore ORDER BY obs_id OFFSET 2",
    "scisql_nanojanskyToAbMag": "SELECT scisql_nanojanskyToAbMag(t_exptime) AS v FROM ivoa.ObsCore",
    "scisql_nanojanskyToAbMagSigma": "SELECT scisql_nanojanskyToAbMagSigma(t_exptime, 1) AS v "
    "FROM ivoa.ObsCore",
}


@pytest.fixture(scope="module")
def capabilities(served: Served) -> Element:
    return fromstring(served.get("capabilities").content)  # noqa: S314 - our own document


def test_taplint_finds_no_error_and_no_warning_without_a_reason(
    obscore_and_ppdb: sa.URL, stilts: Stilts
) -> None:
    """The tables of a PPDB and of its versions are looked at too, and queries over them have records."""
    with service_process(obscore_and_ppdb, "--jobs", "here") as (_, url):
        told = httpx.get(f"{url}/tap/tables", params={"detail": "min"}, timeout=60).text
        assert "<name>ppdb.DiaObject</name>" in told
        assert "<name>ivoa.ObsCore</name>" in told
        report = stilts.taplint(f"{url}/tap")
    codes = {line[:10]: line for line in report if re.match(r"[EFW]-[A-Z0-9]{3}-", line)}
    assert [line for code, line in codes.items() if code not in ALLOWED] == []
    # The stages were run, not left out for want of a document.
    assert any(line.startswith("Totals: ") for line in report), report


def test_taplint_would_see_a_service_that_is_not_there(stilts: Stilts) -> None:
    report = stilts.taplint("http://127.0.0.1:9/tap", "CPV", "CAP")
    assert any(re.match("[EF]-", line) for line in report), report


@pytest.mark.parametrize(
    ("path", "kind", "tag"),
    [
        ("capabilities", "Capabilities", "capabilities"),
        ("availability", "Availability", "availability"),
        ("tables", "Tables", "tableset"),
        ("tables?detail=min", "Tables", "tableset"),
        ("tables/ivoa.ObsCore", "Tables", "table"),
    ],
)
def test_documents_are_valid_by_their_schemas(
    served: Served, stilts: Stilts, tmp_path: Path, path: str, kind: str, tag: str
) -> None:
    response = httpx.get(f"{served.tap}/{path}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/xml")
    file = tmp_path / "document.xml"
    file.write_bytes(response.content)
    assert stilts.schema_errors(file, TAP % (kind, tag)) == []


def test_each_feature_that_is_named_works(served: Served, capabilities: Element) -> None:
    named = [form.text or "" for form in capabilities.iter("form")]
    assert {name.partition("(")[0] for name in named} == set(QUERIES)
    for name, query in QUERIES.items():
        response = served.sync(query, MAXREC=2)
        assert response.status_code == 200, (name, response.text)


def test_limits_and_addresses_are_those_of_the_service(served: Served, capabilities: Element) -> None:
    (limits,) = capabilities.iter("outputLimit")
    found = ServiceSettings()
    assert [int(one.text or "") for one in limits] == [found.maxrec, found.max_rows]
    assert [one.text for one in capabilities.iter("accessURL")] == [
        *(f"{served.tap}/{path}" for path in ("capabilities", "availability", "tables", "examples")),
        served.tap,
    ]
    assert [one.text for one in capabilities.iter("dataModel")] == ["ObsCore-1.1"]


def test_a_database_that_does_not_answer_is_said_not_to_be_available(serve: Serve) -> None:
    with serve() as served:
        root = fromstring(served.get("availability").content)  # noqa: S314 - our own document
        assert root.findtext(TAP % ("Availability", "available")) == "true"
        nobody = served.service.database._engine.url.set(port=9)
        served.service.database.close()
        served.service.database._engine = create_engine(nobody)
        response = served.get("availability")
        root = fromstring(response.content)  # noqa: S314 - our own document
        assert (response.status_code, root.findtext(TAP % ("Availability", "available"))) == (200, "false")
        for answer in (response, served.sync("SELECT obs_id FROM ivoa.ObsCore")):
            # Where the database is, and as whom the service uses it, the log alone says.
            assert "the database does not answer at present" in answer.text
            assert "port 9" not in answer.text
            assert "port 9" in served.line(answer)["error"]


def test_a_database_that_hangs_is_said_not_to_be_available(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tap.vosi._LONGEST_CHECK_S", 0.2)
    with serve() as served:
        engine = create_engine(served.database)
        with engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE tap_schema.generation IN ACCESS EXCLUSIVE MODE")
            root = fromstring(served.get("availability").content)  # noqa: S314 - our own document
            assert root.findtext(TAP % ("Availability", "available")) == "false"
        root = fromstring(served.get("availability").content)  # noqa: S314 - our own document
        assert root.findtext(TAP % ("Availability", "available")) == "true"
        engine.dispose()


def test_tables_without_detail_have_no_columns(served: Served) -> None:
    with_columns, without = served.get("tables"), served.get("tables", detail="MIN")
    assert with_columns.content.count(b"<table ") == without.content.count(b"<table ") > 3
    assert with_columns.content.count(b"<column ") > 30
    assert without.content.count(b"<column ") == 0
    assert served.get("tables", detail="some").status_code == 400


@pytest.mark.parametrize("name", ["ivoa.ObsCore", "ivoa.obscore", "IVOA.OBSCORE"])
def test_one_table_is_found_by_its_name_in_any_case(served: Served, name: str) -> None:
    found = fromstring(served.get(f"tables/{name}").content)  # noqa: S314 - our own document
    assert (found.findtext("name") or "").lower() == "ivoa.obscore"
    assert len(found.findall("column")) >= 30


def test_a_table_that_is_not_published_is_not_found(served: Served) -> None:
    response = served.get("tables/ivoa.nova")
    assert response.status_code == 404
    assert "there is no table ivoa.nova; /tables lists the tables" in response.text


def test_pyvo_reads_what_the_service_says_and_its_examples_run(served: Served) -> None:
    service = TAPService(served.tap)
    assert (service.maxrec, service.hardlimit) == (ServiceSettings().maxrec, ServiceSettings().max_rows)
    examples = service.examples
    assert len(examples) > 5
    for example in examples:
        example.execute()
