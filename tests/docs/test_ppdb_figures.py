"""What the page on the PPDB says of its benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import generate_ppdb


def test_what_was_missed_or_not_measured_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "ppdb.json"
    results.write_text('{"ingest_ratio": 1.2501, "current_ratio": 1.05, "DiaObject_latest_rows": 2000000}')
    monkeypatch.setattr(generate_ppdb, "_RESULTS", results)
    text = generate_ppdb.figures()
    rows = {
        line.split(" | ")[0].strip("| `"): line.split(" | ")[-1].strip(" |")
        for line in text.splitlines()
        if line.startswith("| `")
    }
    assert rows["ingest_ratio"] == "**missed**"
    assert rows["current_ratio"] == "reached"
    assert rows["capture_overhead_ms"] == "not measured"
    assert "With 2,000,000 versions" in text
