"""The view against daf_butler's live ObsCore table and dax_obscore's exporter, on one server in one run."""

from __future__ import annotations

__all__: list[str] = []
