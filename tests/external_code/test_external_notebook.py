"""The notebook that follows Rubin's note on external code: its cells run, and print what it says."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.notebooks import NOTEBOOKS


def test_the_notebook_about_programs_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: a kernel would import all of Rubin's packages again."""
    monkeypatch.chdir(tmp_path)
    content = nbformat.read(NOTEBOOKS / "external.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    scope: dict[str, Any] = {}
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    assert len(cells) >= 6
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(cell.source, scope)  # noqa: S102 - our own notebook
        assert printed.getvalue() == "".join(output["text"] for output in cell.outputs)
    assert (tmp_path / "catalog.csv").stat().st_size > 1000
