"""Grants on a relation that was dropped and made again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tapdb.postgres.catalog import describe, diff
from tapdb.postgres.roles import read_grants, restore_grants
from tapdb.sources import execute_text

GRANTS = """
CREATE ROLE "tapdb test ""it"" role";
CREATE TABLE public.t (a int, b int, p public.spoint);
CREATE VIEW public.v AS SELECT a, b, p FROM public.t;
CREATE VIEW public.bare AS SELECT a, b FROM public.t;
GRANT SELECT, INSERT ON public.v TO "tapdb test ""it"" role" WITH GRANT OPTION;
GRANT SELECT (a), UPDATE (b) ON public.v TO "tapdb test ""it"" role";
GRANT REFERENCES ON public.v TO PUBLIC;
"""


@pytest.fixture
def granted(connection: sa.Connection) -> sa.Connection:
    """Return a connection in a transaction with granted things, which is rolled back."""
    execute_text(connection, GRANTS)
    return connection


def test_a_relation_that_was_made_again_gets_what_it_had(granted: sa.Connection) -> None:
    before, catalog = read_grants(granted), describe(granted, ["public"])
    execute_text(granted, "DROP VIEW public.v; CREATE VIEW public.v AS SELECT a, b, p FROM public.t")
    assert diff(catalog, describe(granted, ["public"])) != ()
    restore_grants(granted, before)
    assert diff(catalog, describe(granted, ["public"])) == ()


def test_a_schema_that_was_made_again_gets_what_it_had(granted: sa.Connection) -> None:
    execute_text(
        granted,
        """
        CREATE SCHEMA embargo; CREATE VIEW embargo.v AS SELECT 1 AS x;
        GRANT USAGE ON SCHEMA embargo TO "tapdb test ""it"" role" WITH GRANT OPTION;
        GRANT SELECT ON embargo.v TO "tapdb test ""it"" role";
        """,
    )
    before, catalog = read_grants(granted), describe(granted, ["embargo"])
    execute_text(
        granted,
        """
        DROP VIEW embargo.v; DROP SCHEMA embargo;
        CREATE SCHEMA embargo; CREATE VIEW embargo.v AS SELECT 1 AS x;
        GRANT ALL ON SCHEMA embargo TO PUBLIC;
        """,
    )
    restore_grants(granted, before)
    assert diff(catalog, describe(granted, ["embargo"])) == ()


def test_what_it_has_too_much_is_taken_back(granted: sa.Connection) -> None:
    before, catalog = read_grants(granted), describe(granted, ["public"])
    execute_text(
        granted,
        "DROP VIEW public.bare; CREATE VIEW public.bare AS SELECT a, b FROM public.t;"
        "GRANT SELECT ON public.bare TO PUBLIC; GRANT UPDATE (a) ON public.bare TO pg_monitor",
    )
    restore_grants(granted, before)
    assert diff(catalog, describe(granted, ["public"])) == ()


def test_a_column_that_is_gone_takes_its_grants_with_it(granted: sa.Connection) -> None:
    before = read_grants(granted)
    execute_text(granted, "DROP VIEW public.v; CREATE VIEW public.v AS SELECT a, 1 AS c FROM public.t")
    restore_grants(granted, before)
    columns = {grant.column for grant in read_grants(granted)["public", "v"].grants}
    assert columns == {None, "a"}


def test_relations_that_stayed_or_are_new_or_gone_are_left_alone(granted: sa.Connection) -> None:
    before = read_grants(granted)
    execute_text(
        granted,
        "GRANT SELECT ON public.bare TO PUBLIC; CREATE TABLE public.new_one (); DROP VIEW public.v;"
        "GRANT SELECT ON public.new_one TO PUBLIC",
    )
    catalog = describe(granted, ["public"])
    restore_grants(granted, before)
    assert diff(catalog, describe(granted, ["public"])) == ()
