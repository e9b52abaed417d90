"""Waiting for what another thread or process is about to do, as long as a busy machine may take for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dspy_fusion.programs import FusionError

T = TypeVar("T")


def wait_for(fact: Callable[[], bool], what: str = "it did not come true in time", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def with_time_enough(make: Callable[[float], T], was_enough: Callable[[T], bool] = lambda made: True) -> T:
    """What is made within a short deadline, which is over in any case, or within a longer one where a busy machine had
    not done by then what must be done before it.
    """
    for seconds in (0.6, 5.0):
        with suppress(FusionError):
            if was_enough(made := make(seconds)):
                return made
    return make(30.0)
