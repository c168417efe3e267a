"""A short description of programs, in YAML, and the pipeline that is written from it."""

import pprint
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from external_code.errors import TaskFileError

_TASK = "external_code.task.WrapperTask"
_LINE = 100


class _Part(BaseModel):
    """A part of a description: no key is ignored."""

    model_config = ConfigDict(extra="forbid")


class DescribedInput(_Part):
    """An input of a program."""

    dataset_type: str = Field(description="Dataset type.")
    storage_class: str = Field(description="Storage class of the dataset type.")
    dimensions: list[str] = Field(default=[], description="Its dimensions, if not those of the task.")
    access: Literal["auto", "in_place", "copy", "uri"] = Field(
        default="auto", description="The file itself where it is local, always, a copy, or the URI."
    )
    hdu: Annotated[str, BeforeValidator(str)] = Field(
        default="", description="Number or EXTNAME of the one HDU that is written for the program."
    )
    calibration: bool = Field(default=False, description="Whether it is found by validity range.")


class DescribedOutput(_Part):
    """An output of a program."""

    dataset_type: str = Field(description="Dataset type.")
    storage_class: str = Field(description="Storage class of the dataset type.")
    file: str = Field(description="Name of the file that the program writes; a template.")
    by: Literal["put", "ingest", "pass"] = Field(
        default="pass", description="Read and put, or moved unread: ingested, or passed through."
    )
    reader: str = Field(default="", description="For put: module:function that reads the file.")
    required: bool = Field(default=True, description="Whether the quantum fails without the file.")


class DescribedTask(_Part):
    """A program and what it is run on."""

    executable: str = Field(description="Program: a path, or a name that is found by PATH.")
    dimensions: list[str] = Field(min_length=1, description="It runs once for each data ID.")
    arguments: list[Annotated[str, BeforeValidator(str)]] = Field(default=[], description="Templates.")
    environment: dict[str, Annotated[str, BeforeValidator(str)]] = Field(default={}, description="Templates.")
    timeout: float = Field(default=3600.0, ge=0, description="Seconds; 0 is without limit.")
    ok_codes: list[int] = Field(default=[0], description="Exit codes that mean success.")
    inputs: dict[str, DescribedInput] = Field(default={}, description="Inputs by name.")
    outputs: dict[str, DescribedOutput] = Field(default={}, description="Outputs by name.")
    record: str = Field(default="", description="Dataset type of the record; LABEL_record by default.")
    directory: str = Field(default="", description="Folder in which what programs write stays.")
    keep_bytes: int = Field(default=4 << 20, ge=0, description="Of each stream in the record.")


class DescribedPipeline(_Part):
    """Programs that run one after the other, as their inputs and outputs say."""

    description: str = Field(description="What the pipeline is for.")
    tasks: dict[str, DescribedTask] = Field(min_length=1, description="Tasks by label.")


def read_description(file: Path) -> DescribedPipeline:
    """Read a description: ``{here}`` in it is its folder, ``{python}`` the Python that runs this.

    Parameters
    ----------
    file
        A YAML file.

    Raises
    ------
    TaskFileError
        Raised if it is no YAML, or has keys or values that nothing is known of.
    OSError
        Raised if it cannot be read.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return DescribedPipeline.model_validate(
            _filled(content, {"{here}": str(file.parent.absolute()), "{python}": sys.executable})
        )
    except yaml.YAMLError as error:
        raise TaskFileError(str(file), f"is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "top level"
        raise TaskFileError(str(file), f"{place}: {first['msg']}", "see docs/external-code.md") from error


def _filled(value: Any, paths: Mapping[str, str]) -> Any:
    """Return plain values with paths in place of names that stand for them."""
    if isinstance(value, str):
        for name, path in paths.items():
            value = value.replace(name, path)
        return value
    if isinstance(value, list):
        return [_filled(one, paths) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, paths) for key, one in value.items()}
    return value


def pipeline_text(described: DescribedPipeline) -> str:
    """Return a pipeline, as YAML of lsst-pipe-base, that runs what is described.

    Parameters
    ----------
    described
        The description.
    """
    tasks = {label: _task(label, one) for label, one in described.tasks.items()}
    return yaml.dump(
        {"description": described.description, "tasks": tasks}, Dumper=_Dumper, sort_keys=False, width=_LINE
    )


def _task(label: str, described: DescribedTask) -> dict[str, Any]:
    settings = described.model_dump(exclude_defaults=True)
    settings["record"] = described.record or f"{label}_record"
    text = pprint.pformat(settings, sort_dicts=False, width=_LINE)
    return {"class": _TASK, "config": [{"python": _Block(f"config.fill(\n{text}\n)\n")}]}


class _Block(str):
    """Text that is written line by line."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes blocks as blocks."""


def _write_block(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Block, _write_block)
