"""Least squares with standardised coefficients, and intervals that know that the groups of one question go together.

The variance is the cluster-robust sandwich with the usual correction for few clusters, G / (G - 1) * (n - 1) / (n - k),
and t with G - 1 degrees of freedom (Cameron and Miller, 2015). With fewer than about 20 questions such intervals are
still a little too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from dspy_fusion.programs.errors import ConfigurationError

from .intervals import Interval

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Fit:
    """A regression in which everything has mean 0 and standard deviation 1."""

    coefficients: Mapping[str, Interval]
    """By name: standard deviations of the outcome for one of the regressor, the others held fixed."""
    contrast: Interval
    """The first coefficient minus the second."""
    explained: float
    """Share of the outcome's variance, in [0, 1]."""
    correlation: float
    """Of the first two regressors."""
    observations: int


def fit(
    outcome: Numbers,
    regressors: Mapping[str, Numbers],
    clusters: Sequence[str],
    *,
    within: bool,
    confidence: float = 0.95,
) -> Fit:
    """Fits a line.

    Args:
        outcome: one number per observation.
        regressors: by name, each of the outcome's length; at least two.
        clusters: which question each observation belongs to.
        within: whether each question's own mean is taken off everything first (fixed effects), so that only differences
            between the groups of one question count, and not that one question is harder than another.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ConfigurationError: there are fewer than two questions, or something does not vary.
    """
    names, places = list(regressors), np.unique(np.asarray(clusters), return_inverse=True)[1]
    groups = int(places.max()) + 1 if len(places) else 0
    if groups < 2:
        raise ConfigurationError(f"a regression over questions needs at least 2 of them, but got {groups}")
    columns = {"the outcome": np.asarray(outcome, float)} | {
        name: np.asarray(regressors[name], float) for name in names
    }
    ready = {name: _standardised(name, column, places if within else None) for name, column in columns.items()}
    y, x = ready["the outcome"], np.column_stack([ready[name] for name in names])  # (n,), (n, k)
    if np.linalg.matrix_rank(x, tol=1e-8 * len(y) ** 0.5) < len(names):
        raise ConfigurationError(f"{' and '.join(names)} go together exactly; their effects cannot be told apart")
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    residuals = y - x @ beta
    sums = np.zeros((groups, len(names)))
    np.add.at(sums, places, x * residuals[:, None])
    small = (
        groups / (groups - 1) * (len(y) - 1) / max(1, len(y) - len(names) - 1)
    )  # means within clusters are no further parameters
    covariance = small * bread @ (sums.T @ sums) @ bread
    reach = float(stdtrit(groups - 1, (1 + confidence) / 2))

    def estimate(weights: np.ndarray) -> Interval:
        mean, half = float(weights @ beta), reach * float(np.sqrt(weights @ covariance @ weights))
        return Interval(mean, mean - half, mean + half, groups)

    basis = np.eye(len(names))
    return Fit(
        {name: estimate(basis[place]) for place, name in enumerate(names)},
        estimate(basis[0] - basis[1]),
        float(1 - residuals @ residuals / (y @ y)),
        float(np.corrcoef(x[:, 0], x[:, 1])[0, 1]),
        len(y),
    )


def _standardised(name: str, column: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    if places is not None:
        column = column - (np.bincount(places, column) / np.bincount(places))[places]
    else:
        column = column - column.mean()
    if not column.std() > 1e-12:
        raise ConfigurationError(f"{name} does not vary; take more questions, more groups, or another temperature")
    return column / column.std()
