"""The order in which derived objects are made: by name, and each after those that it follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from tapdb.hooks.derived import LAST, load_derived


class Plain:
    """Derived objects that follow none."""

    def drop(self, connection: sa.Connection) -> None:
        """Drop nothing."""

    def create(self, connection: sa.Connection, options: Mapping[str, str]) -> None:
        """Make nothing."""

    def describe_offline(self) -> str:
        """Return nothing."""
        return ""


class AfterZebra(Plain):
    """Derived objects that follow those of one name, and of one that is not installed."""

    after: Collection[str] = ("zebra", "unicorn")


class Last(Plain):
    """Derived objects that follow all others."""

    after = LAST


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install packages with derived objects whose names are in another order than they have to be made."""
    metadata = tmp_path / "tapdb_order-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tapdb-order\nVersion: 1\n")
    lines = {"aardvark": "Last", "bear": "AfterZebra", "zebra": "Plain"}
    module = "tapdb_order_of_derived"
    (tmp_path / f"{module}.py").write_text(f"from {__name__} import AfterZebra, Last, Plain\n")
    entries = "".join(f"{name} = {module}:{kind}\n" for name, kind in lines.items())
    (metadata / "entry_points.txt").write_text(f"[tapdb.derived]\n{entries}")
    monkeypatch.syspath_prepend(tmp_path)


def test_derived_objects_come_after_those_that_they_follow(packages: None) -> None:
    order = list(load_derived({"obscore": "off"}))
    assert order.index("zebra") < order.index("bear")
    assert order[-5:] == ["aardvark", "coverage", "journal", "products", "tap_schema"]


def test_derived_objects_that_are_switched_off_are_not_waited_for(packages: None) -> None:
    order = list(load_derived({"obscore": "off", "zebra": "off"}))
    assert "zebra" not in order
    assert "bear" in order
