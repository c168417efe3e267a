"""Asking long work to stop, from a signal handler too."""

from __future__ import annotations

import time

__all__ = ["StopRequest"]

_LOOK_S = 0.1


class StopRequest:
    """Whether work is to stop at the next good moment.

    A plain flag, since `threading.Event` has a lock that a signal handler could wait for without end.
    """

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether it was asked for."""
        return self._requested

    def request(self) -> None:
        """Ask for it; may be called from a signal handler."""
        self._requested = True

    def wait(self, seconds: float) -> None:
        """Return after some seconds, or soon after it was asked for."""
        end = time.monotonic() + seconds
        while not self._requested and (left := end - time.monotonic()) > 0.0:
            time.sleep(min(_LOOK_S, left))
