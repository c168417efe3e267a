"""The generated part of the page on the PPDB: what versions cost, and whether that was reached."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.results_file import Reach

__all__ = ["figures", "lake_figures"]

_FOLDER = Path(__file__).parent.parent / "benchmarks" / "results"
_RESULTS = _FOLDER / "ppdb.json"
_LAKE = _FOLDER / "lake.json"
_QUESTIONS = {
    "by_id": "versions of one object",
    "cone_small": "small cone",
    "cone": "cone of 0.5 deg",
    "lightcurve": "light curves in a cone",
    "lightcurve_ids": "light curves of 100 objects",
    "object_scan": "aggregate over all objects",
    "source_scan": "aggregate over all sources",
}
_AGES = ("_current_ratio", "_ratio", "_ratio_99", "_ratio_50", "_ratio_10")
_MORE = {
    "ingest_chunk_ratio": "a chunk, rows of Python, by the writer of `tapdb ppdb replicate`",
    "write_ratio": "a chunk of a real APDB, from the moment it was read to the commit",
    "seal_ratio": "digests of a night, made after the commit: nobody waits / the same night",
    "replicate_ratio": "the same chunk, reading it from the APDB included",
    "replay_overhead_ms": "what a replay takes beyond the query itself, ms",
    "verify_s": "`tapdb ppdb verify` over everything, s",
}


def figures() -> str:
    """Return what the benchmark measured, and what was to be reached."""
    if not _RESULTS.exists():
        return "No results are recorded yet; `make bench` measures and records them."
    found: dict[str, float] = json.loads(_RESULTS.read_text(encoding="utf-8"))
    reaches = import_module("benchmarks.ppdb.reach").REACHES
    by_age = {f"{key}{suffix}" for key in _QUESTIONS for suffix in _AGES[2:]}
    judged = [
        (f"`{one.key}`", one.meaning, _shown(found, one.key), f"{one.limit:g}", _verdict(found, one))
        for one in reaches
        if one.key not in by_age
    ]
    ages = [
        (meaning, *(_shown(found, key + suffix) for suffix in _AGES)) for key, meaning in _QUESTIONS.items()
    ]
    more = [(f"`{key}`", meaning, _shown(found, key)) for key, meaning in _MORE.items()]
    objects, sources = (_number(found, f"{table}_latest_rows") for table in ("DiaObject", "DiaSource"))
    return "\n".join(
        (
            f"With {objects} versions of objects and {sources} sources:\n",
            _table(("figure", "query", "measured", "to reach", ""), judged),
            "How times grow with age, as multiples of the time on the latest rows only; to reach: 1.35.\n",
            _table(("question", "natural", "newest snapshot", "99 %", "50 %", "10 % of the history"), ages),
            "Not judged:\n",
            _table(("figure", "what it is", "measured"), more),
        )
    )


def lake_figures() -> str:
    """Return what the benchmark of the history in files measured, and what was to be reached."""
    if not _LAKE.exists():
        return "No results are recorded yet; `make bench` measures and records them."
    found: dict[str, float] = json.loads(_LAKE.read_text(encoding="utf-8"))
    rows = [
        (f"`{one.key}`", one.meaning, _shown(found, one.key), f"{one.limit:.3g}", _verdict(found, one))
        for one in import_module("benchmarks.lake").REACHES
    ]
    more = (
        f"A night of 10,000 sources is in the lake after {_shown(found, 'refresh_s')} s, "
        f"{_shown(found, 'refresh_ratio')} times what COPY of its rows takes; "
        f"{_number(found, 'export_rows_per_s')} rows are exported in a second, sources twice."
    )
    table = _table(("figure", "what", "measured", "to reach", ""), rows)
    return f"With {_number(found, 'sources')} sources:\n\n{table}\n{more}"


def _verdict(found: Mapping[str, float], reach: Reach) -> str:
    value = found.get(reach.key)
    if value is None:
        return "not measured"
    return "reached" if value <= reach.limit else "**missed**"


def _shown(found: Mapping[str, float], key: str) -> str:
    return f"{found[key]:.3g}" if key in found else "-"


def _number(found: Mapping[str, float], key: str) -> str:
    return f"{found[key]:,.0f}" if key in found else "-"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
