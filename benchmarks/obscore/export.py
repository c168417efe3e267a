"""Export of all rows to Parquet: from the view, and by dax_obscore, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa
import yaml
from lsst.daf.butler import Butler
from lsst.dax.obscore import ExporterConfig, ObscoreExporter

from benchmarks.obscore.archive import CONFIG, Archive, step
from examples.lsstcam.layout import FIRST_RUN, PROMPT_RUN, RAW_RUN, SECOND_RUN
from examples.lsstcam.pair import clone_repository
from obscore_view.export import export_view
from tapdb.postgres.engine import create_engine

__all__ = ["export_dax_obscore", "export_ours", "measure_export"]

_URL = "TAPDB_URL"


def measure_export(small: Archive, large: Archive, root: Path, repetitions: int) -> dict[str, float]:
    """Return microseconds a row and peak memory (MB) of both, and their ratio.

    Parameters
    ----------
    small
        Repository that both export.
    large
        Repository that the view alone is exported from: hours for the other.
    root
        Directory for files.
    repetitions
        How often each is run; the figures are medians.
    """
    ours: dict[str, list[tuple[float, float]]] = {"small": [], "large": []}
    theirs: list[tuple[float, float]] = []
    repository = clone_repository(small.repository, small.url, root / "exported")
    for number in range(repetitions):
        with step(f"export to Parquet, {number + 1} of {repetitions}"):
            for name, archive in (("small", small), ("large", large)):
                ours[name].append(_run("view", archive.url, root / f"view-{name}.parquet", archive.rows))
            theirs.append(
                _run("dax", small.url, root / "dax.parquet", small.rows, repository=str(repository.root))
            )
    figures = {
        "export_view_small_us_per_row": median(time_us for time_us, _ in ours["small"]),
        "export_view_us_per_row": median(time_us for time_us, _ in ours["large"]),
        "export_dax_us_per_row": median(time_us for time_us, _ in theirs),
        "export_view_small_peak_mb": median(peak for _, peak in ours["small"]),
        "export_view_peak_mb": median(peak for _, peak in ours["large"]),
        "export_dax_peak_mb": median(peak for _, peak in theirs),
    }
    figures["export_ratio"] = figures["export_view_us_per_row"] / figures["export_dax_us_per_row"]
    figures["export_small_ratio"] = figures["export_view_small_us_per_row"] / figures["export_dax_us_per_row"]
    return figures


def export_ours(url: sa.URL, path: Path) -> None:
    """Export the view."""
    engine = create_engine(url)
    with engine.connect() as connection, path.open("wb") as file:
        export_view(connection, "ivoa.ObsCore", file)
    engine.dispose()


def export_dax_obscore(root: str, path: Path) -> None:
    """Export with dax_obscore, which names collections instead of matching them."""
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    for live_only in ("collection_type", "namespace", "version", "table_name", "indices", "spatial_plugins"):
        content.pop(live_only)
    content["collections"] = [RAW_RUN, FIRST_RUN, SECOND_RUN, PROMPT_RUN]
    config = ExporterConfig.model_validate(content)
    with Butler.from_config(root, writeable=False) as butler:
        ObscoreExporter(butler, config).to_parquet(str(path))


def _run(which: str, url: sa.URL, path: Path, rows: int, *, repository: str = "") -> tuple[float, float]:
    """Export in a new process; return microseconds a row and what its memory grew by at its peak, in MB."""
    environment = os.environ | {_URL: url.render_as_string(hide_password=False)}
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.obscore.export", which, str(path), repository],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    figures = json.loads(found.stdout)
    exported = pq.ParquetFile(path).metadata.num_rows
    # dax_obscore searches collections in order: of a data ID that is in two of them it exports one dataset.
    assert 0.9 * rows < exported <= rows, (which, exported, rows)
    return figures["seconds"] / exported * 1e6, figures["peak_mb"]


def _main(which: str, path: str, repository: str) -> None:
    started, before = time.perf_counter(), _peak_mb()
    if which == "dax":
        export_dax_obscore(repository, Path(path))
    else:
        export_ours(sa.make_url(os.environ[_URL]), Path(path))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb() - before}))


def _peak_mb() -> float:
    # Not ru_maxrss: a process that is started by a larger one begins with the maximum of that.
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1]) / 1024


if __name__ == "__main__":
    _main(*sys.argv[1:])
