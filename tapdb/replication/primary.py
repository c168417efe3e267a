"""What a primary has of the tables of a schema, what it publishes, and what a DBA still has to do there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from tapdb.errors import TapdbError
from tapdb.postgres.roles import Right, missing_rights
from tapdb.sources import read_query

OLDEST_VERSION = 150000
"""The first version of PostgreSQL whose publications say which columns they have."""

UNLIMITED = "-1"


class PrimaryNotReadyError(TapdbError):
    """Tables cannot be followed yet: their server, or what the role may do there, has to be changed.

    Parameters
    ----------
    subject
        What cannot be followed, in words.
    problems
        What was found.
    statements
        SQL that its DBA has to run.
    """

    def __init__(self, subject: str, problems: Sequence[str], statements: Sequence[str]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        self.statements = tuple(statements)
        lines = [f"the {subject} cannot be followed yet:"]
        lines += [f"  {one}" for one in problems]
        if statements:
            lines.append("A superuser, or the owner of its tables, has to run on its server:")
            lines += [f"  {one};" for one in statements]
        super().__init__("\n".join(lines))


class FollowerError(TapdbError):
    """A database cannot follow what it was meant to.

    Parameters
    ----------
    problem
        What was found.
    remedy
        What to do.
    subject
        What it was to follow, in words; empty if it is about all.
    """

    def __init__(self, problem: str, remedy: str, subject: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        self.subject = subject
        said = f"{subject}: " if subject else ""
        super().__init__(f"{said}{problem}; {remedy}")


@dataclass(frozen=True, slots=True)
class PrimaryColumn:
    """A column of a table.

    Attributes
    ----------
    name, type
        Name, and type as PostgreSQL spells it.
    not_null
        Whether it is never NULL.
    """

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class PrimaryTable:
    """A table, as far as a copy of it has to be alike.

    Attributes
    ----------
    name
        Name.
    columns
        Columns that are published, or all.
    identity
        Columns by which a row is found again: the primary key; none if the table has none.
    indexes
        What makes the other indexes.
    """

    name: str
    columns: tuple[PrimaryColumn, ...]
    identity: tuple[str, ...]
    indexes: tuple[str, ...]

    def narrowed(self, names: Sequence[str]) -> "PrimaryTable":
        """Return the table with the columns that a publication has, and the indexes on these alone."""
        columns = tuple(one for one in self.columns if one.name in names)
        if len(columns) == len(self.columns):
            return self
        return PrimaryTable(self.name, columns, self.identity, ())


@dataclass(frozen=True, slots=True)
class PublishedTables:
    """A publication.

    Attributes
    ----------
    columns
        Columns of each table of the schema that it has.
    is_complete
        Whether it has changes of all kinds.
    strangers
        Tables of other schemas, with theirs.
    """

    columns: Mapping[str, tuple[str, ...]]
    is_complete: bool
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class Primary:
    """Tables of a schema at a primary, and whether they can be followed.

    Attributes
    ----------
    subject
        What is followed, in words.
    schema, publication
        Schema of the tables, and name of the publication.
    tables
        Tables that are needed, as they are.
    published
        The publication; None if there is none.
    role, may_replicate, version, wal_level, free_slots, longest_wal
        Who is connected, and what the server allows.
    missing
        Statements that give the role what it needs to read.
    """

    subject: str
    schema: str
    publication: str
    tables: tuple[PrimaryTable, ...]
    published: PublishedTables | None
    role: str
    may_replicate: bool
    version: int
    wal_level: str
    free_slots: int
    longest_wal: str
    missing: tuple[str, ...]

    @property
    def copies(self) -> tuple[PrimaryTable, ...]:
        """Tables as they are copied: with the columns that are published, or all if they will be."""
        found = self.published.columns if self.published is not None else {}
        return tuple(one.narrowed(found[one.name]) if one.name in found else one for one in self.tables)

    @property
    def limits_wal(self) -> bool:
        """Whether the primary removes WAL that a follower needs, before its disk is full of it."""
        return self.longest_wal != UNLIMITED

    @cached_property
    def publishing(self) -> tuple[str, ...]:
        """Statements that publish what is not published yet, for the owner of the tables."""
        found = self.published.columns if self.published is not None else {}
        lacking = [sql.Identifier(self.schema, one.name) for one in self.tables if one.name not in found]
        if not lacking:
            return ()
        words = "CREATE PUBLICATION {} FOR TABLE {}"
        if self.published is not None:
            words = "ALTER PUBLICATION {} ADD TABLE {}"
        statement = sql.SQL(words).format(sql.Identifier(self.publication), sql.SQL(", ").join(lacking))
        return (statement.as_string(None),)

    def require_ready(self, *, slots: bool = True) -> None:
        """Check that a subscription can be made; what is not published yet apart.

        Parameters
        ----------
        slots
            Whether a slot is needed.

        Raises
        ------
        PrimaryNotReadyError
            Raised if not; its message is what a DBA of the primary has to do.
        """
        problems, statements = [], list(self.missing)
        if self.version < OLDEST_VERSION:
            problems.append(f"it runs PostgreSQL {self.version // 10000}; 15 is the first that will do")
        if self.wal_level != "logical":
            problems.append(f"wal_level is {self.wal_level}, and has to be logical; the server restarts then")
            statements.append("ALTER SYSTEM SET wal_level = 'logical'")
        if slots and self.free_slots < 1:
            problems.append("all max_replication_slots are in use")
        if not self.may_replicate:
            problems.append(f'role "{self.role}" may not replicate')
            role = sql.Identifier(self.role)
            statements.append(sql.SQL("ALTER ROLE {} REPLICATION").format(role).as_string(None))
        if self.missing:
            problems.append(f'role "{self.role}" may not read all tables that are to be copied')
        if nameless := [one.name for one in self.tables if not one.identity]:
            # A publication would make updates of such a table fail at the primary.
            problems.append(f"no primary key: {', '.join(nameless)}")
        if self.published is not None and not self.published.is_complete:
            problems.append(f"publication {self.publication} leaves out changes of some kind")
            name = sql.Identifier(self.publication)
            words = "ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')"
            statements.append(sql.SQL(words).format(name).as_string(None))
        if self.published is not None and self.published.strangers:
            problems.append(
                f"publication {self.publication} has tables of other schemas, which the follower would need "
                f"too: {', '.join(self.published.strangers[:3])}; name another by --publication"
            )
        if problems:
            raise PrimaryNotReadyError(self.subject, problems, (*statements, *self.publishing))


def read_primary(
    connection: sa.Connection, subject: str, schema: str, names: Collection[str], publication: str
) -> Primary:
    """Return what a primary has of some tables, and whether they can be followed.

    Parameters
    ----------
    connection
        Connection to the primary, as the role that the follower will come as.
    subject
        What is followed, in words.
    schema
        Schema of the tables.
    names
        Tables that are needed; a follower needs those too that are published besides.
    publication
        Name of the publication.
    """
    published = read_publication(connection, schema, publication)
    names = sorted({*names, *(published.columns if published is not None else ())})
    facts = connection.execute(sa.text(read_query("follow.primary"))).one()
    rights = (Right("USAGE", schema), *(Right("SELECT", schema, name) for name in names))
    return Primary(
        subject=subject,
        schema=schema,
        publication=publication,
        tables=read_tables(connection, schema, names),
        published=published,
        role=facts.role,
        may_replicate=facts.may_replicate,
        version=facts.version,
        wal_level=facts.wal_level,
        free_slots=facts.free_slots,
        longest_wal=facts.longest_wal,
        missing=missing_rights(connection, rights),
    )


def read_tables(
    connection: sa.Connection, schema: str, names: Collection[str] | None = None
) -> tuple[PrimaryTable, ...]:
    """Return tables of a schema as they are: all of them, or those of some names that are there."""
    rows = connection.execute(sa.text(read_query("follow.tables")), {"schema": schema})
    return tuple(_table(row) for row in rows if names is None or row.name in names)


def _table(row: sa.Row[Any]) -> PrimaryTable:
    return PrimaryTable(
        name=row.name,
        columns=tuple(PrimaryColumn(*one) for one in row.columns or ()),
        identity=tuple(row.identity or ()),
        indexes=tuple(row.indexes or ()),
    )


def read_publication(connection: sa.Connection, schema: str, name: str) -> PublishedTables | None:
    """Return what a publication has of a schema; None if there is none of this name."""
    rows = connection.execute(sa.text(read_query("follow.publication")), {"publication": name}).all()
    if not rows:
        return None
    mine = [row for row in rows if row.schema == schema]
    return PublishedTables(
        columns={row.name: tuple(row.columns) for row in mine},
        is_complete=rows[0].is_complete,
        strangers=tuple(f"{row.schema}.{row.name}" for row in rows if row.schema not in {None, schema}),
    )


def publish(connection: sa.Connection, primary: Primary) -> bool:
    """Publish what is needed and not published yet, if the role may; return whether anything was done.

    Raises
    ------
    PrimaryNotReadyError
        Raised if the role may not; its message is what the owner of the tables has to run.
    """
    if not primary.publishing:
        return False
    try:
        for statement in primary.publishing:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.commit()
    except sa.exc.ProgrammingError as error:
        connection.rollback()
        problem = f'role "{primary.role}" may not publish the tables that are needed'
        raise PrimaryNotReadyError(primary.subject, (problem,), primary.publishing) from error
    return True
