"""A PPDB that somebody writes on one server, and a database on another that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa
from click.testing import CliRunner, Result

from tapdb.cli.root import main
from tapdb.postgres.engine import create_database
from tapdb.server.ephemeral import EphemeralServer
from tests.obscore_view.followers import SETTINGS, tapdb_follow, wait_for
from tests.ppdb_replay.ppdb_rows import connect, history_rows, natural_rows, newest

__all__ = ["FOLLOWED", "TABLES", "PpdbFollowing", "ppdb_following"]

FOLLOWED = ("DiaObject", "DiaSource", "SSObject")
"""Tables of the primary that are published."""

TABLES = """
CREATE SCHEMA ppdb;
CREATE TABLE ppdb."DiaObject" ("diaObjectId" bigint, "validityStartMjdTai" float8, "validityEndMjdTai" float8,
  ra float8 NOT NULL, dec float8 NOT NULL, "nDiaSources" integer NOT NULL,
  PRIMARY KEY ("diaObjectId", "validityStartMjdTai"));
CREATE TABLE ppdb."DiaSource" ("diaSourceId" bigint PRIMARY KEY, "diaObjectId" bigint, flux real, note text);
CREATE INDEX by_object ON ppdb."DiaSource" ("diaObjectId");
CREATE TABLE ppdb."SSObject" ("ssObjectId" bigint PRIMARY KEY, h real);
CREATE TABLE ppdb."PpdbReplicaChunk" (apdb_replica_chunk bigint PRIMARY KEY);
INSERT INTO ppdb."DiaObject" SELECT n, 61000, NULL, n, -n, 1 FROM generate_series(1, 5) n;
INSERT INTO ppdb."DiaSource" SELECT n, 1 + n % 5, n / 3.0, NULL FROM generate_series(1, 20) n;
"""
"""A primary without tapdb."""


@dataclass
class PpdbFollowing:
    """A primary and its follower.

    Attributes
    ----------
    follower_server
        The server of the follower.
    primary, follower
        Where their databases are.
    states
        The rows of the primary after each snapshot of the follower, by its number and the name of the table.
    """

    follower_server: EphemeralServer
    primary: sa.URL
    follower: sa.URL
    states: dict[int, dict[str, list[tuple[object, ...]]]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The primary, as an option."""
        return self.primary.render_as_string(hide_password=False)

    def run(self, *words: str) -> Result:
        """Run ``tapdb ppdb`` on the follower; a traceback is an error."""
        environment = {"TAPDB_URL": self.follower.render_as_string(hide_password=False)}
        result = CliRunner(env=environment).invoke(main, ["ppdb", *words])
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        return result

    def done(self, *words: str) -> str:
        """Run it without an error; return what it said."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def status(self) -> str:
        """Return what ``status`` says, which finds something wrong."""
        result = self.run("follow", "status")
        assert result.exit_code == 1, result.output
        return " ".join(result.output.split())

    def write(self, *statements: str) -> None:
        """Run statements as one transaction of the primary."""
        with connect(self.primary) as session:
            for one in statements:
                session.execute(one.encode())

    def wait(self) -> None:
        """Return once the follower has applied all that is committed at the primary."""
        primary, follower = (sa.create_engine(one) for one in (self.primary, self.follower))
        try:
            wait_for(primary, follower, "versions_ppdb")
        finally:
            primary.dispose()
            follower.dispose()

    def note(self) -> int:
        """Wait for the follower, note which rows its newest snapshot has to have, and return its number."""
        self.wait()
        with connect(self.primary) as there, connect(self.follower) as here:
            number = newest(here)
            self.states[number] = {table: natural_rows(there, table) for table in FOLLOWED}
        return number

    def differing(self) -> list[str]:
        """Return the snapshots and tables that are not as the primary was."""
        with connect(self.follower) as here:
            return [
                f"{table} as of snapshot {number}"
                for number, tables in self.states.items()
                for table, rows in tables.items()
                if _cut(history_rows(here, table, number), rows) != rows
            ]


def _cut(found: list[tuple[object, ...]], rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return rows of versions without the columns, the last, that the primary has dropped."""
    width = len(rows[0]) if rows else None
    return sorted((row[:width] for row in found), key=repr)


@contextmanager
def ppdb_following(primary: EphemeralServer, name: str) -> Iterator[PpdbFollowing]:
    """Give a primary in a database of a server, and its follower on one of its own."""
    url = create_database(primary.url(), name)
    with connect(url) as session:
        session.execute(TABLES)
    with EphemeralServer(settings=SETTINGS) as server:
        found = PpdbFollowing(server, url, create_database(server.url(), "serve"))
        result = tapdb_follow(found.follower, "init")
        assert result.exit_code == 0, result.output
        found.done("follow", "add", "ppdb", "--primary", found.place)
        yield found
