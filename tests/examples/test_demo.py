"""The demonstration runs from start to end, and what it writes is what the view says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from examples.demo.__main__ import main
from examples.demo.votable import read_back
from examples.lsstcam import TINY
from tapdb.engine import checked_connection, create_engine
from tapdb.errors import SettingsError
from tapdb.server_environment import client_environment

_COMPARED = ("registry_dataset_id", "obs_id", "t_min", "s_region")


def test_the_demonstration_shows_late_data_and_writes_what_the_view_says(
    database_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in client_environment(database_url).items():
        monkeypatch.setenv(name, value)

    main(replace(TINY, edges=False), tmp_path)

    shown = capfd.readouterr().out
    assert "Until it commits, another session sees 0 datasets" in shown
    assert "POLYGON ICRS" in shown
    assert "In repository 'demo' Butler finds deep_coadd@" in shown
    assert (tmp_path / "footprints.png").stat().st_size > 10_000
    assert (tmp_path / "light-curve.png").stat().st_size > 10_000
    # Every replay is identical, and each of the queries finds something else meanwhile.
    digests = re.findall(r"│ (objects|bands|light curve) .*?(sha256:\w+)", shown)
    assert len(digests) == 9
    for name in ("objects", "bands", "light curve"):
        then, now, replayed = (digest for one, digest in digests if one == name)
        assert then == replayed != now
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
