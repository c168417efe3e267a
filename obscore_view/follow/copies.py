"""The SQL of a follower: copies of Butler's tables, the subscription that feeds them, triggers on them.

Nothing is executed here. What a follower makes has names that follow from the schema of the registry, which
is the same as at the primary: a subscription finds its tables by schema and name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from obscore_view.follow.primary import PrimaryTable

_LONGEST = 63

ALWAYS = "A"
"""What PostgreSQL says of a trigger that fires for replication too."""

COMMENT = "Copy of a Butler registry, fed by tapdb follow."
"""What is said of a schema, by which it is known again."""

RUN_AS_OWNER = 160000
"""The first version of PostgreSQL that applies changes as the owner of a table unless it is told not to."""


def subscription_name(schema: str) -> str:
    """Return the name of the subscription that feeds the copy of a registry."""
    return f"tapdb_{schema}"[:_LONGEST]


def slot_name(schema: str, follower: str) -> str:
    """Return the name of its slot on the primary, where other followers have slots too.

    Parameters
    ----------
    schema
        Schema of the registry.
    follower
        What tells the follower's database from all others.
    """
    plain = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in schema.lower())
    digest = hashlib.sha256(f"{follower}/{schema}".encode()).hexdigest()[:8]
    return f"tapdb_{plain[:40]}_{digest}"


def conninfo(url: URL) -> str:
    """Return how PostgreSQL itself connects to where a URL goes."""
    parts = {
        "host": url.host,
        "port": None if url.port is None else str(url.port),
        "dbname": url.database,
        "user": url.username,
        "password": None if url.password is None else str(url.password),
        **{name: value for name, value in url.query.items() if isinstance(value, str)},
    }
    return make_conninfo(**{name: value for name, value in parts.items() if value is not None})


def masked(statement: str, url: URL) -> str:
    """Return a statement with a subscription's connection, with stars in place of the password."""
    shown = url if url.password is None else url.set(password="***")  # noqa: S106  stars
    own, other = (sql.Literal(conninfo(one)).as_string(None) for one in (url, shown))
    return statement.replace(own, other)


def without_password(url: URL) -> str:
    """Return in words where a URL goes."""
    return f"{url.database} on {url.host or 'this machine'}:{url.port or 5432} as {url.username}"


def make_copies(schema: str, tables: Iterable[PrimaryTable], *, is_first: bool) -> Iterator[str]:
    """Yield what makes empty copies of tables: their columns and primary keys.

    Parameters
    ----------
    schema
        Schema of the registry.
    tables
        Tables at the primary.
    is_first
        Whether these are the first.
    """
    if is_first:
        name = sql.Identifier(schema)
        yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name).as_string(None)
        yield sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(COMMENT)).as_string(None)
    for table in tables:
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(one.name), sql.SQL(one.type), sql.SQL(" NOT NULL" if one.not_null else "")
            )
            for one in table.columns
        ]
        key = sql.SQL(", ").join(map(sql.Identifier, table.identity))
        columns.append(sql.SQL("PRIMARY KEY ({})").format(key))
        yield (
            sql.SQL("CREATE TABLE {} ({})")
            .format(sql.Identifier(schema, table.name), sql.SQL(", ").join(columns))
            .as_string(None)
        )


def make_indexes(schema: str, tables: Iterable[PrimaryTable]) -> Iterator[str]:
    """Yield what makes the indexes that Butler has on its tables, and tells the planner about the rows."""
    for table in tables:
        # A copy has them for speed alone: what they forbid the primary has refused.
        yield from (
            one.replace("CREATE UNIQUE INDEX ", "CREATE INDEX ", 1).replace(
                " INDEX ", " INDEX IF NOT EXISTS ", 1
            )
            for one in table.indexes
        )
        yield sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table.name)).as_string(None)


def make_subscription(schema: str, url: URL, publication: str, slot: str, version: int) -> str:
    """Return what makes the subscription; its workers copy what is there, then follow.

    Parameters
    ----------
    schema, url, publication
        Schema of the registry, where it is, and what is published of it.
    slot
        Name of the slot.
    version
        PostgreSQL's, of the follower.
    """
    options = [
        sql.SQL("slot_name = {}").format(sql.Literal(slot)),
        sql.SQL("copy_data = true"),
        # A large transaction is applied once it is whole, by the one worker that the kept tables count on.
        sql.SQL("streaming = off"),
    ]
    if version >= RUN_AS_OWNER:
        # As another role than the worker's own, deferred triggers could not be queued.
        options.append(sql.SQL("run_as_owner = true"))
    return (
        sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({})")
        .format(
            sql.Identifier(subscription_name(schema)),
            sql.Literal(conninfo(url)),
            sql.Identifier(publication),
            sql.SQL(", ").join(options),
        )
        .as_string(None)
    )


def alter_subscription(schema: str, words: str, *literals: str) -> str:
    """Return what changes the subscription of a registry."""
    name = sql.Identifier(subscription_name(schema))
    change = sql.SQL(words).format(*map(sql.Literal, literals))
    return sql.SQL("ALTER SUBSCRIPTION {} {}").format(name, change).as_string(None)


def change_publication(schema: str, publication: str) -> str:
    """Return what lets a subscription take another publication, and copy what is new in it."""
    words = sql.SQL("ALTER SUBSCRIPTION {} SET PUBLICATION {}")
    names = (sql.Identifier(one) for one in (subscription_name(schema), publication))
    return words.format(*names).as_string(None)


def drop_subscription(schema: str, *, with_slot: bool) -> Iterator[str]:
    """Yield what ends the subscription.

    Parameters
    ----------
    schema
        Schema of the registry.
    with_slot
        Whether the slot on the primary goes too; it has to be dropped there by hand if not.
    """
    if not with_slot:
        yield alter_subscription(schema, "DISABLE")
        yield alter_subscription(schema, "SET (slot_name = NONE)")
    yield sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(subscription_name(schema))).as_string(None)


def trigger_name(event: str) -> str:
    """Return the name of the trigger that follows an event on a copy."""
    return f"tapdb_follow_{event.lower()}"


def make_triggers(
    schema: str, touched: Iterable[tuple[str, str]], there: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    """Yield what lets kept tables follow changes that replication applies.

    Parameters
    ----------
    schema
        Schema of the registry.
    touched
        Tables, and events.
    there
        What enables the triggers that there are, by table and name.
    """
    for relation, event in touched:
        if there.get((relation, trigger_name(event))) == ALWAYS:
            continue
        # One text is one transaction: the trigger is never there and not enabled.
        yield (
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table} FOR EACH {level} "
                "EXECUTE FUNCTION tapdb.follow(); ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"
            )
            .format(
                name=sql.Identifier(trigger_name(event)),
                event=sql.SQL(event),
                table=sql.Identifier(schema, relation),
                level=sql.SQL("STATEMENT" if event == "TRUNCATE" else "ROW"),
            )
            .as_string(None)
        )


def drop_triggers(schema: str, triggers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what takes triggers from copies, by table and name."""
    for relation, name in triggers:
        yield (
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}")
            .format(sql.Identifier(name), sql.Identifier(schema, relation))
            .as_string(None)
        )


def empty_copies(schema: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what empties copies."""
    for name in names:
        yield sql.SQL("TRUNCATE {}").format(sql.Identifier(schema, name)).as_string(None)


def drop_copies(schema: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what drops the copies and their schema; it fails if something else is in it."""
    for name in names:
        yield sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, name)).as_string(None)
    # Extensions are in the schema public.
    words = "COMMENT ON SCHEMA {} IS NULL" if schema == "public" else "DROP SCHEMA {}"
    yield sql.SQL(words).format(sql.Identifier(schema)).as_string(None)
