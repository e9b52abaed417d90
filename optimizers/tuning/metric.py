"""Metrics: the user's own, DSPy's with a trace, GEPA's with feedback, all asked in one way."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import dspy
import numpy as np

from dspy_fusion.programs import FusionError
from dspy_fusion.programs.calls.attempts import describe

Metric = Callable[..., Any]


class MetricError(FusionError):
    """The metric raised, or returned something that is no finite number."""


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
