"""Limits on the size of a query and of its result."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on a query, checked before a tree is built or a database is used.

    Parameters
    ----------
    max_bytes
        Length of the query text in UTF-8, in bytes.
    max_tokens
        Words, names, literals and signs in the query: enough for a list of ten thousand object ids.
    max_other_tokens
        The same without literals and commas, which cost little; enough to select 1,664 columns by name.
    max_nesting
        Parentheses inside parentheses.
    max_depth
        Nodes of the tree below one another. Parentheses that mean nothing add none; the most that one pair
        adds is three or four.
    max_subqueries
        Subqueries inside subqueries; each costs several levels of the tree.
    max_terms
        Items of one list (SELECT, GROUP BY, ORDER BY); PostgreSQL takes no more than 1,664.
    max_arguments
        Arguments of one function: two for each vertex of the largest polygon.
    max_operators
        Operators in one chain, such as ``a + b + c`` or ``x = 1 OR x = 2``.
    max_vertices
        Vertices of one polygon.
    max_tables
        Tables and common table expressions that a query names, each time that it does.
    max_columns
        Output columns, those of subqueries and of ``SELECT *`` included; one that USING or NATURAL merges
        counts four times, because it costs as much.
    max_expanded
        Operations for each row once the output expressions of subqueries and WITH tables stand where they are
        named, as PostgreSQL plans them. Past it a subquery is kept apart by a fence, or the query refused.
    max_made_text
        Bytes of text that one row makes by concatenation, CAST and the like, what stands between included.
    max_joined
        Tables that the planner puts in order at once: those of one FROM, of subqueries that it joins to them,
        and of EXISTS and IN.
    max_rows
        Maximum number of rows that the service returns (TAP's MAXREC). The query fetches one more, to
        detect an overflow. `None` sets no limit.
    """

    max_bytes: int = 500_000
    max_tokens: int = 20_000
    max_other_tokens: int = 5_000
    max_nesting: int = 100
    max_depth: int = 150
    max_subqueries: int = 20
    max_terms: int = 1_664
    max_arguments: int = 2_010
    max_operators: int = 1_500
    max_vertices: int = 1_000
    max_tables: int = 100
    max_columns: int = 5_000
    max_expanded: int = 20_000
    max_made_text: int = 16_000_000
    max_joined: int = 24
    max_rows: int | None = None


DEFAULT_LIMITS = Limits()
