"""One BLAS thread while an embedded model works: its products are so small that a second thread costs more than it brings.

On two busy cores, two BLAS threads made a step up to forty times slower. The limit holds for the whole process, so it is counted
by all working models together and taken back when the last of them is idle.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds BLAS at one thread inside the block; blocks may overlap in any number of threads."""
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


class _SharedLimit:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limiter = _controller().limit(limits=1, user_api="blas")

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limiter.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


_limit = _SharedLimit()


def _forget_users() -> None:
    # A child of a fork has none of its parent's threads, and its copy of the lock may be held for ever.
    _limit.__init__()


os.register_at_fork(after_in_child=_forget_users)
