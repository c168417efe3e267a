"""The errors of tapdb, where something stands that a person wrote, and which name that person meant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches

Spelling = Callable[[str], str | None]
"""Returns how a user writes an option of a name, such as ``-x url=``; `None` if there is none."""

_spelling: ContextVar[Spelling] = ContextVar("spelling")


@contextmanager
def options_spelled(spelling: Spelling) -> Iterator[None]:
    """Let messages name options as the command has them that runs inside of the ``with`` block."""
    token = _spelling.set(spelling)
    try:
        yield
    finally:
        _spelling.reset(token)


def spelled(name: str, *variables: str) -> str:
    """Return how the running command is told something: by an option that it has, or by variables.

    >>> spelled("url", "TAPDB_URL", "DATABASE_URL")
    'url=, TAPDB_URL or DATABASE_URL'
    """
    spelling = _spelling.get(None)
    option = f"{name}=" if spelling is None else spelling(name)
    ways = [way for way in (option, *variables) if way]
    return " or ".join(part for part in (", ".join(ways[:-1]), *ways[-1:]) if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a description stands.

    Attributes
    ----------
    file
        File, or the package that describes.
    line
        Line from 1; 0 if there is no line to name.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


# difflib compares every name with every other: a name of a megabyte has no neighbours worth that.
_LONGEST_COMPARED = 64
_MOST_SHOWN = 20


def did_you_mean(name: str, known: Iterable[str], *, least: float = 0.6) -> str:
    """Return a hint with the known name that looks most like the one that was written; empty if none does.

    ``least`` says how much it has to look like it, from 0 to 1, as `difflib` measures.
    """
    if len(name) > _LONGEST_COMPARED:
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=least)
    return f'did you mean "{by_lower[close[0]]}"?' if close else ""


def likeliest(name: str, known: Iterable[str]) -> str:
    """Return advice that names the likeliest of the known names, or all of them if none is like ``name``."""
    choices = sorted(known)
    return did_you_mean(name, choices) or (f"known: {', '.join(choices)}" if choices else "")


class TapdbError(Exception):
    """Base of all errors that tapdb raises on purpose.

    The command line prints the message alone and exits with `exit_code`. Strangers see messages: they hold no
    password and no connection URL.
    """

    exit_code: int = 1


class SettingsError(TapdbError):
    """A setting, an option or an environment variable cannot be used.

    Parameters
    ----------
    setting
        Name as the user wrote it, for example ``TAPDB_URL`` or ``--setting``.
    problem
        What is wrong with the value; never the value of a secret.
    remedy
        What to write instead.
    """

    exit_code = 2

    def __init__(self, setting: str, problem: str, remedy: str = "") -> None:
        self.setting = setting
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{setting}: {problem}" + (f"; {remedy}" if remedy else ""))


class DatabaseUnavailableError(TapdbError):
    """No connection to the database could be made, or it was lost.

    Parameters
    ----------
    target
        Where the connection was to go, such as ``database "dp1" on db.example.org:5432 as user "tap"``.
    reason
        What the server or libpq said, without secrets.
    """

    def __init__(self, target: str, reason: str) -> None:
        self.target = target
        self.reason = reason
        super().__init__(
            f"cannot use {target}: {reason}\n"
            "Check that the server runs, and that it is named by "
            f"{spelled('url', 'TAPDB_URL', 'DATABASE_URL', 'PGHOST, PGPORT, PGUSER and PGDATABASE')}."
        )


class ServerStartError(TapdbError):
    """A private PostgreSQL server could not be started.

    Parameters
    ----------
    problem
        What went wrong.
    remedy
        What to do about it.
    log
        Last lines that the server or its tools wrote.
    """

    def __init__(self, problem: str, remedy: str = "", log: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        self.log = log
        super().__init__("\n".join(part for part in (problem, log, remedy) if part))


class DatabaseNotReadyError(TapdbError):
    """The database answers, but lacks something that tapdb stands on."""


class MissingExtensionError(DatabaseNotReadyError):
    """A PostgreSQL extension is not there, or not where it can be found.

    Parameters
    ----------
    name
        Name of the extension, such as ``pg_sphere``.
    found
        What the database has instead.
    remedy
        What to install or to run; several lines are fine.
    """

    def __init__(self, name: str, found: str, remedy: str) -> None:
        self.name = name
        self.found = found
        self.remedy = remedy
        super().__init__(f"tapdb needs the PostgreSQL extension {name}; {found}\n{remedy}")


class MissingRegistryError(DatabaseNotReadyError):
    """The database holds no Butler registry, or more than one and none was chosen.

    Parameters
    ----------
    asked
        What was looked for, such as ``a Butler registry in schema "dp1"``.
    found
        What the database has instead.
    remedy
        What to do about it.
    """

    def __init__(self, asked: str, found: str, remedy: str) -> None:
        self.asked = asked
        self.found = found
        self.remedy = remedy
        super().__init__(f"no {asked}; {found}\n{remedy}")


class FrozenSourceError(TapdbError):
    """A frozen SQL text is missing, or was edited after it had been frozen.

    Parameters
    ----------
    name
        Name of the SQL source, such as ``functions/tapdb.s_region``.
    version
        Frozen version, from 1.
    problem
        What was found.
    """

    def __init__(self, name: str, version: int, problem: str) -> None:
        self.name = name
        self.version = version
        self.problem = problem
        super().__init__(f"{name} version {version}: {problem}")


class DriftError(TapdbError):
    """What the database holds differs from what it should hold.

    Parameters
    ----------
    what
        What was compared, such as ``ivoa.ObsCore``.
    differences
        One readable line for each difference.
    remedy
        What to do about it.
    """

    def __init__(self, what: str, differences: tuple[str, ...], remedy: str = "") -> None:
        self.what = what
        self.differences = differences
        self.remedy = remedy
        lines = [f"{what} differs from what it should be:", *(f"  {line}" for line in differences)]
        super().__init__("\n".join([*lines, remedy] if remedy else lines))


@dataclass(frozen=True, slots=True)
class DescriptionProblem:
    """One thing that is wrong in a description, and where.

    Attributes
    ----------
    place
        File and line.
    what
        What it is about, such as ``dp1.Object.size``; may be empty.
    problem
        What was found.
    remedy
        What to write instead; may be empty.
    """

    place: Place
    what: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
        return ": ".join(part for part in (str(self.place), self.what, text) if part)


class DescriptionError(TapdbError):
    """Felis files or other descriptions cannot be used.

    Parameters
    ----------
    problems
        All that is wrong, in the order of the text; the message shows the first twenty.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[DescriptionProblem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:_MOST_SHOWN]]
        if more := len(self.problems) - _MOST_SHOWN:
            lines += [f"... and {more} more problems"] if more > 0 else []
        super().__init__("\n".join(lines))


class ValueReadError(TapdbError, ValueError):
    """A value in a file does not fit its column.

    Parameters
    ----------
    what
        The column or element that holds it, such as ``column flux``.
    problem
        What is wrong.
    """

    def __init__(self, what: str, problem: str) -> None:
        self.what = what
        self.problem = problem
        super().__init__(f"{what} cannot be read: {problem}; take the file as it was written")


class ValueWriteError(TapdbError, ValueError):
    """A value cannot be written in the format that was chosen.

    Parameters
    ----------
    what
        The column or element that holds it, such as ``column "flux"``.
    problem
        Why not.
    remedy
        What to do instead.
    """

    def __init__(self, what: str, problem: str, remedy: str = "") -> None:
        self.what = what
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{what} cannot be written: {problem}" + (f"; {remedy}" if remedy else ""))
