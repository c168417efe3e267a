"""A PipelineTask that runs a program of somebody else's, once for each quantum.

Requirements WPT-001 to WPT-005, WPT-101 and WPT-102 of Rubin's note on external code say what it does.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst.pipe.base import PipelineTask, RepeatableQuantumError

from external_code.config import INPUT, OUTPUT, RECORD, WrapperConfig
from external_code.digests import values_digest
from external_code.errors import OutputFileError, ProgramError
from external_code.placing import place_input, store_output
from external_code.program import Ran, find_program, program_sha256, run_program
from external_code.templates import fill_template
from tapdb.errors import TapdbError

_LOG = logging.getLogger(__name__)
_LONGEST_SAID = 500
RECORD_VERSION = 1


class QuantumFailedError(TapdbError, RepeatableQuantumError):
    """A quantum failed, and would fail again on the same input.

    Parameters
    ----------
    problem
        What happened.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)


@dataclass(slots=True)
class _Execution:
    """What is known of one execution, for its record."""

    argv: list[str] = field(default_factory=list)
    program: str = ""
    digest: str = ""
    ran: Ran | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    def as_record(self, data_id: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record: plain values."""
        ran = self.ran
        return {
            "version": RECORD_VERSION,
            "data_id": dict(data_id),
            "argv": self.argv,
            "executable": self.program,
            "executable_sha256": self.digest,
            "exit_code": ran.exit_code if ran else None,
            "signal": ran.signal if ran else None,
            "timed_out": ran.timed_out if ran else False,
            "seconds": round(ran.seconds, 6) if ran else None,
            "processes_ended": ran.ended if ran else 0,
            "problem": self.problem,
            "inputs": self.inputs,
            "files": self.files,
            "outputs": self.outputs,
            "stdout_bytes": ran.stdout_bytes if ran else 0,
            "stderr_bytes": ran.stderr_bytes if ran else 0,
            "stdout": ran.stdout if ran else "",
            "stderr": ran.stderr if ran else "",
        }


class WrapperTask(PipelineTask):
    """Runs an executable on the datasets of one data ID, and stores what it wrote.

    Nothing is kept between quanta: each has folders and a process group of its own.
    """

    config: Any
    ConfigClass = WrapperConfig
    _DefaultName = "wrapper"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Run the program once for one quantum.

        Parameters
        ----------
        butlerQC
            Gets and puts the datasets of the quantum.
        inputRefs, outputRefs
            References of its inputs and outputs.

        Raises
        ------
        QuantumFailedError
            Raised if the program failed, was ended, or did not write what it was to write, and if an input
            cannot be given to it. The record says why, and is kept before.
        """
        data_id = {str(name): value for name, value in butlerQC.quantum.dataId.mapping.items()}
        record_ref = getattr(outputRefs, RECORD)
        execution = _Execution()
        with self._folders(record_ref.run, data_id) as (directory, private):
            try:
                self._execute(execution, butlerQC, inputRefs, outputRefs, data_id, directory, private)
            except (TapdbError, OSError) as error:
                execution.problem = str(error)
                raise QuantumFailedError(f"{self.getName()}: {error}") from error
            finally:
                if execution.problem is None and execution.ran is None:
                    execution.problem = "interrupted"
                butlerQC.put(execution.as_record(data_id), record_ref)

    @contextmanager
    def _folders(self, run: str, data_id: Mapping[str, Any]) -> Iterator[tuple[Path, Path]]:
        """Give the folder that the program runs in, and one for copies and streams that is removed."""
        private = Path(tempfile.mkdtemp(prefix="tapdb-quantum-"))
        try:
            if self.config.directory:
                name = "_".join(f"{key}={data_id[key]}" for key in sorted(self.config.dimensions))
                directory = Path(self.config.directory).absolute() / run / self.getName() / (name or "all")
                # What an attempt before has left would be taken for what this one writes.
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir(parents=True)
            else:
                directory = private / "work"
                directory.mkdir()
            yield directory, private
        finally:
            shutil.rmtree(private, ignore_errors=True)

    def _execute(
        self,
        execution: _Execution,
        context: Any,
        input_refs: Any,
        output_refs: Any,
        data_id: Mapping[str, Any],
        directory: Path,
        private: Path,
    ) -> None:
        config = self.config
        values: dict[str, object] = {
            "directory": directory,
            **{f"id.{key}": one for key, one in data_id.items()},
        }
        handles = {name: context.get(getattr(input_refs, f"{INPUT}{name}")) for name in config.inputs}
        for name, one in config.inputs.items():
            folder = private / "inputs" / name
            folder.mkdir(parents=True)
            values[f"inputs.{name}"] = place_input(name, one, handles[name], folder)
            execution.inputs[name] = str(handles[name].ref.id)
        for name, one in config.outputs.items():
            values[f"outputs.{name}"] = directory / fill_template(one.file, values)
        environment = {
            **os.environ,
            **{key: fill_template(text, values) for key, text in config.environment.items()},
        }
        program = find_program(fill_template(config.executable, values), environment.get("PATH"))
        execution.argv = [str(program), *(fill_template(text, values) for text in config.arguments)]
        execution.program, execution.digest = str(program), program_sha256(program)
        ran = run_program(
            execution.argv,
            directory=directory,
            console=private,
            environment=environment,
            timeout_s=config.timeout or None,
            keep_bytes=config.keep_bytes,
        )
        execution.ran = ran
        execution.files = list(_files_in(directory))
        self.log.info("%s ended after %.2f s with %s", program.name, ran.seconds, _ending(ran))
        if ran.timed_out or ran.exit_code not in set(config.ok_codes):
            raise ProgramError(program.name, _failure(ran, config.timeout))
        self._store(execution, context, output_refs, values, next(iter(handles.values()), None))

    def _store(
        self, execution: _Execution, context: Any, output_refs: Any, values: Mapping[str, object], handle: Any
    ) -> None:
        """Make datasets of the files, all that there are, before saying which are missing."""
        missing = []
        for name, one in self.config.outputs.items():
            path = Path(str(values[f"outputs.{name}"]))
            if not path.is_file():
                if one.required:
                    missing.append(f"{name} ({path.name})")
                continue
            ref = getattr(output_refs, f"{OUTPUT}{name}")
            execution.outputs[name] = {
                "dataset": str(ref.id),
                "dataset_type": ref.datasetType.name,
                "file": path.name,
                "bytes": path.stat().st_size,
                "digest": values_digest(path),
                "by": one.by,
            }
            store_output(name, one, ref, path, context.put, getattr(handle, "butler", None))
            if one.by == "ingest":
                # What was put is noted by the context; an ingested file is an output like it.
                context.outputsPut.add((ref.datasetType, ref.dataId, ref.id))
        if missing:
            raise OutputFileError(", ".join(missing), f"the program wrote no such file{_said(execution.ran)}")


def _files_in(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield {"name": str(path.relative_to(directory)), "bytes": path.stat().st_size}


def _ending(ran: Ran) -> str:
    return f"exit code {ran.exit_code}" if ran.signal is None else f"signal {ran.signal}"


def _failure(ran: Ran, timeout: float) -> str:
    what = f"was ended after {timeout:g} s, its time limit" if ran.timed_out else f"ended with {_ending(ran)}"
    return what + _said(ran)


def _said(ran: Ran | None) -> str:
    """Return the end of what a program said on standard error; on standard output if nothing there."""
    text = ((ran.stderr.strip() or ran.stdout.strip()) if ran else "")[-_LONGEST_SAID:]
    return f"; it said: {text}" if text else ""
