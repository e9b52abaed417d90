"""Waiting for what another thread or process is about to do, as long as a busy machine may take for it."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(fact: Callable[[], bool], what: str = "it did not come true in time", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, what
        time.sleep(0.01)
