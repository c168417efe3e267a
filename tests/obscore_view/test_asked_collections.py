"""Configurations that are valid in themselves and mean nothing in this registry: each is said."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from lsst.daf.butler import CollectionType  # type: ignore[attr-defined]  # public, but in no __all__

from examples.lsstcam import Pair, obscore_config
from examples.lsstcam.layout import (
    CALIBRATION,
    DEFAULTS_CHAIN,
    DRP_CHAIN,
    FIRST_RUN,
    RAW_RUN,
    TAGGED_GOOD,
)
from obscore_view import parse_config
from obscore_view.check import check_view
from obscore_view.errors import ConfigError
from obscore_view.mapping import build_mapping
from obscore_view.registry.read import read_registry
from obscore_view.view.asked import doubts, row_counts, rows_said
from obscore_view.view.changes import plan_creation, plan_refresh, plan_view
from obscore_view.view.make import find_stored_view
from tests.plugins.view_fixtures import make_test_view

VIEW = "asked.obscore"


def _text(collections: list[str] | None, kind: str | None = None, **keys: Any) -> str:
    tapdb: dict[str, Any] = {"view": VIEW, "geometry": "none"}
    content = obscore_config()
    del content["collections"], content["collection_type"]
    if kind == "find_first":
        tapdb["find_first"] = collections
        content |= {"collection_type": "RUN", "collections": [RAW_RUN]}
    else:
        content |= {"collections": collections} | ({"collection_type": kind} if kind else {})
    return yaml.safe_dump(content | keys | {"tapdb": tapdb}, sort_keys=False)


# Kind of collections, the name, and what is said: what the registry has, and what to do.
REFUSED = {
    "a regular expression without collection_type": (
        None,
        "LSSTCam/raw/.*",
        [f"it matches {RAW_RUN}", "write collection_type: RUN"],
    ),
    "CHAINED under RUN": (
        "RUN",
        DRP_CHAIN,
        [f"{DRP_CHAIN} is CHAINED; collection_type RUN matches RUN collections only", "leave"],
    ),
    "TAGGED under RUN": ("RUN", TAGGED_GOOD, ["is TAGGED", "write collection_type: TAGGED"]),
    "CALIBRATION under RUN": ("RUN", CALIBRATION, ["is CALIBRATION", "name the RUN collections"]),
    "RUN under TAGGED": ("TAGGED", RAW_RUN, [f"{RAW_RUN} is RUN", "write collection_type: RUN"]),
    "CHAINED under TAGGED": ("TAGGED", DRP_CHAIN, [f"{DRP_CHAIN} is CHAINED", "leave collection_type out"]),
    "a search in a mistyped collection": (
        None,
        "LSSTCam/default",
        ["no such collection", f'did you mean "{DEFAULTS_CHAIN}"'],
    ),
    "a search in another case": (None, "lsstcam/Raw/all", ["case differ", RAW_RUN]),
    "a search in a glob": (
        None,
        "LSSTCam/calib/gen?2*",
        ["names are not expanded", "LSSTCam/calib/gen.20260201"],
    ),
    "find_first of a missing collection": (
        "find_first",
        "no/such/one",
        ["tapdb.find_first", "the registry has"],
    ),
}
WARNED = {
    "TAGGED that is missing": (
        "TAGGED",
        "LSSTCam/tagged/good-seing",
        ["no such TAGGED collection", f'did you mean "{TAGGED_GOOD}"'],
    ),
    "TAGGED in another case": ("TAGGED", TAGGED_GOOD.upper(), ["case differ", TAGGED_GOOD]),
    "a mistyped RUN": (
        "RUN",
        "LSSTCam/raw/al",
        ["no RUN collection of the registry yet", f'did you mean "{RAW_RUN}"'],
    ),
    "a RUN in another case": ("RUN", "lsstcam/raw/all", ["case differ", RAW_RUN]),
    "a glob under RUN": (
        "RUN",
        "LSSTCam/runs/DRP/*",
        [f"only {DRP_CHAIN}", "not globs", "write LSSTCam/runs/DRP/.*"],
    ),
    "a RUN of the future": ("RUN", "LSSTCam/runs/DR[5-9]/.*", ["no RUN collection of the registry yet"]),
    "an expression that must match as a whole": ("RUN", "^raw.+", ["match the whole name"]),
    "a search in CALIBRATION": (None, CALIBRATION, ["is CALIBRATION", "RUN and TAGGED collections only"]),
}


def _said(connection: sa.Connection, text: str) -> list[str]:
    mapping = build_mapping(parse_config(text), read_registry(connection, "plain"))
    return [f"{one.severity}: {one}" for one in doubts(connection, mapping)]


@pytest.mark.parametrize("case", REFUSED)
def test_names_that_the_registry_does_not_have_are_refused(
    view_connection_readonly: sa.Connection, case: str
) -> None:
    kind, name, expected = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        plan_creation(view_connection_readonly, parse_config(_text([name], kind)), registry_schema="plain")
    assert caught.value.exit_code == 2
    assert f'"{name}"' in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize("case", WARNED)
def test_names_that_may_be_meant_for_the_future_are_warned_of(
    view_connection_readonly: sa.Connection, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind, name, expected = WARNED[case]
    with caplog.at_level(logging.WARNING):
        plan_creation(view_connection_readonly, parse_config(_text([name], kind)), registry_schema="plain")
    for part in (f'"{name}"', *expected):
        assert part in caplog.text


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("RUN", [RAW_RUN, "LSSTCam/runs/.*", "(?i)lsstcam/PROMPT/.+"]),
        ("RUN", []),
        ("TAGGED", [TAGGED_GOOD]),
        (None, [TAGGED_GOOD, DEFAULTS_CHAIN, FIRST_RUN]),
        ("find_first", [DRP_CHAIN]),
    ],
)
def test_nothing_is_said_of_names_that_are_there(
    view_connection_readonly: sa.Connection, kind: str | None, names: list[str]
) -> None:
    """A negative control."""
    assert _said(view_connection_readonly, _text(names, kind)) == []


def test_each_wrong_name_of_several_is_said(view_connection_readonly: sa.Connection) -> None:
    said = _said(view_connection_readonly, _text([RAW_RUN, "one/gone", DEFAULTS_CHAIN, "two/gone"]))
    assert [("one/gone" in one, "two/gone" in one) for one in said] == [(True, False), (False, True)]


def test_a_chain_without_members_is_warned_of(view_pair: Pair, view_connection: sa.Connection) -> None:
    with view_pair.plain.butler(writeable=True) as butler:
        butler.collections.register("u/empty", CollectionType.CHAINED)
    (said,) = _said(view_connection, _text(["u/empty"]))
    assert said.startswith("warning")
    assert "the chain has no members" in said


def test_a_view_whose_collection_is_gone_can_be_made_again_and_check_says_it(
    view_pair: Pair, view_connection: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection = view_connection
    with view_pair.plain.butler(writeable=True) as butler:
        butler.collections.register("u/brief", CollectionType.TAGGED)
    make_test_view(connection, _text(["u/brief"]), "plain")
    connection.commit()
    with view_pair.plain.butler(writeable=True) as butler:
        butler.collections.x_remove("u/brief")
    stored = find_stored_view(connection, VIEW)
    found = {one.severity: str(one) for one in check_view(connection, stored)}
    assert "no such collection to search in" in found["error"]
    assert "has no rows" in found["notice"]
    config = parse_config(stored.config_yaml)
    with caplog.at_level(logging.WARNING):
        plan_refresh(connection, stored, config, config_yaml=stored.config_yaml)
    assert "no such collection to search in" in caplog.text
    other = _text(["u/brief"], obs_collection="another")
    with pytest.raises(ConfigError, match="no such collection to search in"):
        plan_refresh(connection, stored, parse_config(other), config_yaml=other)


def test_the_rows_of_each_dataset_type_are_counted_as_butler_counts_them(
    view_pair: Pair, view_connection: sa.Connection
) -> None:
    text = _text([FIRST_RUN, RAW_RUN], "RUN")
    make_test_view(view_connection, text, "plain")
    mapping = plan_view(view_connection, parse_config(text), registry_schema="plain")
    counts = row_counts(view_connection, mapping)
    expected: Counter[str] = Counter()
    with view_pair.plain.butler() as butler:
        for name in counts:
            if name in {one.name for one in butler.registry.queryDatasetTypes()}:
                refs = butler.query_datasets(name, [FIRST_RUN, RAW_RUN], find_first=False, explain=False)
                expected[name] = len({one.id for one in refs})
    assert counts == {name: expected[name] for name in counts}
    assert counts["raw"] > 0
    first, *rest = rows_said(mapping, counts)
    assert f"{counts['raw']} raw" in first
    assert "no dataset is in these collections" in " ".join(rest)


def test_a_restriction_that_is_never_true_is_said(view_connection_readonly: sa.Connection) -> None:
    connection = view_connection_readonly
    text = _text([RAW_RUN], "RUN", dataset_type_constraints={"raw": [{"where": "exposure < 0"}]})
    make_test_view(connection, text, "plain")
    mapping = plan_view(connection, parse_config(text), registry_schema="plain")
    said = " ".join(rows_said(mapping, row_counts(connection, mapping)))
    assert "no rows of raw: no dataset in these collections meets the restriction" in said


def test_an_expression_for_all_types_names_the_type_that_lacks_what_it_names(
    view_connection_readonly: sa.Connection,
) -> None:
    config = parse_config(_text([RAW_RUN], "RUN", where={"where": "instrument = 'LSSTCam'"}))
    with pytest.raises(ConfigError, match=r"dataset_types\.\w+: expression \"instrument = 'LSSTCam'\""):
        plan_creation(view_connection_readonly, config, registry_schema="plain")


def test_types_that_are_not_registered_are_one_line_and_one_finding(
    view_connection_readonly: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection = view_connection_readonly
    content = yaml.safe_load(_text([RAW_RUN], "RUN"))
    section = content["dataset_types"]["raw"]
    content["dataset_types"] |= {f"coming_{number}": section for number in range(34)}
    text = yaml.safe_dump(content, sort_keys=False)
    with caplog.at_level(logging.WARNING):
        make_test_view(connection, text, "plain")
    assert sum("not registered" in one.getMessage() for one in caplog.records) == 1
    caplog.clear()
    stored = find_stored_view(connection, VIEW)
    found = [str(one) for one in check_view(connection, stored)]
    (said,) = (one for one in found if "not registered" in one)
    assert "34 dataset types: are configured and not registered" in said
    assert caplog.records == []
