"""GPU-seconds of local models.

The time for which calls are open, shared by those that are open together, times the GPUs of the address.

A server works on all its calls at once, so eight calls side by side for one second cost one second and not eight. A
clock that runs at the speed GPUs / open calls gives each call its share: what it shows at the call's end less what it
showed at its beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_fusion.programs.calls.metering import Meter


class GpuTime(BaseCallback):
    """A callback of an LM that adds the GPU-seconds of its calls to the meter around them.

    Args:
        model: the LM's model; calls of others are not looked at.
        gpus: how many GPUs each of its addresses has.
    """

    def __init__(self, model: str, gpus: float) -> None:
        super().__init__()
        self.model, self.gpus = model, gpus
        self._began: dict[str, tuple[_Clock, float]] = {}

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Notes what the clock of the call's address shows."""
        if instance.model == self.model:
            clock = _clock(str(instance.kwargs.get("api_base") or self.model))
            self._began[call_id] = (clock, clock.begin())

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Puts the call's share down to the meter, failed calls too."""
        if call_id in self._began:
            clock, began = self._began.pop(call_id)
            share = (clock.end() - began) * self.gpus
            if isinstance(meter := dspy.settings.usage_tracker, Meter):
                meter.add_gpu_seconds(self.model, share)

    def __deepcopy__(self, memo: dict[int, Any]) -> GpuTime:
        return self

    def __reduce__(self) -> tuple[Callable[..., GpuTime], tuple[str, float]]:
        return GpuTime, (self.model, self.gpus)


class _Clock:
    """Runs at one second a second where one call is open, at half of that where two are."""

    def __init__(self) -> None:
        self._shown, self._open, self._looked = 0.0, 0, time.monotonic()
        self._lock = threading.Lock()

    def begin(self) -> float:
        """The clock's reading, from which on one more call shares the time."""
        with self._lock:
            reading = self._look()
            self._open += 1
            return reading

    def end(self) -> float:
        """The clock's reading, from which on one call fewer shares the time."""
        with self._lock:
            reading = self._look()
            self._open -= 1
            return reading

    def _look(self) -> float:
        now = time.monotonic()
        if self._open:
            self._shown += (now - self._looked) / self._open
        self._looked = now
        return self._shown


_clocks: dict[str, _Clock] = {}
_clocks_lock = threading.Lock()


def _clock(name: str) -> _Clock:
    with _clocks_lock:
        return _clocks.setdefault(name, _Clock())
