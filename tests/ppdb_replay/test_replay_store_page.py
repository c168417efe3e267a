"""The page on the query store: each recommendation names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| .+ \| `(\w+\.py)::(test_\w+)` \|$", re.MULTILINE)


def test_each_of_the_fourteen_recommendations_is_held_by_a_test_that_is_there() -> None:
    rows = ROW.findall((ROOT / "docs" / "replay-store.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _, _ in rows] == list(range(1, 15))
    for _, file, name in rows:
        text = (ROOT / "tests" / "ppdb_replay" / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text, f"{file}::{name}"
