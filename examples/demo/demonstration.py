"""A Butler repository becomes ``ivoa.ObsCore`` and stays so, an APDB a PPDB whose queries can be repeated.

``tapdb ephemeral -- python -m examples.demo``. Everything is real: daf_butler makes the repository, dax_apdb
the APDB, Alembic the schema, and the questions are put by the role that a TAP service uses.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from lsst.daf.butler import Butler

from tapdb.errors import SettingsError
from tapdb.postgres.engine import create_engine
from tapdb.settings import database_url

from ..database import SCHEMA, add_repository, migrate
from ..lsstcam import (
    SMALL,
    Content,
    Pointing,
    Repository,
    define_visits,
    ingest_raws,
    next_pointing,
    process_visit,
    replace_region,
)
from ..lsstcam.records import detector_region_records
from .ask import ask
from .replay import demonstrate_replay
from .service import demonstrate_service
from .show import Stage
from .sky_map import draw_sky, parse_region
from .votable import read_back, write_answer

__all__ = ["main"]

_CONTENT = replace(SMALL, edges=False)


def main(
    content: Content = _CONTENT,
    output: Path = Path("demo-output"),
    files: Path | None = None,
    *,
    keep: bool = False,
    lake: bool = False,
) -> None:
    """Run the demonstration in the database that the environment names.

    Parameters
    ----------
    content
        What the repository holds.
    output
        Directory for the files that are written; made if missing.
    files
        Folder for the repository; a temporary one if it is not given.
    keep
        Whether the service is left running; without `files` it is not.
    lake
        Whether the history of the PPDB is written to files too, into folder ``lake`` beside the repository.

    Raises
    ------
    SettingsError
        Raised if the database holds a schema of the repository's name already.
    """
    if files is None:
        with tempfile.TemporaryDirectory(prefix="tapdb-demo-") as folder:
            main(content, output, Path(folder), lake=lake)
            return
    url = database_url()
    engine = create_engine(url)
    try:
        stage = Stage()
        _demonstrate(stage, engine, url, content, output, files)
        demonstrate_replay(stage, url, output, lake=files / "lake" if lake else None)
        demonstrate_service(stage, files, keep=keep)
        _sum_up(stage)
    finally:
        engine.dispose()


def _demonstrate(
    stage: Stage, engine: sa.Engine, url: sa.URL, content: Content, output: Path, files: Path
) -> None:
    if sa.inspect(engine).has_schema(SCHEMA):
        raise SettingsError(
            "a database for the demonstration",
            f"this one has a schema {SCHEMA} already",
            "give it an empty one, as `tapdb ephemeral -- python -m examples.demo` does",
        )
    # Before the minutes that it takes until there is something to write.
    output.mkdir(exist_ok=True)
    repository = _make_repository(stage, url, files, content)
    _upgrade(stage, engine, url)
    _ask_questions(stage, engine)
    with repository.butler(writeable=True) as butler:
        _look_up(stage, engine, butler)
        late = _ingest_one_more_visit(stage, engine, butler, repository)
        _replace_a_region(stage, engine, butler, late)
    _write_files(stage, engine, output)


def _make_repository(stage: Stage, url: sa.URL, files: Path, content: Content) -> Repository:
    with stage.step("1. A Butler repository, made with daf_butler"):
        repository = add_repository(url, files, content)
        visits, detectors, tracts = map(len, (content.pointings, content.detector_ids, content.tracts))
        stage.say(
            f"{visits} visits, {detectors} detectors each, {tracts} tracts, at RA 0 and both poles too."
        )
    return repository


def _upgrade(stage: Stage, engine: sa.Engine, url: sa.URL) -> None:
    with stage.step("2. alembic upgrade head"):
        migrate(url)
        stage.say(
            "From here on every dataset is in ivoa.ObsCore in the transaction that puts it into the Butler."
        )
        stage.show(ask(engine, "published"))


def _ask_questions(stage: Stage, engine: sa.Engine) -> None:
    with stage.step("3. Questions"):
        stage.show(ask(engine, "products"))
        stage.show(ask(engine, "cone", ra_deg=0.0, dec_deg=0.0, radius_deg=0.02))
        stage.show(ask(engine, "point", ra_deg=0.0, dec_deg=90.0))
        begin_mjd = ask(engine, "products").column("first_mjd")[0]
        stage.show(ask(engine, "time_window", begin_mjd=begin_mjd, end_mjd=begin_mjd + 3.0 / 1440.0))


def _look_up(stage: Stage, engine: sa.Engine, butler: Butler) -> None:
    with stage.step("4. From an identifier to the dataset, and back"):
        ref = butler.query_datasets("deep_coadd", "*", find_first=False, limit=1)[0]
        did = f"ivo://org.rubinobs/usdac/lsst-demo?repo=demo&id={ref.id}"
        answer = ask(engine, "by_did", did=did)
        stage.show(answer)
        parsed = Butler.parse_dataset_uri(str(answer.column("obs_publisher_did")[0]))
        stage.say(f"In repository {parsed.label!r} Butler finds {butler.get_dataset(parsed.dataset_id)}")


def _ingest_one_more_visit(
    stage: Stage, engine: sa.Engine, butler: Butler, repository: Repository
) -> Pointing:
    with stage.step("5. One more visit is ingested with daf_butler"):
        late = next_pointing(repository.content, 0.9, 1.2)
        with butler.transaction():
            ingest_raws(butler, repository, late)
            before = ask(engine, "by_visit", visit=late.id)
            stage.say(
                f"Until it commits, another session sees {len(before.rows)} datasets of visit {late.id}."
            )
        stage.say("As soon as it has committed, the raws are there; where they lie is not known yet:")
        stage.show(ask(engine, "by_visit", visit=late.id))
        define_visits(butler, repository, [late])
        process_visit(butler, repository, late)
        stage.say(
            "The visit is defined and processed. The raws have regions now, without a second look at them:"
        )
        stage.show(ask(engine, "by_visit", visit=late.id))
    return late


def _replace_a_region(stage: Stage, engine: sa.Engine, butler: Butler, pointing: Pointing) -> None:
    with stage.step("6. A region is replaced, and the view follows"):
        where = {"instrument": pointing.instrument, "visit": pointing.id, "detector": 94}
        (image,) = butler.query_datasets("visit_image", "*", find_first=False, data_id=where)
        stage.show(ask(engine, "by_dataset", dataset_id=image.id))
        better = replace(pointing, dec_deg=pointing.dec_deg + 0.05)
        (record,) = detector_region_records(better, [94])
        replace_region(butler, "visit_detector_region", record)
        stage.say("The astrometry is solved again, 0.05 deg further north:")
        stage.show(ask(engine, "by_dataset", dataset_id=image.id))


def _write_files(stage: Stage, engine: sa.Engine, output: Path) -> None:
    with stage.step("7. Files"):
        answer = ask(engine, "everything")
        write_answer(answer, output / "obscore.vot")
        table = read_back(output / "obscore.vot")
        stage.say(f"{output}/obscore.vot: {len(table):,} rows, {len(table.columns)} columns, valid VOTable")
        outlines = zip(answer.column("s_region"), answer.column("dataproduct_subtype"), strict=True)
        drawn = draw_sky([parse_region(region, kind) for region, kind in outlines], output / "footprints.png")
        stage.say(f"{output}/footprints.png: {drawn:,} footprints on the sky")


def _sum_up(stage: Stage) -> None:
    stage.console.rule("[bold]Time", align="left")
    for title, seconds in stage.took_s.items():
        stage.say(f"{seconds:7.2f} s  {title}")
    stage.say(f"{sum(stage.took_s.values()):7.2f} s  in all")
