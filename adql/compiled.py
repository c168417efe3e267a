"""What a query becomes for PostgreSQL, and what the server has to offer."""

from __future__ import annotations

from dataclasses import dataclass

from adql.types import OutputColumn

__all__ = ["CompiledQuery", "Parameter", "Server"]

Parameter = float | int | str | list[float] | list[int] | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The database that a query is compiled for.

    Parameters
    ----------
    pgsphere
        Version of the pg_sphere extension. From 1.4.0 on ``spoint_dwithin`` is used.
    inline
        Whether constants are written into the SQL, escaped, instead of being parameters.
    exact_sums
        Whether SUM and AVG of floating-point numbers add them up from the smallest to the largest. The last
        digits of such a sum depend on the order in which the rows come, which changes when rows move on disk
        or another plan is taken; ordered sums do not, and take about three times as long.
    """

    pgsphere: tuple[int, int, int] = (1, 2, 0)
    inline: bool = False
    exact_sums: bool = False

    @property
    def has_dwithin(self) -> bool:
        """Whether ``spoint_dwithin`` exists, which finds the index of either point by itself."""
        return self.pgsphere >= (1, 4, 0)


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """One SELECT for PostgreSQL.

    Parameters
    ----------
    sql
        The statement, with ``$1``, ``$2``, ... where constants were.
    parameters
        Their values.
    parameter_types
        Their types in PostgreSQL, such as ``double precision`` or ``text``. Sending them with these types
        lets the server keep one prepared statement, and one plan, for all queries of the same shape.
    columns
        The columns of the result, as a VOTable describes them. A point, circle or polygon comes as an array
        of degrees.
    """

    sql: str
    parameters: tuple[Parameter, ...]
    parameter_types: tuple[str, ...]
    columns: tuple[OutputColumn, ...]
