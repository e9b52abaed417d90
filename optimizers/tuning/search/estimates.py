"""What each trial would have scored on all examples, as far as its scores on the first ones tell, and how sure that is.

A score is taken as the sum of what the trial is worth, what the example is worth, and chance. So a trial that was
dropped after a few hard examples is not thought worse than one that saw easy ones too, and the error of each is known
from what is left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS, _SHRINKAGE, _LEAST_VARIANCE = 12, 0.3, 1e-6
_USUAL_VARIANCE = 0.08  # of chance, where a single trial tells nothing of it: about that of right and wrong


@dataclass(frozen=True)
class Estimate:
    """Of a trial's mean score on all examples.

    Attributes:
        value: the mean.
        error: its standard error.
    """

    value: float
    error: float


def estimates(scores: Sequence[np.ndarray]) -> list[Estimate]:
    """Estimates of trials from their scores on the first examples, the same ones in the same order for all."""
    if not scores:
        return []
    counts = np.array([len(row) for row in scores])
    trials, examples = len(scores), int(counts.max())
    sums, squares = np.array([row.sum() for row in scores]), sum(float(row @ row) for row in scores)
    by_example, ease = np.zeros(examples), np.zeros(examples)
    for row in scores:
        by_example[: len(row)] += row
    ends, often = counts - 1, np.bincount(counts - 1, minlength=examples)[::-1].cumsum()[::-1]
    values, eased = sums / counts, np.zeros(trials)
    for _ in range(_ROUNDS):
        of_trials = np.bincount(ends, weights=values, minlength=examples)[::-1].cumsum()[::-1]
        ease = (by_example - of_trials) / (often + _SHRINKAGE)
        ease -= ease.mean()
        eased = ease.cumsum()[ends]  # of the examples that a trial has seen, which are the first ones
        values = (sums - eased) / counts
    explained = 2 * (values @ sums + ease @ by_example - values @ eased) - values**2 @ counts - ease**2 @ often
    freedom = int(counts.sum()) - trials - examples
    variance = max(0.0, squares - float(explained)) / freedom if freedom > 0 else _USUAL_VARIANCE
    variance = max(variance, _LEAST_VARIANCE)
    return [
        Estimate(float(value), float(np.sqrt(variance / count))) for value, count in zip(values, counts, strict=True)
    ]
