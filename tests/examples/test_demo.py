"""The demonstration runs from start to end, and what it writes is what the view says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.demo.demonstration import main
from examples.demo.votable import read_back
from examples.lsstcam import TINY
from tapdb.errors import SettingsError
from tapdb.postgres.engine import checked_connection, create_engine
from tapdb.server.environment import client_environment

ROOT = Path(__file__).parent.parent.parent
_COMPARED = ("registry_dataset_id", "obs_id", "t_min", "s_region")


def test_the_demonstration_shows_late_data_and_writes_what_the_view_says(
    database_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in client_environment(database_url).items():
        monkeypatch.setenv(name, value)

    files = tmp_path / "files"
    files.mkdir()
    main(replace(TINY, edges=False), tmp_path, files, lake=True)

    assert {one.name for one in files.iterdir()} >= {"butler", "obscore.yaml", "repositories.yaml"}
    shown = capfd.readouterr().out
    assert "Until it commits, another session sees 0 datasets" in shown
    assert "POLYGON ICRS" in shown
    assert "In repository 'demo' Butler finds deep_coadd@" in shown
    assert (tmp_path / "footprints.png").stat().st_size > 10_000
    assert (tmp_path / "light-curve.png").stat().st_size > 10_000
    # The service was asked, and has stopped.
    assert re.search(r"http://127.0.0.1:\d+/tap publishes \d+ tables, ivoa.ObsCore among them", shown)
    assert not (files / "serve.pid").exists()
    assert '"message": "sync"' in (files / "serve.log").read_text()
    # Every replay is identical, and each of the queries finds something else meanwhile.
    digests = re.findall(r"│ (objects|bands|light curve) .*?(sha256:\w+)", shown)
    assert len(digests) == 12
    for name in ("objects", "bands", "light curve"):
        then, now, replayed, from_files = (digest for one, digest in digests if one == name)
        assert then == replayed == from_files != now
    assert "The records are replayed from the files" in shown
    table = read_back(tmp_path / "obscore.vot")
    published = sa.table("obscore", *map(sa.column, _COMPARED), schema="ivoa")
    with checked_connection(database_url) as connection:
        rows = connection.execute(sa.select(published).where(published.c.s_region.is_not(None))).all()
    assert len(rows) == len(table)
    by_id = {row["registry_dataset_id"]: row for row in table}
    for dataset_id, obs_id, t_min, s_region in rows:
        written = by_id[str(dataset_id)]
        assert written["obs_id"] == obs_id
        assert written["s_region"] == s_region
        assert (written["t_min"] == t_min) if t_min is not None else written["t_min"].mask
    assert str(table["s_ra"].unit) == "deg"
    assert table["t_min"].meta["ucd"] == "time.start;obs.exposure"


def test_make_demo_keeps_the_server_if_told_so() -> None:
    for more, option in (
        ((), "ephemeral  --"),
        (("KEEP=1",), "ephemeral --stay --stopped-by 'make demo-stop' --"),
    ):
        planned = subprocess.run(
            ["make", "-n", "demo", *more], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert f"tapdb {option} .venv/bin/python -m examples.demo" in planned.stdout


SHOW = """
from examples.demo.ask import Answer
from examples.demo.show import Stage
from tapdb.cli.output import prepare_streams
prepare_streams()
stage = Stage()
with stage.step("1. A title"):
    stage.show(Answer("purpose", ("name", "digest"), (("a", "sha256:1…"), ("b", "İ"))))
"""


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-9", "utf-8"])
def test_the_demonstration_is_shown_on_a_terminal_of_any_encoding(encoding: str) -> None:
    master, terminal = os.openpty()
    variables = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SHOW], env=variables, stdout=terminal, check=True)
    os.close(terminal)
    shown = os.read(master, 10_000).decode(encoding)
    os.close(master)
    assert ("sha256:1…" if encoding == "utf-8" else "sha256:1?") in shown
    assert ("─" in shown) == (encoding == "utf-8")


def test_the_demonstration_leaves_a_database_alone_that_holds_a_repository(
    database_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in client_environment(database_url).items():
        monkeypatch.setenv(name, value)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA butler"))
    engine.dispose()
    with pytest.raises(SettingsError, match="schema butler already"):
        main(TINY, tmp_path)
    assert not list(tmp_path.iterdir())
