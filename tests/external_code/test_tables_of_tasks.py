"""Tables that grow by a line: storage classes, readers, colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from external_code.placing import READERS
from external_code.provenance.drawing import COLOURS
from external_code.storage import CLASSES, storage_options


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("KeptFits", ".fits"),
        ("KeptPng", ".png"),
    ],
)
def test_a_storage_class_passes_files_of_its_extension_through(name: str, extension: str) -> None:
    assert CLASSES[name] == extension
    options = storage_options()
    assert name in options["storageClasses"]
    assert options["datastore"]["formatters"][name]["parameters"] == {"extension": extension}


@pytest.mark.parametrize(
    ("name", "file", "text", "value"),
    [
        ("StructuredDataDict", "o.yaml", "a: 1", {"a": 1}),
        ("StructuredDataDict", "o.json", '{"a": 1}', {"a": 1}),
    ],
)
def test_a_file_is_read_for_put(tmp_path: Path, name: str, file: str, text: str, value: Any) -> None:
    path = tmp_path / file
    path.write_text(text)
    assert READERS[name](path) == value


@pytest.mark.parametrize(
    ("status", "colour"),
    [
        ("success", "#dbeafe"),
        ("failure", "#fecaca"),
    ],
)
def test_a_status_has_a_colour(status: str, colour: str) -> None:
    assert COLOURS[status] == colour
