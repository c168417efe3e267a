"""Which chunks of an APDB are to be copied, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ppdb_replay.replication.chunk import Chunk

__all__ = ["PlannedChunk", "Reason", "plan_chunks"]


class Reason(StrEnum):
    """Why a chunk is to be copied."""

    NEW = "new"
    LATE = "late"
    TOUCHED = "touched again"


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A chunk that is to be copied.

    Attributes
    ----------
    chunk
        The chunk.
    reason
        It is new; or new, but older than others that have been copied; or was written to after it was copied.
    """

    chunk: Chunk
    reason: Reason


def plan_chunks(
    apdb: Iterable[Chunk], copied: Mapping[int, UUID], *, now_tai_s: float, settle_s: float
) -> tuple[PlannedChunk, ...]:
    """Return the chunks to copy, in the order of their ids.

    Parameters
    ----------
    apdb
        Chunks that the APDB has.
    copied
        Unique id, at the time, of each chunk that was copied.
    now_tai_s
        Present time, in seconds since 1970-01-01 00:00:00 TAI.
    settle_s
        How long a chunk has to be left alone before it is copied, in seconds. The first that is too
        young ends the list: later ones wait with it.
    """
    newest = max(copied, default=None)
    planned = []
    for chunk in sorted(apdb, key=lambda one: one.id):
        if chunk.id not in copied:
            reason = Reason.NEW if newest is None or chunk.id > newest else Reason.LATE
        elif copied[chunk.id] != chunk.unique_id:
            reason = Reason.TOUCHED
        else:
            continue
        if now_tai_s - chunk.last_update_tai_s < settle_s:
            break
        planned.append(PlannedChunk(chunk, reason))
    return tuple(planned)
