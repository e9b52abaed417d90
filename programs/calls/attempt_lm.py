"""A model as one attempt calls it: a copy with the attempt's sampling,
which stops with the attempt and notices cut-off answers.
"""

from __future__ import annotations

import sys
from typing import Any

import dspy

from .metering import Meter


class AnswerCutOff(Exception):
    """The model's answer ended at its token limit: what there is of it may read like an answer, but is none."""


class _Tries(int):
    """A number of retries that is spent when a further one would come after the attempt's end.

    DSPy asks ``attempt < retries`` while it handles the failure, and then sleeps for as long as the server's
    ``Retry-After`` says, or else for a power of two seconds. It can be told of a deadline in no other way.
    """

    meter: Meter

    def __gt__(self, attempt: int) -> bool:
        hint = getattr(sys.exception(), "retry_after", None)
        wait = hint if isinstance(hint, int | float) else min(2.0**attempt, 60.0)
        return int(self) > attempt and not self.meter.is_over(after_seconds=wait)


def attempt_lm(
    lm: dspy.BaseLM, sampling: dict[str, Any], meter: Meter, *, deadline_seconds: float | None
) -> dspy.BaseLM:
    """A copy of a model for one attempt.

    Args:
        lm: the model; it stays as it is.
        sampling: what is laid over its own settings.
        meter: the attempt's.
        deadline_seconds: no connection of the copy waits longer for its next byte, so that a thread that was left
            behind comes to its end; None leaves the model's own limit. A custom engine keeps its own in any case.
    """
    if deadline_seconds is not None and isinstance(getattr(lm, "engine", None), str):
        own = lm.kwargs.get("timeout")
        sampling = {
            **sampling,
            "timeout": min(own, deadline_seconds) if isinstance(own, int | float) else own or deadline_seconds,
        }
    copied = lm.copy(**sampling)
    if isinstance(copied, dspy.LM):
        copied.num_retries = _tries(copied.num_retries, meter)
    _watch(copied, meter)
    return copied


def _tries(retries: int, meter: Meter) -> _Tries:
    tries = _Tries(retries)
    tries.meter = meter
    return tries


def _watch(lm: dspy.BaseLM, meter: Meter) -> None:
    """Tells the meter how each answer ended.

    Only DSPy's history is told of that, so the attempt's settings keep one, and this is it.
    """
    keeps_history = not dspy.settings.disable_history

    def update_history(entry: dict[str, Any]) -> None:
        meter.answer_ended(cut_off=_finish_reason(entry.get("response")) == "length")
        if keeps_history:
            type(lm).update_history(lm, entry)

    lm.update_history = update_history  # type: ignore[method-assign]


def _finish_reason(response: Any) -> str | None:
    """Of a response of either of DSPy's own engines, or of a custom one."""
    choices = getattr(response, "choices", None)
    return getattr(choices[0] if choices else response, "finish_reason", None)
