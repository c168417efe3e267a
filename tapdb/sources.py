"""SQL as text: the sources in ``sql/``, their frozen versions, and texts and queries run as they stand."""

import hashlib
import importlib.resources
import re
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import FrozenSourceError, TapdbError


def execute_text(connection: sa.Connection, text: str) -> None:
    """Send one or more statements.

    Parameters
    ----------
    connection
        Connection on which psycopg prepares nothing by itself, if the text holds several statements.
    text
        SQL from a file.
    """
    # Not Connection.execution_options(): that would stay on, and the doubled % of later statements would
    # reach the server.
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def execute_query(connection: sa.Connection, text: str) -> tuple[sa.Row[Any], ...]:
    """Return the rows of one statement."""
    return tuple(connection.exec_driver_sql(text, execution_options={"no_parameters": True}).all())


def execute_composed(connection: sa.Connection, statement: sql.Composable) -> None:
    """Send a statement with identifiers in it, composed by `psycopg.sql`."""
    execute_text(connection, statement.as_string())


KINDS = ("roles", "schemas", "tables", "views", "functions", "grants")
"""Folders of ``sql/`` whose files are sources; ``extensions`` and ``queries`` make nothing that is ours."""

_DIGEST_LINE = re.compile(r"-- sha256 ([0-9a-f]{64})")
_FROZEN_NAME = re.compile(r"(?P<name>.+)@(?P<version>\d{3,})\.sql")


class SqlSourceError(TapdbError):
    """A file in ``sql/`` is missing or is not written in the form of a source.

    Parameters
    ----------
    name
        Name of the source, such as ``functions/tapdb.s_region``.
    problem
        What is wrong with it, and what to write.
    """

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"{name}: {problem}")


@dataclass(frozen=True, slots=True)
class SqlSource:
    """The text that makes one object, in its parts.

    Attributes
    ----------
    name
        Path below ``sql/`` without ``.sql``.
    path
        File that it was read from.
    text
        The whole file, which psql can run; without the digest line if the source is frozen.
    purpose
        What the object is for.
    drop, create
        SQL that takes the object away, and that makes it together with its comment and its grants.
    requires
        Names of the sources that have to be there before.
    """

    name: str
    path: Path
    text: str
    purpose: str
    drop: str
    create: str
    requires: tuple[str, ...]

    def has_same_sql(self, other: "SqlSource") -> bool:
        """Return whether both make the same; the words of their purpose may differ."""
        return (self.requires, self.drop, self.create) == (other.requires, other.drop, other.create)


def sql_folder() -> Path:
    """Return the folder of today's sources."""
    return Path(str(importlib.resources.files("tapdb_sql")))


def frozen_folder() -> Path:
    """Return the folder of frozen versions."""
    return Path(str(importlib.resources.files("tapdb_migrations"))) / "frozen"


def parse_source(name: str, path: Path, text: str) -> SqlSource:
    """Return the parts of a source: purpose, ``-- requires:`` lines, ``-- drop`` part, ``-- create`` part.

    Raises
    ------
    SqlSourceError
        Raised if a part is missing, empty or out of order.
    """
    head, found_drop, rest = _split(text, "-- drop")
    drop, found_create, create = _split(rest, "-- create")
    if not (found_drop and found_create and drop.strip() and create.strip()):
        raise SqlSourceError(
            name,
            "expected purpose lines, a line '-- drop' with SQL below it, then '-- create' with SQL below it",
        )
    purpose: list[str] = []
    requires: list[str] = []
    for line in head.splitlines():
        if not line.startswith("-- "):
            raise SqlSourceError(name, f"expected comment lines before '-- drop', found {line!r}")
        if line.startswith("-- requires:"):
            requires += [required.strip() for required in line.removeprefix("-- requires:").split(",")]
        else:
            purpose.append(line.removeprefix("-- "))
    if not purpose:
        raise SqlSourceError(name, "the first line must be a comment that says what the object is for")
    return SqlSource(name, path, text, "\n".join(purpose), drop, create, tuple(requires))


def read_current(name: str, *, folder: Path | None = None) -> SqlSource:
    """Return today's source.

    Parameters
    ----------
    name
        Name of the source, such as ``functions/tapdb.s_region``.
    folder
        Folder of the sources, if not tapdb's own.

    Raises
    ------
    SqlSourceError
        Raised if there is no such file, or if it is not in the form of a source.
    """
    path = (folder or sql_folder()) / f"{name}.sql"
    if not path.is_file():
        raise SqlSourceError(name, f"there is no sql/{name}.sql")
    return parse_source(name, path, _read(path))


def read_all_current(*, folder: Path | None = None) -> tuple[SqlSource, ...]:
    """Return all of today's sources, each after those that it requires.

    Raises
    ------
    SqlSourceError
        Raised if a source is not in the right form or requires one that does not exist.
    """
    root = folder or sql_folder()
    paths = [path for kind in KINDS for path in sorted((root / kind).glob("*.sql"))]
    sources = [read_current(path.relative_to(root).with_suffix("").as_posix(), folder=root) for path in paths]
    known = {source.name for source in sources}
    for source in sources:
        for required in source.requires:
            if required not in known:
                raise SqlSourceError(source.name, f"requires {required}, but there is no sql/{required}.sql")
    return in_dependency_order(sources)


def newest_version(name: str, *, folder: Path | None = None) -> int:
    """Return the newest frozen version of a source, 0 if there is none."""
    kind, _, base = name.rpartition("/")
    directory = (folder or frozen_folder()) / kind
    found = [_FROZEN_NAME.fullmatch(path.name) for path in directory.iterdir()] if directory.is_dir() else []
    return max((int(match["version"]) for match in found if match and match["name"] == base), default=0)


def read_frozen(name: str, version: int, *, folder: Path | None = None) -> SqlSource:
    """Return a frozen version of a source.

    Raises
    ------
    FrozenSourceError
        Raised if there is no such version, or if its text is not the one that was frozen.
    """
    path = frozen_path(name, version, folder=folder)
    if not path.is_file():
        raise FrozenSourceError(
            name, version, "there is no such frozen text; write it with 'tapdb sql freeze'"
        )
    first, _, text = _read(path).partition("\n")
    stated = _DIGEST_LINE.fullmatch(first)
    if stated is None:
        raise FrozenSourceError(
            name, version, "the first line is not '-- sha256 ...'; take the file back from version control"
        )
    if stated[1] != digest(text):
        raise FrozenSourceError(
            name,
            version,
            "edited after it was frozen; take the file back from version control, "
            f"edit sql/{name}.sql and freeze that",
        )
    return parse_source(name, path, text)


def freeze(source: SqlSource, *, folder: Path | None = None, replace_newest: bool = False) -> Path | None:
    """Write today's text as the next frozen version.

    Parameters
    ----------
    source
        Source as `read_current` returns it.
    folder
        Folder of the frozen versions, if not tapdb's own.
    replace_newest
        Whether to write over the newest version instead of adding one: only for a version that no database
        has yet.

    Returns
    -------
    path
        File that was written; `None` if the newest version has the same SQL.

    Raises
    ------
    FrozenSourceError
        Raised if the newest version was edited after it had been frozen, unless it is to be replaced.
    """
    newest = newest_version(source.name, folder=folder)
    if newest and not replace_newest and source.has_same_sql(read_frozen(source.name, newest, folder=folder)):
        return None
    path = frozen_path(source.name, newest if newest and replace_newest else newest + 1, folder=folder)
    frozen_text = f"-- sha256 {digest(source.text)}\n{source.text}"
    if path.is_file() and _read(path) == frozen_text:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    # Half a text would pass for a version that was edited: the file is whole before it has its name.
    whole = path.with_name(f".{path.name}")
    try:
        whole.write_bytes(frozen_text.encode())
        whole.replace(path)
    except OSError as error:
        whole.unlink(missing_ok=True)
        # Python does not name a file that does not fit on its disk.
        error.filename = str(path)
        raise
    return path


def frozen_path(name: str, version: int, *, folder: Path | None = None) -> Path:
    """Return where a frozen version of a source lies, whether it exists or not."""
    return (folder or frozen_folder()) / f"{name}@{version:03d}.sql"


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def in_dependency_order(sources: Iterable[SqlSource]) -> tuple[SqlSource, ...]:
    """Return the sources so that each comes after those that it requires.

    What a source requires and is not among them is taken to exist.

    Raises
    ------
    SqlSourceError
        Raised if sources require each other in a circle.
    """
    by_name = {source.name: source for source in sources}
    needed = {
        name: [required for required in source.requires if required in by_name]
        for name, source in by_name.items()
    }
    try:
        return tuple(by_name[name] for name in TopologicalSorter(needed).static_order())
    except CycleError as error:
        raise SqlSourceError(error.args[1][0], f"requires itself: {' <- '.join(error.args[1])}") from None


def read_query(name: str) -> str:
    """Return the text of ``sql/queries/<name>.sql``: one statement that only reads."""
    return _read(sql_folder() / "queries" / f"{name}.sql")


def _read(path: Path) -> str:
    # Not read_text: the digest is of every byte, line ends included.
    return path.read_bytes().decode()


def _split(text: str, heading: str) -> tuple[str, bool, str]:
    """Split at the first line that is the heading and nothing else."""
    before, found, after = ("\n" + text).partition(f"\n{heading}\n")
    return before.removeprefix("\n"), bool(found), after
