"""Identifiers over HTTP: to data IDs and back, many at once, each error in its place."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from examples.lsstcam import Pair
from tests.plugins.service_fixtures import PLAIN, Served
from tests.plugins.view_fixtures import open_engine

_DATASETS = (
    "SELECT obs_publisher_did, registry_dataset_id, lsst_dataset_type, lsst_run FROM ivoa.obscore "
    "ORDER BY registry_dataset_id"
)


@pytest.fixture(scope="module")
def datasets(served: Served) -> list[tuple[str, UUID, str, str]]:
    """Return identifier, UUID, dataset type and run of all rows of the view."""
    engine = sa.create_engine(served.database)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(sa.text(_DATASETS))]
    engine.dispose()
    assert len(rows) > 60
    return rows


def send(served: Served, path: str, content: object, kind: str = "application/json", **more: Any) -> Any:
    """Send a batch, and return the answer."""
    text = content if isinstance(content, str) else json.dumps(content)
    response = httpx.post(
        f"{served.url}/identifiers/{path}",
        content=text.encode(),
        headers={"Content-Type": kind},
        params=more,
        timeout=60,
        verify=PLAIN,
    )
    assert response.status_code == 200, response.text
    return response


def test_all_identifiers_come_back_with_the_data_ids_of_butler(
    served: Served, datasets: list[tuple[str, UUID, str, str]], view_pair_readonly: Pair
) -> None:
    found = send(served, "data-ids", [did for did, *_ in datasets]).json()
    assert [one["id"] for one in found] == [did for did, *_ in datasets]
    with view_pair_readonly.plain.butler() as butler:
        for entry, (_, uuid, dataset_type, run) in zip(found, datasets, strict=True):
            ref = butler.get_dataset(uuid)
            assert ref is not None
            assert (entry["uuid"], entry["dataset_type"], entry["run"]) == (str(uuid), dataset_type, run)
            assert entry["dimensions"] == dict(ref.dataId.required)


def test_data_ids_lead_back_to_the_identifiers(
    served: Served, datasets: list[tuple[str, UUID, str, str]]
) -> None:
    known = send(served, "data-ids", [did for did, *_ in datasets]).json()
    wanted = [{name: one[name] for name in ("dataset_type", "run", "dimensions")} for one in known]
    found = send(served, "dids", wanted).json()
    assert [[one["id"] for one in entry["datasets"]] for entry in found] == [[did] for did, *_ in datasets]
    # Without a run, all runs that have it.
    anywhere = send(served, "dids", [{**one, "run": None} for one in wanted]).json()
    for did, entry in zip((did for did, *_ in datasets), anywhere, strict=True):
        assert did in [one["id"] for one in entry["datasets"]]
        assert [one["run"] for one in entry["datasets"]] == sorted(one["run"] for one in entry["datasets"])
    assert max(len(entry["datasets"]) for entry in anywhere) > 1


def test_one_that_is_wrong_does_not_fail_the_others(
    served: Served, datasets: list[tuple[str, UUID, str, str]]
) -> None:
    did, uuid, *_ = datasets[0]
    unknown = did.replace(str(uuid), str(uuid4()))
    given = [
        did,
        "nonsense",
        unknown,
        "",
        did.upper().replace("REPO=DEMO&ID=", "repo=demo&id="),
        f"butler://x/{uuid}",
        "\ud800\0",
    ]
    found = send(served, "data-ids", given).json()
    assert [one.get("uuid") for one in found] == [str(uuid), None, None, None, str(uuid), str(uuid), None]
    assert "is no dataset identifier" in found[1]["error"]
    assert "no published view has the dataset" in found[2]["error"]


def test_data_ids_that_are_wrong_are_told_apart(
    served: Served, datasets: list[tuple[str, UUID, str, str]]
) -> None:
    known = send(served, "data-ids", [datasets[0][0]]).json()[0]
    dimensions, kind = known["dimensions"], known["dataset_type"]
    fewer = dict(list(dimensions.items())[1:])
    number = next(name for name, value in dimensions.items() if isinstance(value, int))
    wrong = [
        ({"dataset_type": kind, "dimensions": fewer}, "have the dimensions"),
        ({"dataset_type": kind, "dimensions": {**dimensions, number: "x; DROP"}}, "no published view has a"),
        ({"dataset_type": kind, "dimensions": {**dimensions, number: 10**30}}, "no published view has a"),
        (
            {"dataset_type": kind, "dimensions": {**dimensions, number: 1.5}},
            "neither a text nor a whole number",
        ),
        ({"dataset_type": kind, "dimensions": dimensions, "run": "none"}, 'in run "none"'),
        ({"dataset_type": "none", "dimensions": dimensions}, 'no published view has datasets of type "none"'),
        ({"dataset_type": kind, "dimensions": dimensions, "run": 5}, "run: is no text"),
        ({"dataset_type": kind, "dimensions": {**dimensions, "instrument": "\0"}}, "that no text has"),
        ({"dataset_type": kind, "dimensions": dimensions, "run": "\ud800"}, "that no text has"),
        ({"dataset_type": kind, "dimensions": {**dimensions, "\ud800": 1}}, "that no text has"),
        ({"dimensions": dimensions}, "dataset_type: is missing"),
        ("x", "dataset_type: is missing"),
    ]
    right = {"dataset_type": kind, "dimensions": dimensions}
    found = send(served, "dids", [*(one for one, _ in wrong), right]).json()
    assert [
        problem for (_, problem), one in zip(wrong, found, strict=False) if problem not in one["error"]
    ] == []
    assert found[-1]["datasets"][0]["id"] == datasets[0][0]


def test_texts_and_csv_are_taken_and_given(
    served: Served, datasets: list[tuple[str, UUID, str, str]]
) -> None:
    dids = [did for did, *_ in datasets[:3]]
    answer = send(served, "data-ids", "\n".join(["id", *dids, "nonsense"]), "text/csv", RESPONSEFORMAT="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["id"] for row in rows] == [*dids, "nonsense"]
    assert [bool(row["error"]) for row in rows] == [False, False, False, True]
    dimensions = json.loads(rows[0]["dimensions"])
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["dataset_type", "run", *dimensions])
    writer.writeheader()
    writer.writerow({"dataset_type": rows[0]["dataset_type"], "run": rows[0]["run"], **dimensions})
    writer.writerow({"dataset_type": "none"})
    back = send(served, "dids", table.getvalue(), "text/csv", responseformat="text/csv")
    found = list(csv.DictReader(io.StringIO(back.text, newline="")))
    assert [(row["entry"], row["id"], bool(row["error"])) for row in found] == [
        ("1", dids[0], False),
        ("2", "", True),
    ]


def test_a_few_are_parameters_of_the_url(served: Served, datasets: list[tuple[str, UUID, str, str]]) -> None:
    did = datasets[0][0]
    url = f"{served.url}/identifiers"
    (known,) = httpx.get(f"{url}/data-ids", params={"ID": did}, verify=PLAIN).json()
    parameters = {"dataset_type": known["dataset_type"], "run": known["run"], **known["dimensions"]}
    response = httpx.get(f"{url}/dids", params=parameters, verify=PLAIN)
    assert [one["id"] for one in response.json()[0]["datasets"]] == [did]
    line = served.line(response)
    assert (line["resource"], line["status"]) == ("identifiers", 200)


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("data-ids", "{", "is no JSON"),
        ("data-ids", '"x"', "is no JSON array"),
        ("dids", json.dumps(["x"] * 1001), "has 1001 entries"),
        ("dids", "dataset_type\n" + "x" * 200_000, "is no CSV: field larger than"),
    ],
)
def test_a_request_that_is_none_is_refused(served: Served, path: str, content: str, problem: str) -> None:
    response = httpx.post(
        f"{served.url}/identifiers/{path}",
        content=content,
        headers={"Content-Type": "text/csv" if "CSV" in problem else "application/json"},
        verify=PLAIN,
    )
    assert (response.status_code, problem in response.text) == (400, True)


def test_the_role_of_readers_reads_no_table_of_the_registry(served: Served) -> None:
    with served.service.database.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_user")) == "tapdb_reader"
        assert not connection.scalar(sa.text("SELECT has_schema_privilege('plain', 'USAGE')"))


def test_a_thousand_identifiers_of_a_form_have_the_format_that_it_names(served: Served) -> None:
    form = {"ID": [f"butler://x/{uuid4()}" for _ in range(1000)], "RESPONSEFORMAT": "csv"}
    answer = httpx.post(f"{served.url}/identifiers/data-ids", data=form, timeout=60, verify=PLAIN)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/csv")
    assert len(list(csv.DictReader(io.StringIO(answer.text, newline="")))) == 1000
    more = httpx.post(f"{served.url}/identifiers/data-ids", data={"ID": ["x"] * 1001}, verify=PLAIN)
    assert (more.status_code, "has 1001 entries" in more.text) == (400, True)


def test_sql_finds_no_dataset_that_the_role_does_not_see(
    served: Served, view_pair_readonly: Pair, datasets: list[tuple[str, UUID, str, str]]
) -> None:
    with view_pair_readonly.plain.butler() as butler:
        refs = list(butler.registry.queryDatasets("visit_image", collections=...))
    shown = {uuid for _, uuid, *_ in datasets}
    wanted = [
        {"dataset_type": "visit_image", "data_id": dict(ref.dataId.required), "run": ref.run} for ref in refs
    ]
    find = sa.text("SELECT number, dimensions, dataset FROM tapdb.find_datasets(CAST(:wanted AS jsonb))")
    with served.service.database.connect() as connection:
        rows = connection.execute(find, {"wanted": json.dumps(wanted)}).all()
    found = {row.dataset for row in rows if row.dataset is not None}
    assert found == {ref.id for ref in refs} & shown
    assert len(found) < len({ref.id for ref in refs})
    with open_engine(served.database) as engine, engine.connect() as connection:
        connection.exec_driver_sql(
            "REVOKE SELECT ON ivoa.obscore, untouched.obscore, embargo.obscore FROM tapdb_reader"
        )
        connection.exec_driver_sql("SET LOCAL ROLE tapdb_reader")
        assert connection.execute(find, {"wanted": json.dumps(wanted)}).all() == []
