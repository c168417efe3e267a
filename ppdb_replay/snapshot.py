"""A snapshot: what the PPDB was after one of its transactions."""

from dataclasses import dataclass

from pydantic import FiniteFloat

# `snap_to` of a row that no transaction has replaced yet: the largest bigint, so that one comparison tells.
CURRENT = 9223372036854775807


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the PPDB.

    Parameters
    ----------
    snapshot_id
        Number of the transaction that made it; transactions are numbered in the order of their commits.
    t_mjd_tai
        When that transaction took the clock: MJD, TAI. Strictly increasing with `snapshot_id`.
    """

    snapshot_id: int
    t_mjd_tai: FiniteFloat
