"""Errors of TAP_SCHEMA: rows that cannot be published."""

from __future__ import annotations

from collections.abc import Sequence

from tapdb.errors import DatabaseNotReadyError, TapdbError

__all__ = [
    "PublicationError",
    "TapSchemaMissingError",
    "UnknownGenerationError",
    "UnpublishableError",
]

_MOST_SHOWN = 20


class TapSchemaMissingError(DatabaseNotReadyError):
    """The database has no tables of TAP_SCHEMA, or not those of this version."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"no TAP_SCHEMA to publish in: {found}\nMake it with: tapdb migrate upgrade")


class UnpublishableError(TapdbError):
    """Rows would make a TAP_SCHEMA that clients cannot use.

    Parameters
    ----------
    problems
        What is wrong, one line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(["TAP_SCHEMA stays as it was:", *self.problems[:_MOST_SHOWN]]))


class PublicationError(TapdbError):
    """What was published is not what the reader finds.

    Parameters
    ----------
    role
        Role of the reader.
    problems
        What it cannot do or see, one line each.
    """

    def __init__(self, role: str, problems: Sequence[str]) -> None:
        self.role = role
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(
                [f"TAP_SCHEMA stays as it was: role {role} could not use it:", *self.problems[:_MOST_SHOWN]]
            )
        )


class UnknownGenerationError(TapdbError, LookupError):
    """There is no publication of that number, or none to go back to.

    Parameters
    ----------
    asked
        Number that was asked for; `None` for the one before the last.
    known
        Numbers of the recorded publications, newest first.
    """

    exit_code = 2

    def __init__(self, asked: int | None, known: Sequence[int]) -> None:
        self.asked = asked
        self.known = tuple(known)
        what = f"generation {asked}" if asked is not None else "generation before the last"
        listed = ", ".join(map(str, self.known[:_MOST_SHOWN])) or "none"
        super().__init__(f"there is no {what} of TAP_SCHEMA; recorded are: {listed}")
