"""What is wrong with a TAP_SCHEMA: findings, and errors that say why nothing was done."""

from collections.abc import Sequence
from dataclasses import dataclass

from tapdb.errors import DatabaseNotReadyError, Place, TapdbError
from tapdb.findings import Severity, finding_text


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """One thing that is wrong, and what to do about it.

    Attributes
    ----------
    severity
        ``error``: a client is misled, or a query by a published name fails. ``warning``: something is missing
        or doubtful.
    rule
        Name of what is violated, such as ``unit`` or ``column-missing``.
    table, column
        Published names; empty if the finding is about something larger.
    problem
        What was found.
    remedy
        What to do.
    place
        Where the description stands; `None` if there is none.
    """

    severity: Severity
    rule: str
    table: str
    column: str
    problem: str
    remedy: str
    place: Place | None = None

    @property
    def subject(self) -> str:
        """Table or column that it is about."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        return finding_text(self)


_MOST_SHOWN = 20


class TapSchemaMissingError(DatabaseNotReadyError):
    """The database has no tables of TAP_SCHEMA, or not those of this version."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"no TAP_SCHEMA to publish in: {found}\nMake it with: tapdb migrate upgrade")


class TapSchemaSnapshotError(TapdbError):
    """A connection is in a transaction in which two queries can see two publications.

    Parameters
    ----------
    isolation
        Its isolation level.
    """

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        super().__init__(
            f"the connection is in a transaction that is {isolation}: rows of two publications could be "
            "mixed. End it first, or begin it with REPEATABLE READ."
        )


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


class OutdatedRowsError(TapdbError):
    """Rows were assembled from a publication that is no longer the last one.

    Parameters
    ----------
    assembled
        Number of the publication that they were made from; 0 is before the first.
    found
        Number of the last publication.
    """

    def __init__(self, assembled: int | None, found: int | None) -> None:
        self.assembled = assembled
        self.found = found
        super().__init__(
            f"TAP_SCHEMA stays as it was: these rows were made from generation {assembled}, and generation "
            f"{found} is published by now\nAssemble them again, and publish those."
        )


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
        Requested number; `None` for the one before the last.
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
