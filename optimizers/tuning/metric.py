"""Metrics: the user's own, DSPy's with a trace, GEPA's with feedback, all asked in one way."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import dspy
import numpy as np

from dspy_fusion.programs import FusionError
from dspy_fusion.programs.calls.attempts import describe

Metric = Callable[..., Any]


class MetricError(FusionError):
    """The metric raised, or returned something that is no finite number."""


class Judge:
    """Asks a metric, and bears with a few examples on which it raises, such as a judge that is rate-limited once.

    Args:
        metric: see :class:`Objective`.
        allowed: on how many examples of a program it may raise. A value that is no finite number is never borne with.
    """

    def __init__(self, metric: Metric, allowed: int = 0) -> None:
        self.metric, self.allowed = metric, allowed
        self._further, self._failed = further_arguments(metric), Counter[str]()

    def __call__(
        self, program: str, example: dspy.Example, prediction: dspy.Prediction, otherwise: float
    ) -> tuple[float, str, str | None]:
        """Score, feedback, and why the metric failed, if it did; the score is then ``otherwise``.

        Raises:
            MetricError: it failed on more examples of the program than are allowed.
        """
        try:
            return *judged(self.metric, self._further, example, prediction), None
        except MetricError as error:
            self._failed[program] += 1
            if error.__cause__ is None or self._failed[program] > self.allowed:
                raise
            return otherwise, "", str(error)


def judged(
    metric: Metric, further: Sequence[None], example: dspy.Example, prediction: dspy.Prediction
) -> tuple[float, str]:
    """A metric's score and feedback; raises ``MetricError``."""
    try:
        said = metric(example, prediction, *further)
    except Exception as error:
        raise MetricError(
            f"the metric raised {describe(error)}; mend the metric and run the same command again"
        ) from error
    score = said.get("score") if isinstance(said, dspy.Prediction) else said
    feedback = str(said.get("feedback") or "") if isinstance(said, dspy.Prediction) else ""
    if not isinstance(score, int | float | np.number | np.bool_) or not math.isfinite(score):
        shown = " ".join(repr(said).split())[:200]
        raise MetricError(f"the metric returned {shown}; return a finite number, higher for better answers")
    return float(score), feedback


def further_arguments(metric: Metric) -> list[None]:
    """None for each required argument after the first two: DSPy's ``trace``, GEPA's ``trace, pred_name,
    pred_trace``.
    """
    try:
        parameters = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):
        return []
    required = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return [None] * max(0, len(required) - 2)
