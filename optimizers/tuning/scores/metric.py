"""Metrics: the user's own, DSPy's with a trace, GEPA's with feedback, and further measures, all asked in one way."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import dspy
import numpy as np

from dspy_fusion.programs import FusionError, Usage
from dspy_fusion.programs.calls.attempts import describe

Metric = Callable[..., Any]
Measure = Callable[[dspy.Example, dspy.Prediction, "AnswerUsage"], Any]
"""A second metric: of an example, an answer and what it took, a finite number."""


@dataclass(frozen=True)
class AnswerUsage(Usage):
    """What an answer took, replayed calls included.

    Attributes:
        seconds: wall time now; a call that a bank replays takes next to none.
        by_model: calls and tokens of each model.
    """

    seconds: float = 0.0
    by_model: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What is said of one answer.

    Attributes:
        score: by the metric.
        feedback: in words, or an empty text.
        values: further measures, by name.
        error: why the metric or a measure failed, or None.
    """

    score: float
    feedback: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


class MetricError(FusionError):
    """The metric or a measure raised, or returned something that is no finite number, or lacks a value."""


class Judge:
    """Asks a metric and further measures, and bears with a few examples on which one raises, such as a judge that is
    rate-limited once.

    Args:
        metric: see :class:`Objective`.
        allowed: on how many examples of a program it may raise. A value that is no finite number is never borne with.
        measures: further measures, by name.
        wanted: names that objectives and constraints use; what no measure has, the metric has to return.
    """

    def __init__(
        self,
        metric: Metric,
        allowed: int = 0,
        measures: Mapping[str, Measure] | None = None,
        wanted: Sequence[str] = (),
    ) -> None:
        self.metric, self.allowed, self.measures = metric, allowed, dict(measures or {})
        self._from_metric = tuple(name for name in wanted if name not in self.measures)
        self._further, self._failed = further_arguments(metric), Counter[str]()

    def score(self, example: dspy.Example, prediction: dspy.Prediction) -> float | None:
        """The metric's score alone; None where it fails."""
        try:
            return judged(self.metric, self._further, example, prediction)[0]
        except MetricError:
            return None

    def __call__(
        self,
        program: str,
        example: dspy.Example,
        prediction: dspy.Prediction,
        otherwise: float,
        usage: AnswerUsage | None = None,
    ) -> Judgement:
        """What is said of an answer; where the metric or a measure failed, with ``otherwise`` as the score.

        Raises:
            MetricError: one failed on more examples of the program than are allowed.
        """
        try:
            score, feedback, values = judged(self.metric, self._further, example, prediction, self._from_metric)
            measured = {name: _measured(name, of, example, prediction, usage) for name, of in self.measures.items()}
            return Judgement(score, feedback, {**values, **measured})
        except MetricError as error:
            self._failed[program] += 1
            if error.__cause__ is None or self._failed[program] > self.allowed:
                raise
            return Judgement(otherwise, error=str(error))


def judged(
    metric: Metric,
    further: Sequence[None],
    example: dspy.Example,
    prediction: dspy.Prediction,
    names: Sequence[str] = (),
) -> tuple[float, str, dict[str, float]]:
    """A metric's score, feedback and values of these names; raises ``MetricError``."""
    try:
        said = metric(example, prediction, *further)
    except Exception as error:
        raise MetricError(
            f"the metric raised {describe(error)}; mend the metric and run the same command again"
        ) from error
    parts: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    parts = said.toDict() if isinstance(said, dspy.Prediction) else parts
    score = parts.get("score") if parts else said
    if not _is_finite(score):
        shown = " ".join(repr(said).split())[:200]
        raise MetricError(f"the metric returned {shown}; return a finite number, higher for better answers")
    for name in names:
        if name not in parts or not _is_finite(parts[name]):
            lacks = f"{name}={parts[name]!r:.80}, which is no finite number" if name in parts else f"no {name!r}"
            raise MetricError(
                f"the metric returned {lacks} (it returned {', '.join(parts) or 'a number alone'}), but the objectives"
                f" or constraints use {name}; return it for every example, or give measures={{{name!r}: ...}}"
            )
    return float(score), str(parts.get("feedback") or ""), {name: float(parts[name]) for name in names}


def _measured(
    name: str, measure: Measure, example: dspy.Example, prediction: dspy.Prediction, usage: AnswerUsage | None
) -> float:
    try:
        value = measure(example, prediction, usage or AnswerUsage())
    except Exception as error:
        raise MetricError(
            f"the measure {name!r} raised {describe(error)}; mend it and run the same command again"
        ) from error
    if not _is_finite(value):
        raise MetricError(f"the measure {name!r} returned {' '.join(repr(value).split())[:80]}; return a finite number")
    return float(value)


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.number | np.bool_) and math.isfinite(value)


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
