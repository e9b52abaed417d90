"""A surrogate over points by name: what is expected of them, what is to be gained by them, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from .estimates import Estimate
from .past_trials import Point, Row, grid, rows_of
from .surrogate import Surrogate, below, improvement


class TrialModel:
    """What is expected of points of a space, by the trials so far.

    Args:
        space: the distributions, by name.
        rows: the trials.
        unordered: names of the dimensions whose values have no order.
        seed: of the surrogate.
    """

    def __init__(
        self, space: Mapping[str, BaseDistribution], rows: Sequence[Row], unordered: Sequence[str], seed: int
    ) -> None:
        self.names, self.seed = list(space), seed
        self.rows = [row for row in rows if row.value is not None]
        self.is_unordered = np.array([name in unordered for name in space])
        self._grids = {}
        for name, part in space.items():
            values = grid(part)
            values += [value for value in dict.fromkeys(row.point[name] for row in self.rows) if value not in values]
            self._grids[name] = values if name in unordered else sorted(values)
        self._at = {name: {value: place for place, value in enumerate(self._grids[name])} for name in self.names}

    def expected(self, points: Sequence[Point]) -> np.ndarray:
        """What is expected of points; of a single trial its own value."""
        if len(self.rows) < 2:
            return np.array([self.rows[0].value if self.rows else 0.0] * len(points))
        return self._surrogate.mean(self._indices(points))

    def hopes(self, points: Sequence[Point], doubt: float) -> np.ndarray:
        """What is expected, and so many standard deviations more."""
        means, spreads = self._surrogate.predict(self._indices(points))
        return means.mean(axis=0) + doubt * np.sqrt((spreads**2).mean(axis=0) + means.var(axis=0))

    def gains(self, points: Sequence[Point]) -> np.ndarray:
        """By how much points are expected to improve on the best trial that meets the constraints, times the chance
        that they meet them (Gardner et al. 2014); where no trial does, that chance alone.
        """
        allowed = self._allowed(points)
        fitting = [row for row in self.rows if all(value <= 0 for value in row.beyond.values())]
        if not fitting:
            return allowed
        best = float(self.expected([row.point for row in fitting]).max())
        return allowed * improvement(*self._surrogate.predict(self._indices(points)), best)

    def _allowed(self, points: Sequence[Point]) -> np.ndarray:
        """The chance that points meet all constraints, by the trials of which that is known."""
        chance = np.ones(len(points))
        for name in dict.fromkeys(name for row in self.rows for name in row.beyond):
            rows = [row for row in self.rows if name in row.beyond]
            if len(rows) < 2 or all(row.beyond[name] <= 0 for row in rows):
                continue
            model = self._fitted(rows, np.array([row.beyond[name] for row in rows]), None)
            means, spreads = model.predict(self._indices(points))
            chance *= below(-means / spreads).mean(axis=0)
        return chance

    def places(self, points: Sequence[Point]) -> np.ndarray:
        """Where points lie in [0, 1] in each dimension, (points, dimensions)."""
        where = [self._coordinates(name) for name in self.names]
        return np.array([[where[j][i] for j, i in enumerate(row)] for row in self._indices(points)])

    @cached_property
    def _surrogate(self) -> Surrogate:
        errors = [row.error for row in self.rows]
        values = np.array([row.value for row in self.rows])
        return self._fitted(self.rows, values, None if None in errors else np.array(errors, dtype=float))

    def _fitted(self, rows: Sequence[Row], values: np.ndarray, errors: np.ndarray | None) -> Surrogate:
        grids = [self._coordinates(name) for name in self.names]
        points = self._indices([row.point for row in rows])
        return Surrogate(points, values, errors, grids, self.is_unordered, self.seed)

    def _coordinates(self, name: str) -> np.ndarray:
        values = self._grids[name]
        if self.is_unordered[self.names.index(name)]:
            return np.linspace(0, 1, len(values))
        low, high = float(values[0]), float(values[-1])
        return np.array([(float(value) - low) / max(1e-9, high - low) for value in values])

    def _indices(self, points: Sequence[Point]) -> np.ndarray:
        return np.array([[self._at[name][point[name]] for name in self.names] for point in points], dtype=int)


def expected_values(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    space: Mapping[str, BaseDistribution],
    unordered: Sequence[str],
    known: Mapping[int, Estimate],
) -> dict[int, float]:
    """What whole trials are worth in view of all trials, by their numbers.

    A trial's own mean counts the less the fewer its examples and the more its neighbours say otherwise: of many trials
    the one with the highest mean is mostly one that was lucky.
    """
    rows = {
        trial.number: row for trial in trials if trial.number in known for row in rows_of(study, [trial], space, known)
    }
    if len(rows) < 2:
        return {number: row.value for number, row in rows.items() if row.value is not None}
    texts = [n for n, part in space.items() if isinstance(part, CategoricalDistribution) or n in unordered]
    expected = TrialModel(space, list(rows.values()), texts, 0).expected([row.point for row in rows.values()])
    return {n: float(value) for (n, row), value in zip(rows.items(), expected, strict=True) if not row.is_dropped}
