"""Whose fault a failure of the database is, and what a person is told."""

from __future__ import annotations

import pytest

from tap_query.errors import QueryFailedError


@pytest.mark.parametrize(
    ("sqlstate", "fault", "hint"),
    [
        ("57014", "time", "longer than the time limit"),
        ("22012", "user", "divided by zero"),
        ("2201E", "user", "needs a positive number"),
        ("22003", "user", "out of range"),
        ("54001", "user", ""),
        ("42501", "service", ""),
        ("53100", "service", ""),
        ("", "service", ""),
    ],
)
def test_a_code_of_postgresql_says_whose_fault_it_is(sqlstate: str, fault: str, hint: str) -> None:
    error = QueryFailedError("said", sqlstate)
    assert error.fault == fault
    assert ("(" in str(error)) == bool(hint)
    assert hint in str(error)


@pytest.mark.parametrize(
    "message",
    [
        "spherepoly_from_array: a line segment overlaps or polygon too large",
        "spherepoly_from_array: more than two points needed",
        "radius must be not greater than 90 degrees",
    ],
)
def test_a_shape_that_pg_sphere_refuses_is_a_value_of_the_user(message: str) -> None:
    assert QueryFailedError(message, "XX000").fault == "user"
