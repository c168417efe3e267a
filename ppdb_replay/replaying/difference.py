"""How two results of the same query differ."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adql import OutputColumn

_Row = tuple[Any, ...]
_Rows = list[_Row]


@dataclass(frozen=True, slots=True)
class ResultDifference:
    """Two results of the same query.

    Parameters
    ----------
    columns
        Columns of both.
    key
        Places of the columns, from 0, by which rows were taken for the same row; none if none are known. Then
        a changed row is one that has gone and one that has come.
    added, removed
        Rows that have come and gone.
    changed
        Rows before and after, of the same key.
    """

    columns: tuple[OutputColumn, ...]
    key: tuple[int, ...]
    added: _Rows
    removed: _Rows
    changed: list[tuple[_Row, _Row]]

    @property
    def is_empty(self) -> bool:
        """Whether the rows are the same; their order is not looked at."""
        return not (self.added or self.removed or self.changed)


def compare_rows(
    columns: tuple[OutputColumn, ...], before: _Rows, after: _Rows, key: tuple[int, ...] = ()
) -> ResultDifference:
    """Return the difference of two lists of rows.

    Parameters
    ----------
    columns
        Columns of the rows.
    before, after
        The rows.
    key
        Places of columns that tell rows apart.
    """
    gone = _minus(before, after)
    come = _minus(after, before)
    changed: list[tuple[_Row, _Row]] = []
    if key:
        waiting: dict[Hashable, _Rows] = defaultdict(list)
        for row in gone:
            waiting[_key_of(row, key)].append(row)
        kept = []
        for row in come:
            same = waiting.get(_key_of(row, key))
            if same:
                changed.append((same.pop(0), row))
            else:
                kept.append(row)
        come = kept
        gone = [row for rows in waiting.values() for row in rows]
    return ResultDifference(columns, key, come, gone, changed)


def _minus(rows: _Rows, others: _Rows) -> _Rows:
    """Return the rows that are not among others, as often as they are more often there."""
    left = Counter(map(_hashable, others))
    found = []
    for row in rows:
        known = _hashable(row)
        if left[known]:
            left[known] -= 1
        else:
            found.append(row)
    return found


def _key_of(row: _Row, key: Sequence[int]) -> Hashable:
    return _hashable(tuple(row[place] for place in key))


def _hashable(row: Iterable[Any]) -> Hashable:
    # NaN is equal to itself here; a geometry is a list.
    return tuple(repr(value) if isinstance(value, (float, list)) else value for value in row)
