"""Find what would fail, before anything runs: programs, templates, dataset types, storage classes, files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    DatasetType,
    FormatterFactory,
    StorageClassFactory,
)
from lsst.daf.butler.datastore.composites import CompositesMap

from external_code.config import template_keys
from external_code.errors import OutputFileError, ProgramError, TemplateNameError
from external_code.placing import find_reader
from external_code.program import find_program
from external_code.running import open_repository, read_pipeline
from external_code.storage import CLASSES
from external_code.task import WrapperTask
from external_code.templates import require_names, template_names
from tapdb.findings import Finding

_PREPARE = "tapdb task init --repository REPO adds them"


def check_pipeline(repository: str, pipeline_file: str, *, quantum_backed: bool = False) -> list[Finding]:
    """Return what is wrong with the programs of a pipeline, or with the repository for them.

    Parameters
    ----------
    repository
        Folder or label of the repository.
    pipeline_file
        File of the pipeline.
    quantum_backed
        Whether it is to run under a Quantum-Backed Butler, such as by ``pipetask run-qbb``.

    Raises
    ------
    TaskFileError
        Raised if the pipeline cannot be read.
    RepositoryError
        Raised if the repository cannot be opened.
    """
    pipeline = read_pipeline(pipeline_file)
    with open_repository(repository) as butler:
        datastore = _Datastore(repository, butler)
        produced = {
            one.dataset_type
            for node in pipeline.tasks.values()
            for one in getattr(node.config, "outputs", {}).values()
        }
        found: list[Finding] = []
        for label, node in pipeline.tasks.items():
            if not issubclass(node.task_class, WrapperTask):
                continue
            config = node.config
            wrong = list(_check_program(label, config, butler))
            found += wrong
            if any((one.rule, one.subject) == ("dimensions", label) for one in wrong):
                continue
            for name, one in config.inputs.items():
                found += _check_input(f"{label}.inputs.{name}", one, config, butler, produced)
                found += datastore.check_input(f"{label}.inputs.{name}", one)
            for name, one in config.outputs.items():
                found += datastore.check_output(f"{label}.outputs.{name}", name, one, config)
                if one.by == "ingest" and quantum_backed:
                    found.append(_no_ingest(f"{label}.outputs.{name}"))
        return found


def _no_ingest(subject: str) -> Finding:
    return Finding(
        "error",
        "quantum-backed",
        subject,
        "a Quantum-Backed Butler cannot ingest files",
        f"store it by pass, with a storage class that passes files through: {', '.join(CLASSES)}",
    )


def _check_program(label: str, config: Any, butler: Butler) -> Iterator[Finding]:
    """Yield what is wrong with the program, its templates and its folder."""
    try:
        dimensions = butler.dimensions.conform(config.dimensions)
    except LookupError as error:
        yield Finding("error", "dimensions", label, str(error), "see: butler query-dimension-records")
        return
    known = template_keys(config, tuple(dimensions.names))
    texts = {
        "executable": config.executable,
        **{f"arguments[{number}]": text for number, text in enumerate(config.arguments)},
        **{f"environment.{name}": text for name, text in config.environment.items()},
        **{f"outputs.{name}.file": one.file for name, one in config.outputs.items()},
    }
    named: set[str] = set()
    for place, text in texts.items():
        try:
            require_names(text, known)
        except TemplateNameError as error:
            yield Finding("error", "template", f"{label}.{place}", str(error))
        else:
            named |= set(template_names(text))
    if "{" not in config.executable:
        try:
            find_program(config.executable, config.environment.get("PATH"))
        except ProgramError as error:
            yield Finding("error", "executable", label, str(error))
    for name in config.inputs:
        if f"inputs.{name}" not in named:
            yield Finding("warning", "unused", f"{label}.inputs.{name}", "no template names this input")
    if config.directory and not _can_be_made(Path(config.directory).absolute()):
        yield Finding("error", "directory", label, f"{config.directory} cannot be made, or not written to")


def _can_be_made(folder: Path) -> bool:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _check_input(
    subject: str, one: Any, config: Any, butler: Butler, produced: set[str]
) -> Iterator[Finding]:
    """Yield what is wrong with an input beside what the registry says of its dataset type."""
    if one.dataset_type in produced:
        return
    try:
        known = butler.get_dataset_type(one.dataset_type)
    except LookupError:
        yield Finding(
            "error", "dataset-type", subject, f"the repository has no dataset type {one.dataset_type}"
        )
        return
    wanted = butler.dimensions.conform(list(one.dimensions) or list(config.dimensions))
    if known.dimensions != wanted:
        has, says = ", ".join(known.dimensions.required), ", ".join(wanted.required)
        yield Finding("error", "dimensions", subject, f"{one.dataset_type} has dimensions {has}, not {says}")
    if not set(known.dimensions.required) <= set(butler.dimensions.conform(config.dimensions).names):
        yield Finding(
            "error", "dimensions", subject, "the data ID of the task does not lead to one dataset (WPT-005)"
        )
    if known.storageClass_name != one.storage_class:
        yield Finding(
            "error",
            "storage-class",
            subject,
            f"{one.dataset_type} has storage class {known.storageClass_name}, not {one.storage_class}",
        )
    if known.isCalibration() != one.calibration:
        yield Finding(
            "error" if one.calibration else "warning",
            "calibration",
            subject,
            f"{one.dataset_type} is {'a' if known.isCalibration() else 'no'} calibration",
            f"calibration: {str(known.isCalibration()).lower()}",
        )


class _Datastore:
    """What the configuration of a repository says of files."""

    def __init__(self, repository: str, butler: Butler) -> None:
        self._universe = butler.dimensions
        self._options = list(_file_options(ButlerConfig(repository)["datastore"]))
        self._formatters = []
        for options in self._options:
            factory = FormatterFactory()
            factory.registerFormatters(options["formatters"], universe=butler.dimensions)
            self._formatters.append(factory)

    def check_input(self, subject: str, one: Any) -> Iterator[Finding]:
        """Yield a finding if new datasets of the type would be in several files (WPT-101)."""
        made = self._dataset_type(one, ())
        if made is None:
            yield _unknown_class(subject, one.storage_class)
            return
        for options in self._options:
            if "composites" in options and made.storageClass.isComposite():
                composites = CompositesMap(options["composites"], universe=self._universe)
                if composites.shouldBeDisassembled(made):
                    yield Finding(
                        "error",
                        "composite",
                        subject,
                        f"datasets of {one.dataset_type} are in several files (WPT-101: in one)",
                    )
                    return

    def check_output(self, subject: str, name: str, one: Any, config: Any) -> Iterator[Finding]:
        """Yield what is wrong with how a file becomes a dataset."""
        made = self._dataset_type(one, tuple(config.dimensions))
        if made is None:
            yield _unknown_class(subject, one.storage_class)
            return
        if one.by == "put":
            try:
                find_reader(name, one)
            except OutputFileError as error:
                yield Finding("error", "reader", subject, str(error))
            return
        passes = one.storage_class in CLASSES
        if passes is not (one.by == "pass"):
            problem = (
                f"{one.storage_class} {'passes files through' if passes else 'does not pass files through'}"
            )
            remedy = "by: pass" if passes else f"by: ingest or put, or one of {', '.join(CLASSES)}"
            yield Finding("error", "storage-class", subject, problem, remedy)
        else:
            yield from self._check_extension(subject, one, made)

    def _check_extension(self, subject: str, one: Any, made: Any) -> Iterator[Finding]:
        """Yield a finding if the formatter reads no files of such an extension."""
        for factory in self._formatters:
            try:
                formatter = factory.getFormatterClass(made)
            except (KeyError, ImportError) as error:
                yield Finding("error", "formatter", subject, f"no formatter for {one.storage_class}: {error}")
                return
            extensions = {CLASSES[one.storage_class]} if one.by == "pass" else _extensions(formatter)
            endings = ", ".join(sorted(extensions))
            if extensions and Path(one.file).suffix not in extensions:
                yield Finding(
                    "error" if one.by == "ingest" else "warning",
                    "extension",
                    subject,
                    f"{one.file} is no file of {one.storage_class}; they end in {endings}",
                )

    def _dataset_type(self, one: Any, dimensions: tuple[str, ...]) -> DatasetType | None:
        if one.storage_class not in StorageClassFactory():
            return None
        return DatasetType(one.dataset_type, dimensions, one.storage_class, universe=self._universe)


def _unknown_class(subject: str, name: str) -> Finding:
    remedy = _PREPARE if name in CLASSES else "see the storageClasses of butler.yaml"
    return Finding("error", "storage-class", subject, f"the repository has no storage class {name}", remedy)


def _extensions(formatter: Any) -> set[str]:
    names = ("supported_extensions", "supportedExtensions")
    known: set[str] = {one for name in names for one in getattr(formatter, name, None) or ()}
    default = getattr(formatter, "default_extension", None) or getattr(formatter, "extension", None)
    return known | ({default} if isinstance(default, str) else set())


def _file_options(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the options of each datastore of files."""
    # A Config is a mapping whose get() takes no default of another type.
    if "datastores" not in options:
        if "formatters" in options:
            yield options
        return
    for part in options["datastores"]:
        yield from _file_options(part["datastore"] if "datastore" in part else part)  # noqa: SIM401
