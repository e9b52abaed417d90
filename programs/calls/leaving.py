"""How an attempt ends that makes no further call.

No ``Exception``, so that no module takes either for a failed call of its own.
"""

from __future__ import annotations

from ..errors import FusionError


class LeftBehind(BaseException):
    """Ends the thread of an attempt that was left behind."""


class Stopped(BaseException):
    """Ends an attempt that a limit does not let make its next call."""

    def __init__(self, error: FusionError) -> None:
        super().__init__(str(error))
        self.error = error
