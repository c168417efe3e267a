"""A migrated database with a registry of images, an ObsCore view over it, and programs that ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from click.testing import CliRunner, Result

from examples.images import OBSCORE_CONFIG, ImageRepository, ImageSurvey, make_image_repository
from examples.programs import SOURCES
from external_code.running import RunSummary
from tapdb.cli.root import main
from tapdb.migrate.run import alembic_config
from tests.plugins.task_fixtures import TaskRunner
from tests.plugins.view_fixtures import open_engine

__all__ = ["Archive", "archive"]


@dataclass(frozen=True)
class Archive:
    """A repository whose registry is in PostgreSQL, and what ran over it.

    Attributes
    ----------
    repository
        The repository.
    url
        Its database, with tapdb's objects and an ObsCore view.
    tasks
        Runs descriptions over it.
    done
        The two-step example over two visits.
    """

    repository: ImageRepository
    url: sa.URL
    tasks: TaskRunner
    done: RunSummary

    def tapdb(self, *arguments: str) -> Result:
        """Run a command of tapdb for the database."""
        return CliRunner(env={"TAPDB_URL": self.url.render_as_string(hide_password=False)}).invoke(
            main, arguments
        )

    def dataset(self, name: str, detector: int = 93) -> str:
        """Return the UUID of a dataset of the first visit."""
        with self.repository.butler() as butler:
            found = butler.find_dataset(
                name,
                instrument="LSSTCam",
                visit=2026030100001,
                detector=detector,
                collections=[self.done.run, "LSSTCam/runs/images"],
            )
            assert found is not None
            return str(found.id)


@pytest.fixture(scope="session")
def archive(
    clone_for_session: Callable[[str], sa.URL],
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Archive:
    """Return the archive with all that ran; its provenance is loaded. Tests that change it put it back."""
    folder = tmp_path_factory.mktemp("archive")
    url = clone_for_session(template_database)
    repository = make_image_repository(folder / "butler", ImageSurvey(epochs=1), url=url)
    with open_engine(url) as engine, engine.begin() as connection:
        options = {"registry_schema": "images", "obscore_config": str(OBSCORE_CONFIG)}
        command.upgrade(alembic_config(connection, **options), "head")
    tasks = TaskRunner(str(repository.root), Path(folder))
    done = tasks.run(tasks.write_described(SOURCES), where="visit > 0", output="u/tests", run="u/tests/first")
    made = Archive(repository, url, tasks, done)
    loaded = made.tapdb("provenance", "load", str(repository.root), done.run)
    assert loaded.exit_code == 0, loaded.output
    return made
