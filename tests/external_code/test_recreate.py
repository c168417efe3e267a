"""Datasets that were purged and made again: the same UUID, the same values, from as far up as it takes."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from external_code.digests import values_digest
from external_code.errors import NoKeptGraphError, RecreationError
from external_code.recreate import recreate
from tapdb.queue.client import job_status
from tapdb.server.environment import client_environment
from tests.external_code.conftest import Archive
from tests.plugins.job_fixtures import eventually
from tests.plugins.view_fixtures import open_engine


def purge(archive: Archive, *names: str, forget: bool = False, detector: int = 93) -> list[str]:
    """Remove the files of datasets, or all that is known of them; return their UUIDs."""
    identifiers = [archive.dataset(name, detector) for name in names]
    with archive.repository.butler(writeable=True) as butler:
        refs = [ref for one in identifiers if (ref := butler.get_dataset(UUID(one))) is not None]
        butler.pruneDatasets(refs, disassociate=forget, unstore=True, purge=forget)
    return identifiers


def digest_of(archive: Archive, identifier: str) -> str:
    """Return the digest of the values in the file of a dataset."""
    with archive.repository.butler() as butler:
        ref = butler.get_dataset(UUID(identifier))
        assert ref is not None
        return values_digest(Path(butler.getURI(ref).ospath))


def is_stored(archive: Archive, identifier: str) -> bool:
    with archive.repository.butler() as butler:
        ref = butler.get_dataset(UUID(identifier))
        return ref is not None and butler.stored(ref)


def files_of(archive: Archive) -> dict[str, tuple[int, int]]:
    """Return size and time of each file of the RUN."""
    folder = archive.repository.root / archive.done.run
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("name", "forget"), [("background", False), ("sources", True)])
def test_a_purged_dataset_comes_back_under_its_uuid_with_its_values(
    archive: Archive, name: str, *, forget: bool
) -> None:
    before, other_files = digest_of(archive, archive.dataset(name)), files_of(archive)
    (identifier,) = purge(archive, name, forget=forget)
    assert not is_stored(archive, identifier)
    done = archive.tapdb("recreate", "--here", identifier)
    assert done.exit_code == 0, done.output
    assert "made again by 1 quanta" in done.stderr
    assert "equal to what it was" in done.stderr
    assert archive.dataset(name) == identifier
    assert digest_of(archive, identifier) == before
    # Nothing else was written over.
    after = files_of(archive)
    assert {path for path in other_files if other_files[path] != after.get(path)} <= {
        path for path in other_files if f"/{name}/" in path
    }


def test_what_it_was_made_of_is_made_again_first(archive: Archive) -> None:
    level = archive.dataset("background_level")
    before = digest_of(archive, level)
    background, level = purge(archive, "background", "background_level")
    with open_engine(archive.url) as engine, engine.connect() as connection:
        done = recreate(connection, UUID(level))
        assert (done.quanta, done.compared) == (2, True)
        assert digest_of(archive, level) == before
        assert not is_stored(archive, background)
        purge(archive, "background_level")
        assert recreate(connection, UUID(level), with_inputs=True).quanta == 2
        assert is_stored(archive, background)
        assert recreate(connection, UUID(level)).quanta == 0


def test_a_dataset_that_is_there_is_left_alone(archive: Archive) -> None:
    done = archive.tapdb("recreate", "--here", archive.dataset("sources"))
    assert (done.exit_code, done.stderr.split(": ", 1)[1]) == (0, "is stored already\n")


def test_two_requests_at_once_run_once(archive: Archive) -> None:
    (identifier,) = purge(archive, "background", detector=94)
    command = [
        sys.executable,
        "-c",
        "from tapdb.cli.root import main; main()",
        *("recreate", "--here", identifier),
    ]
    both = [
        subprocess.Popen(command, env=client_environment(archive.url), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=120)[1].split(": ", 1)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0] == "is stored already\n"
    assert said[1].startswith("made again by 1 quanta")


def test_it_is_a_job_of_the_queue_of_which_one_waits(archive: Archive, tmp_path: Path) -> None:
    (identifier,) = purge(archive, "background")
    first, second = (archive.tapdb("recreate", identifier) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert "of the queue" in first.stderr
    assert "a job for it waits already" in second.stderr
    job = int(first.stderr.split("job ")[1].split()[0])
    assert not is_stored(archive, identifier)
    worked = archive.tapdb("queue", "work", "--no-wait", "--grace", "0")
    assert worked.exit_code == 0, worked.output
    with open_engine(archive.url) as engine, engine.connect() as connection:
        # What succeeded is forgotten by the queue.
        assert job_status(connection, job) is None
    assert is_stored(archive, identifier)


def test_other_values_are_refused_unless_allowed(archive: Archive) -> None:
    (identifier,) = purge(archive, "background")
    with open_engine(archive.url) as engine, engine.connect() as connection:
        table = sa.table("provenance_dataset", sa.column("dataset"), sa.column("digest"), schema="tapdb")
        here = table.c.dataset == UUID(identifier)
        was = connection.scalar(sa.select(table.c.digest).where(here))
        connection.execute(sa.update(table).where(here).values(digest="data:" + "0" * 64))
        connection.commit()
        with pytest.raises(RecreationError, match="its values are not those that it had"):
            recreate(connection, UUID(identifier))
        assert not is_stored(archive, identifier)
        assert recreate(connection, UUID(identifier), allow_different=True).quanta == 1
        assert is_stored(archive, identifier)
        connection.execute(sa.update(table).where(here).values(digest=was))
        connection.commit()


def test_without_its_input_or_the_kept_graph_it_says_so(archive: Archive) -> None:
    (identifier,) = purge(archive, "background")
    image = archive.dataset("visit_image")
    with archive.repository.butler() as butler:
        ref = butler.get_dataset(UUID(image))
        assert ref is not None
        path = Path(butler.getURI(ref).ospath)
    path.rename(path.with_suffix(".away"))
    try:
        missing = archive.tapdb("recreate", "--here", identifier)
    finally:
        path.with_suffix(".away").rename(path)
    assert missing.exit_code == 1
    assert f"its input {image} is not stored, and nothing is known of how that was made" in missing.stderr
    with open_engine(archive.url) as engine, engine.connect() as connection:
        runs = sa.table("provenance_run", sa.column("source"), schema="tapdb")
        connection.execute(sa.update(runs).values(source="run_provenance"))
        connection.commit()
        try:
            with pytest.raises(NoKeptGraphError, match="no graph of u/tests/first was kept"):
                recreate(connection, UUID(identifier))
        finally:
            connection.rollback()
            connection.execute(sa.update(runs).values(source="tapdb_quantum_graph"))
            connection.commit()
        assert recreate(connection, UUID(identifier)).quanta == 1


def test_of_an_unknown_dataset_it_says_so(archive: Archive) -> None:
    for where, identifier in product(((), ("--here",)), (str(uuid4()), archive.dataset("visit_image"))):
        # Without --here too: no job that nothing can come of.
        result = archive.tapdb("recreate", *where, identifier)
        assert result.exit_code == 1
        assert "nothing is known of how dataset" in result.stderr


@pytest.mark.soak
def test_a_recreation_that_is_ended_ends_its_program(archive: Archive, tmp_path: Path) -> None:
    described = {
        "slow": {
            "executable": "sh",
            "dimensions": ["instrument", "visit", "detector"],
            "arguments": [
                *("-c", f"[ -e {tmp_path}/slow ] && touch {tmp_path}/began && sleep 3606.1; cp $0 out.fits"),
                "{inputs.image}",
            ],
            "inputs": {"image": {"dataset_type": "visit_image", "storage_class": "KeptFits"}},
            "outputs": {
                "copy": {"dataset_type": "slow_copy", "storage_class": "KeptFits", "file": "out.fits"}
            },
        }
    }
    done = archive.tasks.run(described, where="visit = 2026030100001 AND detector = 93")
    loaded = archive.tapdb("provenance", "load", "--private", str(archive.repository.root), done.run)
    assert loaded.exit_code == 0, loaded.output
    with archive.repository.butler(writeable=True) as butler:
        (ref,) = butler.query_datasets("slow_copy", collections=[done.run])
        butler.pruneDatasets([ref], disassociate=False, unstore=True, purge=False)
    (tmp_path / "slow").touch()
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from tapdb.cli.root import main; main()",
            *("recreate", "--here", str(ref.id)),
        ],
        env=client_environment(archive.url),
        stderr=subprocess.DEVNULL,
    ) as process:
        eventually((tmp_path / "began").exists, bool)
        process.terminate()
        assert process.wait(timeout=30) == 143
    running = subprocess.run(["pgrep", "-f", "sleep 3606[.]1"], capture_output=True, check=False)
    assert running.stdout == b""
    assert not is_stored(archive, str(ref.id))
