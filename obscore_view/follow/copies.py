"""The SQL of a copy of Butler's tables: which of them it has, the triggers on them, and its end.

Nothing is executed here. What a follower makes has names that follow from the schema of the registry, which
is the same as at the primary: a subscription finds its tables by schema and name.
"""

from collections.abc import Iterable, Iterator, Mapping

from psycopg import sql

from obscore_view.mapping import DatasetMapping
from obscore_view.view.script import butler_tables
from tapdb.replication.primary import PrimaryTable
from tapdb.replication.subscription import LONGEST_NAME, make_tables

READ_TABLES = ("butler_attributes", "dataset_type", "dimension_graph_definition", "opaque_meta")
"""Tables that say what a registry is."""

ALWAYS = "A"
"""What PostgreSQL says of a trigger that fires for replication too."""

COMMENT = "Copy of a Butler registry, fed by tapdb follow."
"""What is said of a schema, by which it is known again."""


STALE = f"{COMMENT} Its views are not refreshed yet."
"""What is said of it from when rows are copied again, until views over it are refreshed."""


def subscription_name(schema: str) -> str:
    """Return the name of the subscription that feeds the copy of a registry."""
    return f"tapdb_{schema}"[:LONGEST_NAME]


def subject_of(schema: str) -> str:
    """Return what is followed, in words."""
    return f'registry in schema "{schema}"'


def tables_to_copy(mapping: DatasetMapping) -> tuple[str, ...]:
    """Return the tables of a registry that a view, its kept tables and its links read.

    Parameters
    ----------
    mapping
        The view's configuration, matched with the registry at the primary.
    """
    named = {*butler_tables(mapping), *READ_TABLES}
    return tuple(sorted(named & mapping.registry.columns.keys()))


def say_of_copies(schema: str, said: str) -> str:
    """Return what says of a schema that it holds copies."""
    words = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    return words.format(sql.Identifier(schema), sql.Literal(said)).as_string(None)


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
        yield say_of_copies(schema, COMMENT)
    for table in tables:
        yield from make_tables(schema, (table,))
        # Where logical replication applies changes it does not fire.
        yield (
            sql.SQL(
                "CREATE TRIGGER tapdb_copy BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {} "
                "FOR EACH STATEMENT EXECUTE FUNCTION tapdb.follow()"
            )
            .format(sql.Identifier(schema, table.name))
            .as_string(None)
        )


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
