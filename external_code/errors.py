"""What can go wrong with programs over Butler data, their provenance, and datasets that are made again."""

from collections.abc import Sequence

from tapdb.errors import SettingsError, TapdbError


class TaskFileError(SettingsError):
    """A description of tasks, or a pipeline, cannot be used.

    Parameters
    ----------
    file
        Its name.
    problem
        What is wrong with it.
    remedy
        What to write.
    """

    def __init__(self, file: str, problem: str, remedy: str = "") -> None:
        super().__init__(file, problem, remedy)


class TemplateNameError(TapdbError):
    """A template names what is not there.

    Parameters
    ----------
    template
        The template.
    problem
        What is wrong with it.
    """

    def __init__(self, template: str, problem: str) -> None:
        self.template = template
        super().__init__(f'template "{template}": {problem}')


class ProgramError(TapdbError):
    """A program did not do what was expected: it was not started, it failed, or it was ended.

    Parameters
    ----------
    program
        Name of the program.
    problem
        What happened.
    """

    def __init__(self, program: str, problem: str) -> None:
        self.program = program
        super().__init__(f"program {program}: {problem}")


class InputFileError(TapdbError):
    """An input cannot be given to a program as a file.

    Parameters
    ----------
    name
        Name of the input.
    problem
        What is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"input {name}: {problem}")


class OutputFileError(TapdbError):
    """An output of a program cannot be stored.

    Parameters
    ----------
    name
        Name of the output.
    problem
        What is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"output {name}: {problem}")


class RepositoryError(TapdbError):
    """A Butler repository cannot be used.

    Parameters
    ----------
    repository
        Its name, as the user wrote it.
    problem
        What is wrong.
    remedy
        What to do.
    """

    def __init__(self, repository: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"repository {repository}: {problem}" + (f"\n{remedy}" if remedy else ""))


class NoQuantaError(TapdbError):
    """There is nothing to run: no data fit the pipeline.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    where
        The condition on data.
    hints
        What may be missing.
    """

    def __init__(self, pipeline: str, where: str, hints: Sequence[str] = ()) -> None:
        condition = f" where {where}" if where else ""
        more = "".join(f"\n{hint}" for hint in hints)
        super().__init__(f"{pipeline}: no input data are there for any quantum{condition}{more}")


GRAPH_TYPE = "tapdb_quantum_graph"
"""Dataset type of the graph that ``tapdb task run`` keeps in each RUN: a table of blocks of its file."""


class NoKeptGraphError(TapdbError):
    """A RUN has no graph of what was run, so nothing is known of how its datasets were made.

    Parameters
    ----------
    run
        Name of the RUN collection.
    wanted
        Dataset types that would hold one.
    """

    def __init__(self, run: str, wanted: Sequence[str]) -> None:
        self.run = run
        super().__init__(
            f"no graph of {run} was kept (no dataset {' or '.join(wanted)} in it)\n"
            "tapdb task run keeps one; so do butler aggregate-graph and ingest-graph, for provenance alone."
        )


class UnknownProvenanceError(TapdbError):
    """Nothing is known of how a dataset was made.

    Parameters
    ----------
    dataset
        Identifier of the dataset.
    """

    def __init__(self, dataset: str) -> None:
        super().__init__(
            f"nothing is known of how dataset {dataset} was made\n"
            "Load its RUN: tapdb provenance load REPO RUN"
        )


class RecreationError(TapdbError):
    """A dataset cannot be made again, or came out different.

    Parameters
    ----------
    dataset
        Identifier of the dataset.
    problem
        Why.
    remedy
        What to do.
    """

    def __init__(self, dataset: str, problem: str, remedy: str = "") -> None:
        super().__init__(
            f"dataset {dataset} was not made again: {problem}" + (f"\n{remedy}" if remedy else "")
        )
