"""Errors of the ObsCore view: a configuration, a registry or a mapping that cannot be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tapdb.errors import DatabaseNotReadyError, TapdbError, spelled
from tapdb.postgres.engine import DatabaseRefusedError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong in a configuration, and where.

    Attributes
    ----------
    problem
        What was found.
    remedy
        What to write instead; may be empty.
    path
        Dotted location in the configuration, such as ``dataset_types.raw.calib_level``.
    source
        Name of the file or other source of the text.
    line, column
        Position in the text, from 1; None if it is the text as a whole.
    """

    problem: str
    remedy: str = ""
    path: str = ""
    source: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        position = ":".join(str(part) for part in (self.source, self.line, self.column) if part)
        what = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
        return ": ".join(part for part in (position, self.path, what) if part)


class ConfigError(TapdbError):
    """A configuration cannot be used.

    Parameters
    ----------
    problems
        All that is wrong, in the order of the text.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class TemplateError(ConfigError):
    """A format string cannot be read.

    Parameters
    ----------
    template
        The whole format string.
    position
        Where in it, characters from 0.
    problem, remedy
        What was found, and what to write instead.
    """

    def __init__(self, template: str, position: int, problem: str, remedy: str = "") -> None:
        self.template = template
        self.position = position
        where = f'format string "{template}", character {position + 1}'
        super().__init__([ConfigProblem(f"{where}: {problem}", remedy)])


class WhereError(ConfigError):
    """A Butler query expression cannot be read, or not be put into SQL.

    Parameters
    ----------
    expression
        The whole expression.
    position
        Where in it, characters from 0.
    problem, remedy
        What was found, and what to write instead.
    """

    def __init__(self, expression: str, position: int, problem: str, remedy: str = "") -> None:
        self.expression = expression
        self.position = position
        where = f'expression "{expression}", character {position + 1}'
        super().__init__([ConfigProblem(f"{where}: {problem}", remedy)])

    def locate(self, path: str) -> None:
        """Say in which part of the configuration the expression comes up."""
        self.problems = tuple(replace(one, path=path) for one in self.problems)
        self.args = ("\n".join(map(str, self.problems)),)


class IdentifierError(TapdbError, ValueError):
    """A text is no identifier of a Butler dataset.

    Parameters
    ----------
    identifier
        The text.
    problem
        What is wrong with it.
    """

    exit_code = 2

    def __init__(self, identifier: str, problem: str) -> None:
        self.identifier = identifier
        self.problem = problem
        super().__init__(
            f'"{identifier}" is no dataset identifier: {problem}; write '
            "ivo://AUTHORITY/PATH?repo=LABEL&id=UUID or butler://LABEL/UUID"
        )


class UnknownDatasetError(TapdbError, LookupError):
    """No registry under the published views has a dataset.

    Parameters
    ----------
    identifier
        Identifier of the dataset.
    schemas
        Schemas of the registries that were searched.
    """

    def __init__(self, identifier: str, schemas: tuple[str, ...]) -> None:
        self.identifier = identifier
        self.schemas = schemas
        asked = f"the registries in {', '.join(schemas)}" if schemas else "no registry, as there is no view"
        super().__init__(f"dataset {identifier} is not known; asked: {asked}")


class UnpublishedDatasetError(TapdbError, LookupError):
    """No view that the role may read shows a dataset.

    Parameters
    ----------
    identifier
        Identifier of the dataset.
    """

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        super().__init__(f"no published view has the dataset {identifier}; look for it in ivoa.ObsCore")


class DataIdError(TapdbError, LookupError):
    """No dataset that is published has a data ID.

    Parameters
    ----------
    dataset_type, dimensions, run
        The data ID.
    expected
        Dimensions of the dataset type; None if no published view has it.
    """

    def __init__(
        self,
        dataset_type: str,
        dimensions: Mapping[str, object],
        run: str | None,
        expected: Sequence[str] | None,
    ) -> None:
        self.dataset_type = dataset_type
        given = ", ".join(f"{name} {value}" for name, value in sorted(dimensions.items())) or "none"
        if expected is None:
            problem = f'no published view has datasets of type "{dataset_type}"'
        elif set(expected) != set(dimensions):
            problem = (
                f'datasets of type "{dataset_type}" have the dimensions {", ".join(expected) or "none"}, '
                f"each with a value; given: {given}"
            )
        else:
            place = f' in run "{run}"' if run else ""
            problem = f'no published view has a dataset of type "{dataset_type}" with {given}{place}'
        super().__init__(problem)


class UnsupportedRegistryError(TapdbError):
    """A Butler registry is of a kind that no view can be made over.

    Parameters
    ----------
    asked
        What of the registry was looked at, such as ``datasets manager``.
    found
        What the registry has.
    supported
        What is supported instead.
    """

    def __init__(self, asked: str, found: str, supported: str) -> None:
        self.asked = asked
        self.found = found
        self.supported = supported
        super().__init__(f"Butler registry, {asked}: found {found}; supported: {supported}")


class MappingError(TapdbError):
    """A configuration does not fit the registry.

    Parameters
    ----------
    path
        Dotted location in the configuration.
    problem
        What does not fit.
    remedy
        What to do about it.
    """

    exit_code = 2

    def __init__(self, path: str, problem: str, remedy: str = "") -> None:
        self.path = path
        self.problem = problem
        self.remedy = remedy
        super().__init__(str(ConfigProblem(problem, remedy, path)))


class NotMigratedError(DatabaseNotReadyError):
    """The database lacks the roles, tables and functions of tapdb."""

    def __init__(self) -> None:
        super().__init__(
            "this database lacks the roles, tables and functions that an ObsCore view stands on\n"
            "Make them: tapdb migrate upgrade (with -x obscore=off if the view is to be made later)."
        )


class ViewExistsError(TapdbError):
    """A view that is to be made is there already.

    Parameters
    ----------
    schema, name
        Name of the view.
    stage
        What is recorded of it: readers see it only if it is published.
    """

    def __init__(self, schema: str, name: str, stage: str = "published") -> None:
        self.schema = schema
        self.name = name
        self.stage = stage
        said = (
            f"the view {schema}.{name} is there already; rebuild it with tapdb obscore refresh"
            if stage == "published"
            else f"the view {schema}.{name} is being made already; go on with tapdb obscore fill, or give "
            "that up with tapdb obscore drop"
        )
        super().__init__(f"{said}, or take another name: key view in section tapdb of the configuration")


class NoReleaseDatesError(TapdbError):
    """The configuration of a view does not say when datasets are public.

    Parameters
    ----------
    view
        Name of the view, ``schema.name``.
    """

    def __init__(self, view: str) -> None:
        self.view = view
        super().__init__(
            f"the configuration of {view} does not say when datasets are public; write rules of embargo into "
            "its section tapdb, release, and then: tapdb obscore refresh -c CONFIG"
        )


class FillingRefusedError(DatabaseRefusedError):
    """PostgreSQL refused a statement of a filling; what was filled before is kept.

    Parameters
    ----------
    reason, during
        As for `DatabaseRefusedError`.
    """

    remedy = "What is done stays done: tapdb obscore fill goes on with it."


class FillingUnderWayError(TapdbError):
    """Another session is filling kept tables in this database."""

    def __init__(self) -> None:
        super().__init__(
            "another session is at work: it fills kept tables of a view in this database\n"
            "Wait until it is done, or end it; nothing was changed. tapdb obscore fill goes on where it ends."
        )


class NameTakenError(TapdbError):
    """The name of a view that is to be made is that of something else.

    Parameters
    ----------
    schema, name
        Name of the view.
    found
        What has this name, such as ``a table``.
    owner
        Role that owns it.
    """

    exit_code = 2

    def __init__(self, schema: str, name: str, found: str, owner: str) -> None:
        self.schema = schema
        self.name = name
        self.found = found
        self.owner = owner
        super().__init__(
            f'{schema}.{name} is {found} of "{owner}" that tapdb has not made; take another name for the '
            f"view: {spelled('view', 'key view in section tapdb of the configuration')}"
        )


class CombinationError(TapdbError):
    """Several views cannot be shown as one, or one of them cannot be dropped.

    Parameters
    ----------
    problem
        What stands against it.
    remedy
        What to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}\n{remedy}.")


class ViewMissingError(TapdbError):
    """A view that is to be worked on cannot be told.

    Parameters
    ----------
    asked
        Name of the view, None if none was given.
    found
        Names of the views that there are.
    """

    def __init__(self, asked: str | None, found: tuple[str, ...]) -> None:
        self.asked = asked
        self.found = found
        what = f"there is no ObsCore view {asked}" if asked else "no single ObsCore view"
        listed = ", ".join(found) if found else "none"
        super().__init__(
            f"{what}; this database has {listed}\n"
            + (
                "Name one of them."
                if found
                else "Make one: tapdb obscore create -c CONFIG, or tapdb migrate upgrade."
            )
        )
