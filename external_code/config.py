"""Configuration of a `WrapperTask`, and the connections that follow from it.

Dimensions, inputs and outputs all come from the configuration: one class serves every program.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lsst.pex.config import ChoiceField, Config, ConfigDictField, DictField, Field, ListField
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

RECORD_CLASS = "StructuredDataDict"
"""Storage class of the record of an execution; every repository knows it."""

INPUT, OUTPUT, RECORD = "input_", "output_", "record"
"""Connections are called by these, and the names of inputs and outputs."""


class InputConfig(Config):
    """One input: a dataset that the quantum's data ID leads to, as a file."""

    dataset_type = Field[str](doc="Dataset type.")
    storage_class = Field[str](doc="Storage class of the dataset type.")
    dimensions = ListField[str](
        doc="Dimensions of the dataset type; those of the task by default.", default=[]
    )
    access = ChoiceField[str](
        doc="How the program gets the file.",
        allowed={
            "auto": "The file itself if it is local, else a copy.",
            "in_place": "The file itself; an error if it is not local.",
            "copy": "A copy, always.",
            "uri": "Its URI, such as s3://bucket/path.",
        },
        default="auto",
        optional=False,
    )
    hdu = Field[str](
        doc="Number or EXTNAME of the one HDU of a FITS file that the program gets, uncompressed, as a copy.",
        default="",
    )
    calibration = Field[bool](
        doc="Whether the dataset is found by validity range, in a CALIBRATION collection.", default=False
    )


class OutputConfig(Config):
    """One output: a file that the program writes, as a dataset with the quantum's data ID."""

    dataset_type = Field[str](doc="Dataset type.")
    storage_class = Field[str](doc="Storage class of the dataset type.")
    file = Field[str](doc="Name of the file within the program's folder; a template.")
    by = ChoiceField[str](
        doc="How the file becomes a dataset.",
        allowed={
            "put": "It is read into memory, and put.",
            "ingest": "It moves into the datastore unread, under a storage class that reads such files.",
            "pass": "It moves into the datastore unread, under a storage class that passes files through.",
        },
        default="pass",
        optional=False,
    )
    reader = Field[str](
        doc="For put: a function as module:name that is given the path; by storage class if not given.",
        default="",
    )
    required = Field[bool](doc="Whether the quantum fails if the file is missing.", default=True)


class WrapperConnections(PipelineTaskConnections, dimensions=()):
    """Connections that follow from a configuration."""

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        self.dimensions = set(config.dimensions)
        for name, one in config.inputs.items():
            kind = PrerequisiteInput if one.calibration else Input
            made = kind(
                doc=f"Input {name}.",
                name=one.dataset_type,
                storageClass=one.storage_class,
                dimensions=tuple(one.dimensions) or tuple(config.dimensions),
                isCalibration=one.calibration,
                deferLoad=True,
            )
            setattr(self, f"{INPUT}{name}", made)
        for name, output in config.outputs.items():
            made_output = Output(
                doc=f"Output {name}.",
                name=output.dataset_type,
                storageClass=output.storage_class,
                dimensions=tuple(config.dimensions),
            )
            setattr(self, f"{OUTPUT}{name}", made_output)
        record = Output(
            doc="What was run, how it ended, what it said, what it wrote.",
            name=config.record,
            storageClass=RECORD_CLASS,
            dimensions=tuple(config.dimensions),
        )
        setattr(self, RECORD, record)


class WrapperConfig(PipelineTaskConfig, pipelineConnections=WrapperConnections):
    """What a `WrapperTask` runs, on what, and what becomes of what it writes."""

    dimensions = ListField[str](doc="Dimensions: the program runs once for each data ID.")
    executable = Field[str](doc="Program: a path, or a name that is found by PATH.")
    arguments = ListField[str](doc="Its arguments; templates.", default=[])
    environment = DictField[str, str](
        doc="Environment variables beside those there are; templates.", default={}
    )
    timeout = Field[float](doc="Seconds that the program may run; 0 is without limit.", default=3600.0)
    ok_codes = ListField[int](doc="Exit codes that mean success.", default=[0])
    inputs = ConfigDictField(doc="Inputs by name.", keytype=str, itemtype=InputConfig, default={})
    outputs = ConfigDictField(doc="Outputs by name.", keytype=str, itemtype=OutputConfig, default={})
    record = Field[str](doc="Dataset type of the record of each execution.")
    directory = Field[str](
        doc="Folder that keeps a folder for each data ID, with what the program wrote; removed if not given.",
        default="",
    )
    keep_bytes = Field[int](
        doc="Maximum number of bytes of each of standard output and error in the record.", default=4 << 20
    )

    def fill(self, settings: Mapping[str, Any]) -> None:
        """Set all fields from plain values: what a pipeline calls that ``tapdb task init`` has written.

        Parameters
        ----------
        settings
            Values by the names of fields; inputs and outputs are mappings of such mappings.
        """
        for name, value in settings.items():
            if name in {"inputs", "outputs"}:
                part = InputConfig if name == "inputs" else OutputConfig
                field = getattr(self, name)
                for key, values in value.items():
                    field[key] = part()
                    for option, one in values.items():
                        setattr(field[key], option, one)
            else:
                setattr(self, name, _plain(value))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def template_keys(config: Any, data_id: Sequence[str]) -> set[str]:
    """Return the names that templates of a configuration may have.

    Parameters
    ----------
    config
        A `WrapperConfig`.
    data_id
        Names of the dimensions of a data ID.
    """
    return {
        "directory",
        *(f"inputs.{name}" for name in config.inputs),
        *(f"outputs.{name}" for name in config.outputs),
        *(f"id.{name}" for name in data_id),
    }
