"""What is wrong with a request to the PPDB and its replay."""

from __future__ import annotations

from tapdb.errors import TapdbError

__all__ = ["ClockValueMissingError", "PpdbError"]


class PpdbError(TapdbError):
    """Base of the errors of `ppdb_replay`."""


class ClockValueMissingError(PpdbError, ValueError):
    """A query asks for the present time, and the time of its snapshot is not known.

    Parameters
    ----------
    function
        The function in the query.
    """

    def __init__(self, function: str) -> None:
        self.function = function
        super().__init__(
            f"{function}() has the value that it had when the query first ran, and a snapshot number alone "
            "does not tell it: give a Snapshot with its time"
        )
