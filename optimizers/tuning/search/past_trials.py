"""A study's trials as a search sees them: points on grids, each with what is known of its worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from .estimates import Estimate

STEP, DROPPED, CAUSE = "step", "dropped", "cause"
Point = dict[str, Any]
_LEVELS = 16  # values of a number without a grid


@dataclass(frozen=True)
class Row:
    """One trial.

    Attributes:
        point: a value per dimension.
        value: of the first objective, higher is better; None while it is not known.
        is_whole: whether it was scored to the end and meets every constraint.
        error: standard error of the value, or None where it is not known.
        tie: breaks ties, higher is better.
        step: of the search that proposed it, or an empty text.
        is_dropped: whether it was dropped before its end.
        beyond: by how much it is beyond each constraint, by the constraint's name; 0 or less where it meets it.
    """

    point: Point
    value: float | None
    is_whole: bool
    error: float | None
    tie: float
    step: str
    is_dropped: bool = False
    beyond: Mapping[str, float] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[float, float]:
        """By which whole trials are compared."""
        return (-math.inf if self.value is None else self.value), self.tie


def rows_of(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    space: Mapping[str, Any],
    known: Mapping[int, Estimate] | None = None,
) -> list[Row]:
    """The trials that have a point of the space; one whose worker died is none, its point is queued again.

    Args:
        study: whose directions count.
        trials: in order.
        space: names of the dimensions.
        known: by the numbers of trials, what they are worth and how sure that is; of others their own value is taken.
    """
    rows, best = [], -math.inf
    for trial in trials:
        if not set(space) <= set(trial.params) or (trial.state == TrialState.FAIL and CAUSE not in trial.user_attrs):
            continue
        row = _row(study, trial, space, (known or {}).get(trial.number), best)
        best = max(best, -math.inf if row.value is None else row.value) if row.is_whole else best
        rows.append(row)
    return rows


def _row(study: optuna.Study, trial: FrozenTrial, space: Mapping[str, Any], known: Estimate | None, best: float) -> Row:
    signs = [1.0 if direction == StudyDirection.MAXIMIZE else -1.0 for direction in study.directions]
    values = [sign * value for sign, value in zip(signs, trial.values or (), strict=False)]
    is_whole = bool(values) and trial.state == TrialState.COMPLETE and all(c <= 0 for c in trial.constraints.values())
    value, short = (values[0] if values else None), trial.constraints.get(DROPPED)
    if short is not None and math.isfinite(best):
        value = best - short  # its own mean is of the first examples, which may be harder or easier than all
    if value is not None and known is not None:
        value = known.value
    point = {name: trial.params[name] for name in space}
    return Row(
        {name: round(value, 9) if isinstance(value, float) else value for name, value in point.items()},
        value,
        is_whole,
        None if known is None else known.error,
        values[1] if len(values) > 1 else 0.0,
        str(trial.user_attrs.get(STEP, "")),
        short is not None or trial.state == TrialState.PRUNED,
        {name: value for name, value in trial.constraints.items() if name != DROPPED},
    )


def grid(part: BaseDistribution) -> list[Any]:
    """The values of a dimension that are tried.

    All of a choice or a whole number, of a float those of its grid, or 16 of them.
    """
    if isinstance(part, CategoricalDistribution):
        return list(part.choices)
    if isinstance(part, IntDistribution):
        return list(range(part.low, part.high + 1, part.step))
    if not isinstance(part, FloatDistribution):
        raise TypeError(f"a {type(part).__name__} cannot be searched; use an Optuna distribution of numbers or choices")
    if part.step:
        return [round(part.low + i * part.step, 9) for i in range(round((part.high - part.low) / part.step) + 1)]
    return [float(value) for value in (np.geomspace if part.log else np.linspace)(part.low, part.high, _LEVELS)]


def first_value(name: str, part: BaseDistribution, start: Mapping[str, Any]) -> Any:
    """The start's value of a dimension, or the middle of its range, or its first choice."""
    values = grid(part)
    return (
        start[name] if name in start else values[0 if isinstance(part, CategoricalDistribution) else len(values) // 2]
    )
