"""SIA over HTTP: what clients search for they find, as TAP finds it; where dax_obscore is right it agrees."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from astropy.io.votable import parse
from astropy.time import Time
from lsst.daf.butler import Butler
from lsst.daf.butler.registry.obscore import RegionTypeWarning
from lsst.dax.obscore import ExporterConfig
from lsst.dax.obscore.siav2 import siav2_query_from_raw
from pyvo.dal import DALQueryError
from pyvo.dal.sia2 import SIA2Service

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.layout import DEFAULTS_CHAIN, LATISS_RAW_RUN, PROMPT_RUN
from services.simple.sia import fault
from tap_query.sia import SIA_PARAMETERS, STANDARD
from tests.plugins.service_fixtures import PLAIN, Serve, Served, leaves_answers, running_service
from tests.plugins.stilts_fixtures import Stilts
from tests.plugins.view_fixtures import VIEW_OVER_LIVE

CONE = "CIRCLE 0 0 2"
_ID = "registry_dataset_id"
_ALL = "SELECT * FROM ivoa.ObsCore WHERE {} ORDER BY registry_dataset_id"
_LIVE_ONLY = ("namespace", "version", "table_name", "collection_type", "indices", "spatial_plugins")


def sia(served: Served, method: str = "GET", **parameters: Any) -> httpx.Response:
    """Send a search."""
    place = "data" if method == "POST" else "params"
    url = f"{served.url}/sia/query"
    return httpx.request(method, url, **{place: parameters}, timeout=60, verify=PLAIN)  # type: ignore[arg-type]


def ids(response: httpx.Response) -> list[str]:
    """Return the datasets of an answer, in its order."""
    assert response.status_code == 200, response.text
    return [str(value) for value in parse(io.BytesIO(response.content)).get_first_table().array[_ID]]


def error_of(response: httpx.Response) -> str:
    """Return what an answer says is wrong."""
    (info,) = parse(io.BytesIO(response.content)).resources[0].infos
    assert (info.name, info.value) == ("QUERY_STATUS", "ERROR")
    return str(info.content)


def test_a_search_gives_the_rows_and_columns_of_the_same_query_of_tap(served: Served) -> None:
    by_tap = served.sync(_ALL.format("INTERSECTS(s_region, CIRCLE(0, 0, 2)) = 1"))
    found = sia(served, POS=CONE)
    assert len(ids(found)) > 10
    assert ids(found) == ids(by_tap)
    fields, expected = (
        [(one.name, one.ID, one.utype, one.ucd, one.unit) for one in table.fields]
        for table in (parse(io.BytesIO(one.content)).get_first_table() for one in (found, by_tap))
    )
    assert fields == expected
    assert sia(served, "POST", pos=CONE).content == found.content
    line = served.line(found)
    assert (line["resource"], line["rows"]) == ("sia", len(ids(found)))
    assert line["query"].startswith("SELECT dataproduct_type")


def test_maxrec_cuts_the_same_rows_off_each_time_and_says_so(served: Served) -> None:
    everything = ids(sia(served, POS=CONE))
    for _ in range(2):
        response = sia(served, POS=CONE, MAXREC=3)
        assert ids(response) == everything[:3]
        assert b'name="QUERY_STATUS" value="OVERFLOW"' in response.content
    whole = sia(served, POS=CONE, MAXREC=len(everything))
    assert ids(whole) == everything
    assert b"OVERFLOW" not in whole.content


def test_with_maxrec_0_the_service_describes_itself(served: Served) -> None:
    response = sia(served, MAXREC=0)
    assert ids(response) == []
    (resource,) = (one for one in parse(io.BytesIO(response.content)).resources if one.name == "this")
    assert {one.name: one.value for one in resource.params} == {
        "standardID": STANDARD,
        "accessURL": f"{served.url}/sia/query",
    }
    (inputs,) = resource.groups
    assert [one.name for one in inputs.entries] == [one.name for one in SIA_PARAMETERS]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_responseformat_chooses_the_format_and_format_does_not(served: Served, form: str) -> None:
    by_tap = served.sync(_ALL.format("calib_level = 3"), RESPONSEFORMAT=form)
    response = sia(served, CALIB=3, RESPONSEFORMAT=form)
    assert response.headers["content-type"] == by_tap.headers["content-type"]
    if form != "parquet":
        assert response.content == by_tap.content
    assert ids(sia(served, FORMAT="text/csv")) == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"BAND": "r"}, ("UsageFault: BAND: 'r'", "+Inf")),
        ({"POS": "CIRCLE 1 2"}, ("UsageFault: POS: ", "a circle has three numbers")),
        (
            {"POS": "POLYGON 0 0 90 0 180 0"},
            ("UsageFault: POS: 'POLYGON 0 0 90 0 180 0': a polygon must be",),
        ),
        ({"POS": "POLYGON 0 0 1 1 1 0 0 1"}, ("UsageFault: POS: ", "cross one another", "write CIRCLE")),
        ({"POS": "POLYGON 0 90 10 90 20 80"}, ("UsageFault: POS: ", "three different vertices")),
        ({"POS": "RANGE +Inf -Inf 0 1"}, ("UsageFault: POS: ", "an interval")),
        ({"PPDB_SNAPSHOT": "1"}, ("UsageFault: PPDB_SNAPSHOT: searches find what is current", "/tap/sync")),
        ({"UPLOAD": "x,param:y"}, ("UsageFault: UPLOAD: this search takes no tables",)),
        ({"MAXREC": "-1"}, ("UsageFault: MAXREC: ",)),
        ({"RESPONSEFORMAT": "word"}, ("UsageFault: there is no format",)),
        ({"TARGET": "a\x00b"}, ("UsageFault: TARGET: ", "NUL")),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_the_parameter(
    served: Served, parameters: dict[str, str], words: tuple[str, ...]
) -> None:
    response = sia(served, **parameters)
    assert response.status_code == 400, response.text
    assert [word for word in words if word not in error_of(response)] == []


def test_a_search_that_is_too_much_is_refused_without_the_query_that_it_became(served: Served) -> None:
    zigzag = "POLYGON " + " ".join(f"{x / 100} {x % 2 / 100}" for x in range(70))
    for parameters in (
        {"POS": [f"CIRCLE {x / 10} 0 2" for x in range(500)]},
        {"BAND": [f"{x} {x + 1}" for x in range(1900)]},
        {"POS": zigzag},
    ):
        refused = sia(served, "POST", **parameters)
        assert refused.status_code == 400
        assert error_of(refused).startswith("UsageFault: the ")
        assert [word for word in ("SELECT", "INTERSECTS", "line 1") if word in error_of(refused)] == []
    around = [f"CIRCLE {x / 10} 0 2" for x in range(100)]
    assert len(ids(sia(served, "POST", POS=around))) > 10
    names = [f"o'x{x}" for x in range(1900)]
    found = sia(served, "POST", INSTRUMENT=[*names, "LSSTCam"], CALIB=1)
    assert ids(found) == ids(sia(served, INSTRUMENT="LSSTCam", CALIB=1))


def test_whose_fault_it_is_is_the_first_word_of_an_error() -> None:
    kinds = {status: fault("x", status)[0] for status in (400, 404, 503, 500)}
    words = {status: re.findall(r">(\w+): x<", text.decode())[0] for status, text in kinds.items()}
    assert words == {400: "UsageFault", 404: "UsageFault", 503: "TransientFault", 500: "FatalFault"}


def test_head_answers_without_rows(served: Served) -> None:
    response = sia(served, "HEAD", POS=CONE)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(("table", "status"), [("", 200), ("IVOA.obscore", 200), ("tap_schema.tables", 404)])
def test_the_table_that_is_searched_is_a_setting(serve: Serve, table: str, status: int) -> None:
    with serve(sia_table=table) as served:
        response = sia(served, MAXREC=1)
    assert response.status_code == status
    assert status == 200 or "TAPDB_SIA_TABLE" in error_of(response)


def test_votlint_finds_nothing_and_the_documents_are_valid(
    served: Served, stilts: Stilts, tmp_path: Path
) -> None:
    answers = {
        "rows": sia(served, POS=CONE),
        "itself": sia(served, MAXREC=0),
        "error": sia(served, BAND="<\x02>&"),
    }
    for name, response in answers.items():
        file = tmp_path / f"{name}.vot"
        file.write_bytes(response.content)
        # DALI 1.2 has xtype uuid, which this release of STILTS does not know.
        found = [line for line in stilts.votable_errors(file) if 'xtype value "uuid"' not in line]
        assert found == [], name
    for path, kind in (("capabilities", "Capabilities"), ("availability", "Availability")):
        file = tmp_path / "document.xml"
        file.write_bytes(httpx.get(f"{served.url}/sia/{path}", verify=PLAIN).content)
        root = f"{{http://www.ivoa.net/xml/VOSI{kind}/v1.0}}{kind.lower()}"
        assert stilts.schema_errors(file, root) == []


# -- pyvo
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(served: Served) -> SIA2Service:
    return SIA2Service(f"{served.url}/sia")


@leaves_answers
def test_pyvo_searches_with_all_its_keywords(service: SIA2Service, served: Served) -> None:
    (row,) = service.search(pos=(0.0, 0.0, 2.0), calib_level=2, maxrec=1)
    found = service.search(
        pos=(float(row["s_ra"]), float(row["s_dec"]), 0.01),
        band=(float(row["em_min"]), float(row["em_max"])),
        time=tuple(Time(row[name], format="mjd") for name in ("t_min", "t_max")),
        field_of_view=[(0.01, float("inf"))],
        exptime=float(row["t_exptime"]),
        publisher_did=row["obs_publisher_did"],
        facility=row["facility_name"],
        collection=row["obs_collection"],
        instrument=row["instrument_name"],
        data_type=row["dataproduct_type"],
        calib_level=2,
        target_name=row["target_name"],
        res_format=row["access_format"],
        maxrec=5,
    )
    assert [one[_ID] for one in found] == [row[_ID]]
    assert found[0].obs_publisher_did == row["obs_publisher_did"]
    assert row[_ID] in [one[_ID] for one in service.search(pos=(0.0, 360.0, -2.0, 2.0))]
    for nothing in (
        {"pol": "I"},
        {"spatial_resolution": (0.0, 5.0)},
        {"spectral_resolving_power": (1.0, 10.0)},
        {"timeres": (0.0, 1.0)},
    ):
        assert len(service.search(pos=(0.0, 0.0, 2.0), **nothing)) == 0


@leaves_answers
def test_pyvo_reads_errors_and_what_the_service_says_of_itself(service: SIA2Service) -> None:
    assert any(one.standardid == STANDARD for one in service.capabilities)
    with pytest.raises(DALQueryError, match="UsageFault: DPTYPE: 'picture'"):
        service.search(data_type="picture")


# -- dax_obscore
# ----------------------------------------------------------------------------------------------------------

Dax = Callable[..., set[UUID]]


@pytest.fixture(scope="module")
def dax(view_pair_readonly: Pair) -> Iterator[Dax]:
    """Return what dax_obscore finds in the repository that is below the view."""
    content = {name: value for name, value in obscore_config().items() if name not in _LIVE_ONLY}
    # Its writer of VOTables knows neither columns that are constants nor such as are true or false.
    for part in (content, *content["dataset_types"].values()):
        part.pop("extra_columns", None)
    # It fails at a filter whose range has no end, for any BAND.
    content["spectral_ranges"] = {
        name: ends for name, ends in content["spectral_ranges"].items() if None not in ends
    }
    content["collections"] = [DEFAULTS_CHAIN, LATISS_RAW_RUN, PROMPT_RUN]
    config = ExporterConfig.model_validate(content)
    with view_pair_readonly.live.butler() as butler:

        def search(**parameters: Any) -> set[UUID]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RegionTypeWarning)
                found = siav2_query_from_raw(butler, config, **parameters).get_first_table().array
            dids = [str(did) for did in found["obs_publisher_did"]] if len(found) else []
            return {Butler.parse_dataset_uri(did).dataset_id for did in dids}

        yield search


@pytest.fixture(scope="module")
def live(served_database: sa.URL) -> Iterator[Served]:
    """Return a service over the repository of which dax_obscore can read every dataset."""
    with running_service(served_database, sia_table=VIEW_OVER_LIVE, jobs="none") as found:
        yield found


@pytest.fixture(scope="module")
def shared(dax: Dax, live: Served) -> set[str]:
    """Return the datasets that both have: dax_obscore searches collections, not the runs of the view."""
    both = {str(one) for one in dax()} & set(ids(sia(live)))
    assert len(both) > 50
    return both


def _both(live: Served, dax: Dax, shared: set[str], parameters: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return what we find and what dax_obscore finds, of what both have."""
    ours = sia(live, **{name.upper(): value for name, value in parameters.items()})
    return set(ids(ours)) & shared, {str(one) for one in dax(**parameters)} & shared


_ANY = {"pos": "RANGE 0 360 -90 90", "band": "-Inf +Inf", "time": "-Inf +Inf"}
_THUMBNAIL = "lsst.exposure_thumbnail"


def _with_values(live: Served, shared: set[str], parameters: dict[str, Any]) -> set[str]:
    """Return the datasets of which ObsCore has what parameters ask for: a region, wavelengths, a time."""
    asked = {name.upper(): value for name, value in _ANY.items() if name in parameters}
    return shared & set(ids(sia(live, **asked)))


@pytest.mark.parametrize(
    "parameters",
    [
        {"pos": "CIRCLE 0 0 2"},
        {"pos": "CIRCLE 359.9 -0.4 0.05"},
        {"pos": ["RANGE 359.5 0.5 -1 1", "CIRCLE 0 90 1"]},
        {"pos": "POLYGON 359 -1 1 -1 1 1 359 1"},
        {"band": "6e-7"},
        {"band": ["-Inf 4e-7", "9e-7 +Inf"]},
        {"time": "61101.0 61101.02115"},
        {"time": ["50000 61101.0208"]},
        {"calib": [1]},
        {"calib": [2, 3], "pos": "CIRCLE 0 0 2"},
        {"dptype": ["image"]},
        {"instrument": ["LSSTCam"], "calib": [1, 2]},
    ],
    ids=str,
)
def test_a_search_finds_what_dax_obscore_finds(
    live: Served, dax: Dax, shared: set[str], parameters: dict[str, Any]
) -> None:
    known = _with_values(live, shared, parameters)
    if "pos" in parameters:
        known -= _pictures(live)
    ours, theirs = _both(live, dax, known, parameters)
    assert ours == theirs
    assert 0 < len(ours) < len(shared)


@pytest.mark.parametrize(
    ("name", "value"), [("pos", "CIRCLE 0 0 2"), ("band", "6e-7"), ("time", "50000 50001")]
)
def test_dax_obscore_finds_datasets_of_which_obscore_does_not_know_what_is_asked(
    live: Served, dax: Dax, shared: set[str], name: str, value: str
) -> None:
    """It asks Butler: a region that is no polygon meets POS, and no wavelengths and no time meet all."""
    unknown = shared - _with_values(live, shared, {name: value})
    ours, theirs = _both(live, dax, unknown, {name: value})
    assert (ours, len(theirs) > 2) == (set(), True)


def test_dax_obscore_misses_pictures_of_whole_exposures_between_their_detectors(
    live: Served, dax: Dax, shared: set[str]
) -> None:
    parameters = {"pos": "CIRCLE 359.9 -0.4 0.05"}
    ours, theirs = _both(live, dax, shared, parameters)
    assert theirs < ours
    assert ours - theirs <= _pictures(live)


def _pictures(live: Served) -> set[str]:
    rows = parse(io.BytesIO(sia(live).content)).get_first_table().array
    return {str(row[_ID]) for row in rows if row["dataproduct_subtype"] == _THUMBNAIL}


def test_dax_obscore_leaves_the_ends_out_of_exposure_times(live: Served, dax: Dax, shared: set[str]) -> None:
    ours, theirs = _both(live, dax, shared, {"exptime": "30"})
    assert (len(ours) > 10, theirs) == (True, set())


def test_dax_obscore_ignores_parameters_that_we_do_not(live: Served, dax: Dax, shared: set[str]) -> None:
    ranges = {name: ["0 1e-9"] for name in ("spatres", "specrp", "timeres", "fov")}
    ignored: dict[str, Any] = {
        "pol": ["I"],
        **{name: ["none"] for name in ("target", "facility", "collection")},
        **ranges,
    }
    assert {str(one) for one in dax(**ignored)} & shared == shared
    found = {name: ids(sia(live, **{name.upper(): value})) for name, value in ignored.items()}
    assert [name for name, rows in found.items() if rows] == []


def test_dax_obscore_does_not_ask_for_the_instrument_of_coadds(
    live: Served, dax: Dax, shared: set[str]
) -> None:
    ours, theirs = _both(live, dax, shared, {"instrument": ["HyperSuprimeCam"]})
    assert (ours, len(theirs) > 0) == (set(), True)


def test_dax_obscore_takes_identifiers_of_other_repositories_and_none_of_others(
    live: Served, dax: Dax, shared: set[str]
) -> None:
    one = min(shared)
    did = f"ivo://org.rubinobs/usdac/lsst-demo?repo=demo&id={one}"
    assert _both(live, dax, shared, {"id": [did]}) == ({one}, {one})
    other = did.replace("repo=demo", "repo=other")
    assert _both(live, dax, shared, {"id": [other]}) == (set(), {one})
