"""Cone searches over HTTP: what lies in a circle is found, the nearest first, as clients want it."""

from __future__ import annotations

import io
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse
from astropy.table import Table
from click.testing import CliRunner
from pyvo.dal import DALQueryError, SCSService

from adql import Limits, to_postgres
from adql import parse as parse_adql
from tap_query.cone import Cone, ConeTable
from tap_query.execute import explain, read_server
from tap_query.metadata import read_metadata
from tapdb.cli.root import main
from tapdb.postgres.engine import create_engine, driver_connection
from tests.plugins.service_fixtures import PLAIN, Served, leaves_answers, running_service
from tests.plugins.stilts_fixtures import Stilts

FELIS = """
name: sky
description: Stars of a test
tables:
- name: star
  description: Stars
  columns:
  - {name: id, datatype: long, "ivoa:ucd": meta.id;meta.main, description: Number, "tap:principal": 1}
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra;meta.main, description: RA}
  - {name: dec, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec;meta.main, description: Dec}
  - {name: mag, datatype: double, "ivoa:unit": mag, "ivoa:ucd": phot.mag, description: M, "tap:principal": 1}
  - {name: note, datatype: text, description: A note}
- name: nameless
  description: Places without a number
  columns:
  - {name: dec, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec;meta.main, description: Dec}
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra;meta.main, description: RA}
- name: unmarked
  description: Stars whose UCDs say nothing of what is the main position
  columns:
  - {name: id, datatype: long, "ivoa:ucd": meta.id;src, description: Number}
  - {name: trail_ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra, description: Of a trail}
  - {name: trail_dec, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec, description: Of a trail}
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra, description: RA}
  - {name: dec, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec, description: Dec}
- name: "odd name #1?"
  description: Places whose table has a name with all that a URL takes for something else
  columns:
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra;meta.main, description: RA}
  - {name: dec, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.dec;meta.main, description: Dec}
- name: spectrum
  description: Spectra, which lie nowhere
  columns:
  - {name: id, datatype: long, description: Number}
  - {name: ra, datatype: double, "ivoa:unit": deg, "ivoa:ucd": pos.eq.ra, description: Of something else}
"""
TABLES = """
CREATE SCHEMA sky;
CREATE TABLE sky.star (id bigint PRIMARY KEY, ra float8, dec float8, mag float8, note text);
INSERT INTO sky.star
  SELECT n, mod(n * 137.508, 360), degrees(asin(2 * (n + 0.5) / 20000 - 1)), mod(n, 20), 'star ' || n
  FROM generate_series(0, 19999) AS n;
INSERT INTO sky.star VALUES (-1, 0.05, 0, 1, 'east'), (-2, 359.97, 0, 1, 'west'), (-3, NULL, 0, 1, 'nowhere');
CREATE INDEX ON sky.star USING gist (spoint(radians(ra), radians(dec)));
CREATE TABLE sky.nameless AS SELECT dec, ra FROM sky.star;
CREATE TABLE sky.unmarked AS SELECT id, 0::float8 AS trail_ra, 0::float8 AS trail_dec, ra, dec FROM sky.star;
ALTER TABLE sky.unmarked ADD PRIMARY KEY (id);
CREATE INDEX ON sky.unmarked USING gist (spoint(radians(ra), radians(dec)));
CREATE TABLE sky."odd name #1?" AS SELECT ra, dec FROM sky.star;
CREATE TABLE sky.spectrum (id bigint, ra float8);
GRANT USAGE ON SCHEMA sky TO tapdb_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA sky TO tapdb_reader;
ANALYZE sky.star;
"""
AROUND_ZERO = {"RA": "0", "DEC": "0", "SR": "0.9"}


@pytest.fixture(scope="module")
def sky(
    clone_for_session: Callable[[str], sa.URL],
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    url = clone_for_session(migrated_template)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLES)
    engine.dispose()
    file = tmp_path_factory.mktemp("felis") / "sky.yaml"
    file.write_text(FELIS)
    runner = CliRunner(env={"TAPDB_URL": url.render_as_string(hide_password=False)})
    done = runner.invoke(main, ["tap-schema", "publish", str(file)])
    assert done.exit_code == 0, done.output
    with running_service(url, jobs="none") as served:
        yield served


@pytest.fixture(scope="module")
def stars(sky: Served) -> list[tuple[int, float, float]]:
    engine = create_engine(sky.database)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, ra, dec FROM sky.star WHERE ra IS NOT NULL")).all()
    engine.dispose()
    return [(row.id, row.ra, row.dec) for row in rows]


def cone(sky: Served, table: str = "sky.star", **parameters: Any) -> httpx.Response:
    """Send a search."""
    return httpx.get(f"{sky.url}/scs/{table}", params=parameters, timeout=60, verify=PLAIN)


def rows(response: httpx.Response) -> Any:
    """Return the rows of an answer."""
    assert response.status_code == 200, response.text
    return parse(io.BytesIO(response.content)).get_first_table().array


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return how far two positions are apart, in degrees, by the formula of Vincenty."""
    (a, d), (b, e) = ([math.radians(angle) for angle in place] for place in (one, other))
    x = math.cos(d) * math.sin(e) - math.sin(d) * math.cos(e) * math.cos(b - a)
    y = math.hypot(math.cos(e) * math.sin(b - a), x)
    return math.degrees(
        math.atan2(y, math.sin(d) * math.sin(e) + math.cos(d) * math.cos(e) * math.cos(b - a))
    )


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(0, 0, 2), (360, 0, 2), (180, 90, 3), (40, -89.9, 4), (200, 30, 170)]
)
def test_a_cone_finds_what_lies_in_it_the_nearest_first(
    sky: Served, stars: list[tuple[int, float, float]], ra: float, dec: float, radius: float
) -> None:
    apart = {star: distance((ra, dec), (lon, lat)) for star, lon, lat in stars}
    expected = sorted((star for star in apart if apart[star] <= radius), key=lambda star: (apart[star], star))
    found = [int(one) for one in rows(cone(sky, RA=ra, DEC=dec, SR=radius, VERB=1))["id"]]
    assert set(found) == set(expected)
    assert len(found) > 4
    assert [apart[star] for star in found] == pytest.approx(sorted(apart[star] for star in expected))


@pytest.mark.parametrize(
    ("verbosity", "names"),
    [
        ("1", ["id", "ra", "dec"]),
        ("2", ["id", "ra", "dec", "mag"]),
        (None, ["id", "ra", "dec", "mag"]),
        ("3", ["id", "ra", "dec", "mag", "note"]),
    ],
)
def test_verb_chooses_the_columns_and_the_main_ones_have_the_ucds_of_the_standard(
    sky: Served, verbosity: str | None, names: list[str]
) -> None:
    more = {} if verbosity is None else {"VERB": verbosity}
    response = cone(sky, **AROUND_ZERO, **more)
    assert b"<TABLEDATA>" in response.content
    (table,) = parse(io.BytesIO(response.content)).iter_tables()
    assert [one.name for one in table.fields] == names
    assert {one.name: one.ucd for one in table.fields[:3]} == {
        "id": "ID_MAIN",
        "ra": "POS_EQ_RA_MAIN",
        "dec": "POS_EQ_DEC_MAIN",
    }


def test_maxrec_gives_the_nearest_and_says_that_there_are_more(sky: Served) -> None:
    response = cone(sky, **AROUND_ZERO, MAXREC=2)
    assert list(rows(response)["id"]) == [-2, -1]
    assert b'value="OVERFLOW"' in response.content


def test_numbers_that_are_none_in_radians_are_searched_with(sky: Served) -> None:
    """PostgreSQL refuses them, in words about a query that nobody has sent."""
    response = cone(sky, RA="5e-324", DEC="-1e-310", SR="5e-324")
    assert 'QUERY_STATUS" value="OK' in response.text


def test_with_radius_0_the_columns_are_described(sky: Served) -> None:
    response = cone(sky, RA=0, DEC=0, SR=0, VERB=3)
    assert len(rows(response)) == 0
    assert b'name="note"' in response.content


def test_other_formats_are_there_too(sky: Served) -> None:
    response = cone(sky, **AROUND_ZERO, RESPONSEFORMAT="csv", VERB=1, MAXREC=1)
    assert response.text.splitlines() == ["id,ra,dec", "-2,359.97,0"]


def test_tables_that_have_a_main_position_are_listed(sky: Served) -> None:
    listed = httpx.get(f"{sky.url}/scs", follow_redirects=True, verify=PLAIN).json()
    assert sorted((one["table"], one["id"], one["position"]) for one in listed) == [
        ('sky."odd name #1?"', None, ["ra", "dec"]),
        ("sky.nameless", None, ["ra", "dec"]),
        ("sky.star", "id", ["ra", "dec"]),
        ("sky.unmarked", "id", ["ra", "dec"]),
    ]
    assert f"{sky.url}/scs/sky.star" in [one["url"] for one in listed]
    for one in listed:
        answer = httpx.get(one["url"], params=AROUND_ZERO, timeout=60, verify=PLAIN)
        assert len(rows(answer)) > 2, one["url"]
    assert len(rows(cone(sky, "sky.nameless", **AROUND_ZERO))) == len(rows(cone(sky, **AROUND_ZERO))) > 2
    for table in ("sky.spectrum", "tap_schema.tables", "sky.none"):
        response = cone(sky, table, **AROUND_ZERO)
        assert (response.status_code, "/scs lists the tables" in response.text) == (404, True)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"DEC": "0", "SR": "1"}, "RA: is missing; write a number of degrees from 0 to 360"),
        ({**AROUND_ZERO, "RA": "as3f"}, "RA: is 'as3f'"),
        ({**AROUND_ZERO, "RA": "361"}, "RA: is '361'"),
        ({**AROUND_ZERO, "DEC": "nan"}, "DEC: is 'nan'"),
        ({**AROUND_ZERO, "SR": "-1"}, "SR: is '-1'"),
        ({**AROUND_ZERO, "SR": ["1", "2"]}, "SR: is there 2 times"),
        ({**AROUND_ZERO, "VERB": "4"}, "VERB: is '4'; write 1, 2 or 3"),
        ({**AROUND_ZERO, "MAXREC": "x"}, "MAXREC: "),
        ({**AROUND_ZERO, "PPDB_SNAPSHOT": "1"}, "PPDB_SNAPSHOT: searches find what is current; send a query"),
    ],
    ids=str,
)
def test_an_error_stands_where_the_standard_has_it(
    sky: Served, parameters: dict[str, Any], problem: str
) -> None:
    response = cone(sky, **parameters)
    assert response.status_code == 200
    document = parse(io.BytesIO(response.content))
    (info,) = document.infos
    assert (info.name, info.value.startswith(problem)) == ("Error", True), info.value
    assert document.resources[0].infos[0].value == "ERROR"
    assert sky.line(response)["error"].startswith(problem)


def test_the_search_uses_the_index_of_the_position(sky: Served) -> None:
    engine = create_engine(sky.database)
    with engine.connect() as connection:
        metadata, server = read_metadata(connection), read_server(connection)
        table = ConeTable("sky.star", ["id", "ra", "dec"], [], "ra", "dec", "id", ["id"])
        text = Cone(10.0, 20.0, 0.1).query(table)
        compiled = to_postgres(parse_adql(text), metadata, Limits(max_rows=10), server=server)
        connection.rollback()
        plan = explain(driver_connection(connection), compiled, analyze=False)
    engine.dispose()
    assert "star_spoint_idx" in plan
    assert "Seq Scan" not in plan


@leaves_answers
def test_pyvo_searches_and_reads_errors(sky: Served) -> None:
    service = SCSService(f"{sky.url}/scs/sky.star")
    found = service.search(pos=(0.0, 0.0), radius=0.9, verbosity=3)
    assert [int(one.id) for one in found][:2] == [-2, -1]
    assert (found[1].pos.ra.deg, found[1]["note"]) == (0.05, "east")
    with pytest.raises(DALQueryError, match="RA: is"):
        service.search(pos=(0.0, 0.0), radius=0.9, RA="x")


def test_stilts_matches_by_cones_and_votlint_finds_nothing(
    sky: Served, stilts: Stilts, tmp_path: Path
) -> None:
    for name, parameters in (("rows", AROUND_ZERO), ("error", {**AROUND_ZERO, "RA": "<x>"})):
        file = tmp_path / f"{name}.vot"
        file.write_bytes(cone(sky, **parameters, VERB="3").content)
        assert stilts.votable_errors(file) == [], name
    mine, matched = tmp_path / "mine.vot", tmp_path / "matched.csv"
    Table(rows=[(1, 0.05, 0.0), (2, 359.97, 0.0)], names=("n", "lon", "lat")).write(mine, format="votable")
    command = [
        *("stilts", "coneskymatch", f"serviceurl={sky.url}/scs/sky.star", f"in={mine}"),
        *("ra=lon", "dec=lat", "sr=0.01", "find=best", f"out={matched}", "ofmt=csv"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = Table.read(matched, format="ascii.csv")
    assert sorted(zip(found["n"], found["id"], strict=True)) == [(1, -1), (2, -2)]
