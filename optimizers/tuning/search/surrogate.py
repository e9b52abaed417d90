"""A Gaussian process over a few dozen trials: what their neighbours would probably be worth.

Numbers are alike the nearer they are, values without an order are alike or not; each dimension has an effect of its own
(additive kernels, Duvenaud et al. 2011) beside one of all together. Its scales are chosen by the likelihood among a
seeded few. Numpy alone; Optuna's GPSampler needs torch and knows neither unordered values nor the error of a trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_DRAWS, _JITTER = 24, 1e-8


@dataclass(frozen=True)
class _Scales:
    lengths: np.ndarray  # per dimension, of 1, the whole range
    alone: float  # variance of each dimension's own effect
    together: float  # variance of the effect of all together
    noise: float  # variance of a whole trial's value


class Surrogate:
    """A posterior over values of points.

    Args:
        points: (trials, dimensions), each number in [0, 1]; of an unordered dimension, a number a value.
        values: of the trials, higher is better.
        shares: which share of the examples each trial was scored on, in (0, 1]: the less, the less its value is worth.
        unordered: which dimensions have no order.
        seed: of the scales that are compared.
    """

    def __init__(
        self, points: np.ndarray, values: np.ndarray, shares: np.ndarray, unordered: np.ndarray, seed: int
    ) -> None:
        self._points, self._unordered = points, unordered
        self._mean, self._scale = float(np.average(values, weights=shares)), max(float(values.std()), 1e-3)
        targets = (values - self._mean) / self._scale
        rng = np.random.default_rng(seed)
        tried = [_drawn(rng, points.shape[1], unordered, 0.04 / self._scale) for _ in range(_DRAWS)]
        fits = [self._fit(scales, targets, shares) for scales in tried]
        best = int(np.argmax([fit[0] for fit in fits]))
        self._scales, (_, self._factor, self._weights) = tried[best], fits[best]

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the true values at points."""
        across = self._kernel(points, self._points, self._scales)
        solved = np.linalg.solve(self._factor, across.T)
        prior = self._scales.alone * points.shape[1] + self._scales.together
        spread = np.sqrt(np.maximum(prior - (solved**2).sum(axis=0), 1e-12))
        return self._mean + self._scale * (across @ self._weights), self._scale * spread

    def _fit(self, scales: _Scales, targets: np.ndarray, shares: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log likelihood, Cholesky factor and weights under these scales."""
        kernel = self._kernel(self._points, self._points, scales) + np.diag(scales.noise / shares + _JITTER)
        factor = np.linalg.cholesky(kernel)
        half = np.linalg.solve(factor, targets)
        likelihood = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
        return likelihood, factor, np.linalg.solve(factor.T, half)

    def _kernel(self, one: np.ndarray, other: np.ndarray, scales: _Scales) -> np.ndarray:
        apart = one[:, None, :] - other[None, :, :]
        alike = -0.5 * (apart / scales.lengths) ** 2
        alike = np.where(self._unordered, np.where(apart == 0, 0.0, -1 / scales.lengths), alike)
        return scales.alone * np.exp(alike).sum(axis=2) + scales.together * np.exp(alike.sum(axis=2))


def _drawn(rng: np.random.Generator, width: int, unordered: np.ndarray, noise: float) -> _Scales:
    lengths = np.exp(rng.uniform(np.log(0.25), np.log(2.0), width))
    lengths = np.where(unordered, np.exp(rng.uniform(np.log(0.3), np.log(1.5), width)), lengths)
    return _Scales(
        lengths, float(np.exp(rng.uniform(-3, 0.3))), float(np.exp(rng.uniform(-3, 0.3))),
        float((noise * np.exp(rng.uniform(-0.7, 0.5))) ** 2),
    )  # fmt: skip


def improvement(mean: np.ndarray, spread: np.ndarray, best: float) -> np.ndarray:
    """Expected improvement on the best (Mockus 1975)."""
    z = (mean - best) / spread
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + np.array([math.erf(x / math.sqrt(2)) for x in z]))
    return spread * (z * below + density)
