"""Fixtures for programs over images: a repository on SQLite, and what runs a description over it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.images import ImageRepository, make_image_repository
from examples.images.repository import CALIBRATION, IMAGE_RUN
from external_code.description import pipeline_text, read_description
from external_code.running import RunSummary, open_repository, run_pipeline

__all__ = ["BY_DETECTOR", "FIRST_VISIT", "IMAGE", "TaskRunner", "image_repository", "tasks"]

FIRST_VISIT = 2026030100001
BY_DETECTOR = ("instrument", "visit", "detector")
IMAGE = {"dataset_type": "visit_image", "storage_class": "KeptFits"}

_numbers = itertools.count()


@dataclass(frozen=True)
class TaskRunner:
    """Runs descriptions over one repository; each run has names of its own.

    Attributes
    ----------
    repository
        Folder of the repository.
    folder
        Folder for descriptions and pipelines.
    """

    repository: str
    folder: Path

    def write(self, tasks: Mapping[str, Any]) -> Path:
        """Write a pipeline that runs what is described."""
        number = next(_numbers)
        description = self.folder / f"description-{number}.yaml"
        description.write_text(yaml.safe_dump({"description": "A test.", "tasks": dict(tasks)}))
        return self.write_described(description)

    def write_described(self, description: Path) -> Path:
        """Write a pipeline from the file of a description."""
        pipeline = self.folder / f"pipeline-{next(_numbers)}.yaml"
        pipeline.write_text(pipeline_text(read_description(description)))
        return pipeline

    def run(
        self, pipeline: Path | Mapping[str, Any], where: str = f"visit = {FIRST_VISIT}", **options: Any
    ) -> RunSummary:
        """Run a pipeline, or what is described."""
        file = pipeline if isinstance(pipeline, Path) else self.write(pipeline)
        return run_pipeline(
            self.repository,
            str(file),
            inputs=options.pop("inputs", (IMAGE_RUN, CALIBRATION)),
            output=options.pop("output", f"u/tests/{next(_numbers)}"),
            where=where,
            **options,
        )

    def get(self, run: str, name: str, visit: int = FIRST_VISIT, detector: int = 93) -> Any:
        """Return a dataset of a RUN."""
        with self.butler(run) as butler:
            return butler.get(name, instrument="LSSTCam", visit=visit, detector=detector)

    def butler(self, run: str) -> Any:
        """Return a Butler for a RUN, as a context manager."""
        return open_repository(self.repository, collections=[run])


@pytest.fixture(scope="session")
def image_repository(tmp_path_factory: pytest.TempPathFactory) -> ImageRepository:
    """Return a repository of images on SQLite; tests add RUNs of their own, and change none."""
    return make_image_repository(tmp_path_factory.mktemp("images") / "butler")


@pytest.fixture(scope="session")
def tasks(image_repository: ImageRepository, tmp_path_factory: pytest.TempPathFactory) -> TaskRunner:
    """Return what runs descriptions over `image_repository`."""
    return TaskRunner(str(image_repository.root), tmp_path_factory.mktemp("pipelines"))
