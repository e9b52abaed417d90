"""A Gaussian process over trials: what a point is probably worth, given what its neighbours were worth.

Numbers are alike the nearer they are, values without an order are alike or not; each dimension has an effect of its
own, each two have one together, and so have all (additive kernels, Duvenaud et al. 2011). How far likeness reaches and
how much each kind of effect counts is not fixed but averaged over: a seeded Metropolis chain walks over such scales by
their posterior. The error of each trial is known, from how many examples it was scored on. Numpy alone; Optuna's
GPSampler needs torch and knows neither unordered values nor the error of a trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs

_DRAWS, _STEPS, _KEPT = 16, 36, 4  # of the chain: beginnings, steps, and states that predict
_MOST = 100  # trials; of more, the better half of these and a seeded choice of the others
_factored, _solved = get_lapack_funcs(("potrf", "trtrs"), (np.zeros((1, 1)),))
_JITTER, _LEAST_SCALE = 1e-6, 0.03
_LENGTH, _UNORDERED_LENGTH, _LENGTH_SPREAD = -0.2, 0.0, 0.6  # of logarithms, as all that follow
_KINDS = np.array([-0.5, -1.5, -2.0])  # variance of effects of one dimension, of two, of all
_KIND_SPREADS = np.array([0.7, 0.8, 0.8])
_ERROR_SPREAD = 0.8  # where errors are not known


@dataclass(frozen=True)
class _State:
    logs: np.ndarray
    factor: np.ndarray
    weights: np.ndarray


class Surrogate:
    """A posterior over values of points.

    Args:
        points: (trials, dimensions), each the place of a value in its dimension's grid.
        values: of the trials, higher is better.
        errors: standard errors of the values; None where they are not known.
        grids: per dimension, where its values lie in [0, 1].
        unordered: which dimensions have no order.
        seed: of the chain, and of which trials are used where there are very many.
    """

    def __init__(
        self,
        points: np.ndarray,
        values: np.ndarray,
        errors: np.ndarray | None,
        grids: Sequence[np.ndarray],
        unordered: np.ndarray,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        chosen = _fewer(values, rng)
        self._points, values = points[chosen], values[chosen]
        self._knows_errors = errors is not None
        guess = np.full(len(values), 0.3 * max(float(values.std()), 1e-6))
        self._variances = np.maximum(guess if errors is None else errors[chosen], 1e-6) ** 2
        self._apart = [(grid[:, None] - grid[None, :]) ** 2 for grid in grids]
        self._unordered = unordered
        self._lower = np.tril_indices(len(values))
        self._pairs = self._entries(self._points[self._lower[0]], self._points[self._lower[1]])
        self._mean = float(np.average(values, weights=1 / self._variances))
        true = max(float(values.var()) - float(self._variances.mean()), 0.0)
        self._scale, self._targets = max(math.sqrt(true), _LEAST_SCALE), values - self._mean
        self._states = self._chain(rng)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the true values at points, (states of the chain, points) each."""
        across = self._entries(points[:, None, :], self._points[None, :, :])
        parts = [self._predicted(state, across) for state in self._states]
        return np.array([mean for mean, _ in parts]), np.array([spread for _, spread in parts])

    def mean(self, points: np.ndarray) -> np.ndarray:
        """What is expected at points."""
        across = self._entries(points[:, None, :], self._points[None, :, :])
        return np.mean(
            [self._mean + self._likeness(state.logs, across) @ state.weights for state in self._states], axis=0
        )

    def _predicted(self, state: _State, entries: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        across = self._likeness(state.logs, entries)
        solved = _solved(state.factor, across.T, lower=1)[0]
        width, (one, two, every) = len(self._apart), np.exp(state.logs[-4:-1])
        prior = self._scale**2 * (one * width + two * (width - 1) + every)
        spread = np.sqrt(np.maximum(prior - (solved**2).sum(axis=0), 1e-10))
        return self._mean + across @ state.weights, spread

    def _chain(self, rng: np.random.Generator) -> list[_State]:
        width = len(self._apart)
        middle = np.concatenate([np.where(self._unordered, _UNORDERED_LENGTH, _LENGTH), _KINDS, [0.0]])
        error_spread = 0.0 if self._knows_errors else _ERROR_SPREAD
        spreads = np.concatenate([np.full(width, _LENGTH_SPREAD), _KIND_SPREADS, [error_spread]])
        draws = [middle + spreads * rng.standard_normal(len(middle)) for _ in range(_DRAWS)]
        fits = [self._fit(logs) for logs in draws]
        place = max(range(_DRAWS), key=lambda place: (fits[place][0], place))
        logs, (level, *state), walked = draws[place], fits[place], []
        level += _prior(logs, middle, spreads)
        for _ in range(_STEPS):
            moves = rng.normal(0, 0.35, len(logs)) * (rng.random(len(logs)) < 0.3) * (spreads > 0)
            other = logs + moves
            likelihood, *fitted = self._fit(other)
            reached = likelihood + _prior(other, middle, spreads)
            if math.log(rng.random() + 1e-300) < reached - level:
                level, logs, state = reached, other, fitted
            walked.append((logs, *state))
        kept = [walked[int(place)] for place in np.linspace(_STEPS // 3, _STEPS - 1, _KEPT)]
        return [_State(logs, factor, _solved(factor, half, lower=1, trans=1)[0]) for logs, factor, half in kept]

    def _fit(self, logs: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log likelihood, Cholesky factor, and the targets divided by it, under these scales."""
        covariance = np.zeros((len(self._targets), len(self._targets)), order="F")
        covariance[self._lower] = self._likeness(logs, self._pairs)
        covariance[np.diag_indices_from(covariance)] += self._variances * math.exp(2 * logs[-1]) + _JITTER
        factor, failed = _factored(covariance, lower=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("the trials' covariance is not positive definite")
        half = _solved(factor, self._targets, lower=1)[0]
        return -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum()), factor, half

    def _entries(self, one: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
        """Per dimension, where in the table of its values' likeness that of each two points stands."""
        return [one[..., place] * len(apart) + other[..., place] for place, apart in enumerate(self._apart)]

    def _likeness(self, logs: np.ndarray, entries: Sequence[np.ndarray]) -> np.ndarray:
        """The covariance of the true values of two points each."""
        total, squares, product = 0.0, 0.0, 1.0
        for place, (apart, entry) in enumerate(zip(self._apart, entries, strict=True)):
            length = math.exp(logs[place])
            if self._unordered[place]:
                table = np.where(np.eye(len(apart), dtype=bool), 1.0, 0.5 * math.exp(-1 / length))
            else:
                table = np.exp(-0.5 * apart / length**2)
            part = table.take(entry)
            total, squares, product = total + part, squares + part * part, product * part
        alone, pairs, every = np.exp(logs[-4:-1])
        return self._scale**2 * (alone * total + pairs * (total * total - squares) / len(self._apart) + every * product)


def improvement(means: np.ndarray, spreads: np.ndarray, best: float) -> np.ndarray:
    """Expected improvement on the best (Mockus 1975), averaged over (states, points)."""
    z = (means - best) / spreads
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return (spreads * (z * below(z) + density)).mean(axis=0)


def below(values: np.ndarray) -> np.ndarray:
    """The chance that a standard normal number is below each value."""
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(values / math.sqrt(2)))


def _prior(logs: np.ndarray, middle: np.ndarray, spreads: np.ndarray) -> float:
    free = spreads > 0
    return -0.5 * float((((logs - middle)[free] / spreads[free]) ** 2).sum())


def _fewer(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The places of the trials that are used, in order."""
    if len(values) <= _MOST:
        return np.arange(len(values))
    order = np.argsort(-values, kind="stable")
    others = rng.choice(order[_MOST // 2 :], _MOST - _MOST // 2, replace=False)
    return np.sort(np.concatenate([order[: _MOST // 2], others]))
