"""Intervals for scores: bootstrap over examples, paired differences, Clopper-Pearson, and pass@k. Pure numpy, seeded.

All seeds of one example are resampled together: they share the example's difficulty, so counting them as independent
would make every interval too narrow. Examples are drawn anew within their stratum (such as their language), whose size
is part of the design. The number of right candidates is no such stratum: it is an outcome, and holding it fixed would
make intervals too narrow again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv  # a tenth of the time to import that scipy.stats takes

from dspy_fusion.optimizers.bootstrap import Interval, quantiles, resampled_sums

RESAMPLES = 5000
Scores = Mapping[tuple[str, int], float]
"""One score per (example, seed)."""
Strata = Mapping[str, str]
"""What stratum each example is in; an example that is not named is in the stratum of the empty name."""


class Clusters(NamedTuple):
    """The scores of each example added up, strata one after another,
    in an order that does not depend on when they were recorded.
    """

    sums: np.ndarray  # (examples,)
    counts: np.ndarray  # (examples,): how many scores were added
    sizes: tuple[int, ...]  # number of examples in each stratum


def mean_interval(
    scores: Scores, *, strata: Strata | None = None, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The mean of scores in [0, 1] with a percentile bootstrap interval over examples.

    Where every score is 0, or every one is 1, resampling would give an interval of no width; the exact binomial bound
    stands in.

    Args:
        scores: one score per (example, seed).
        strata: within which examples are drawn anew; ignored where one of them has a single example, which could not
            vary.
        confidence: coverage of the interval, in (0, 1).
        resamples: how often the examples are drawn anew.
        seed: of the resampling.

    Raises:
        ValueError: ``scores`` is empty.
    """
    groups = clusters(scores, strata)
    n, mean = len(groups.sums), float(groups.sums.sum() / groups.counts.sum())
    low, high = _bootstrap(groups, confidence, resamples, seed)
    if n > 1 and mean in (0.0, 1.0):
        bound = ((1 - confidence) / 2) ** (1 / n)
        low, high = (bound, 1.0) if mean else (0.0, 1 - bound)
    return Interval(mean, low, high, n)


def paired_difference(
    scores: Scores,
    reference: Scores,
    *,
    strata: Strata | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean of ``scores - reference`` over the (example, seed) pairs that both have,
    with a bootstrap interval over examples.

    Raises:
        ValueError: they have no pair in common.
    """
    groups = clusters(shared_differences(scores, reference), strata)
    ends = _bootstrap(groups, confidence, resamples, seed)
    return Interval(float(groups.sums.sum() / groups.counts.sum()), *ends, len(groups.sums))


def macro_difference(
    scores: Scores,
    reference: Scores,
    strata: Strata,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The mean over strata of the mean difference in each.

    Every language counts the same, however many examples it has.

    Raises:
        ValueError: they have no pair in common.
    """
    groups = clusters(shared_differences(scores, reference), strata, smallest=1)
    columns = np.column_stack([groups.sums, groups.counts])
    begins = np.cumsum((0, *groups.sizes[:-1]))
    mean = _macro(np.add.reduceat(columns, begins)[None])[0]
    ends = math.nan, math.nan
    if len(columns) > 1:
        ends = quantiles(_macro(resampled_sums(columns, groups.sizes, resamples, seed)), confidence)
    return Interval(float(mean), *ends, len(columns))


def ratio_interval(
    amounts: Scores,
    base: Scores,
    *,
    strata: Strata | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The sum of ``amounts`` divided by the sum of ``base`` over the (example, seed) pairs that both have,
    with a bootstrap interval.

    Raises:
        ValueError: they have no pair in common, or the base adds up to nothing.
    """
    above = clusters({key: amount for key, amount in amounts.items() if key in base}, strata)
    below = clusters({key: amount for key, amount in base.items() if key in amounts}, strata)
    if not below.sums.sum():
        raise ValueError("the base of a ratio must not add up to 0")
    low, high = _bootstrap(Clusters(above.sums, below.sums, above.sizes), confidence, resamples, seed)
    return Interval(float(above.sums.sum() / below.sums.sum()), low, high, len(above.sums))


def _macro(sums: np.ndarray) -> np.ndarray:
    """The mean of the strata's means for each resample, from (resamples, strata, sum and count)."""
    return (sums[:, :, 0] / sums[:, :, 1]).mean(axis=1)


def shared_differences(scores: Scores, reference: Scores) -> Scores:
    """``scores - reference`` for the (example, seed) pairs that both have."""
    return {key: score - reference[key] for key, score in scores.items() if key in reference}


def clopper_pearson_upper(hits: float, trials: int, *, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound for a probability of which ``hits`` of ``trials`` were seen.

    ``hits`` need not be whole: a share averaged over the seeds of each example, times the number of examples, is a fair
    ``hits``.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, but got {trials=}")
    return 1.0 if hits >= trials else float(betaincinv(hits + 1, trials - hits, confidence))


def pass_at(right: Sequence[Sequence[bool]]) -> tuple[float, ...]:
    """The chance that at least one of k candidates is right, for k = 1 .. n, averaged over all subsets of each pool.

    Args:
        right: one row per pool, whether each candidate is right; rows of one length n.
    """
    n = len(right[0])
    counts = [sum(row) for row in right]
    return tuple(
        float(np.mean([1 - math.comb(n - count, k) / math.comb(n, k) for count in counts])) for k in range(1, n + 1)
    )


def clusters(scores: Scores, strata: Strata | None = None, *, smallest: int = 2) -> Clusters:
    """The scores by example and stratum.

    One stratum for all where one of them would hold fewer examples than ``smallest``.

    Raises:
        ValueError: ``scores`` is empty.
    """
    if not scores:
        raise ValueError("there is nothing to average: no scores")
    stratum = _strata_of({example for example, _ in scores}, strata or {}, smallest)
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for (example, _), score in sorted(scores.items(), key=lambda item: (stratum[item[0][0]], item[0])):
        sums[example] = sums.get(example, 0.0) + score
        counts[example] = counts.get(example, 0) + 1
    sizes = Counter(stratum[example] for example in sums)
    return Clusters(np.array(list(sums.values())), np.array(list(counts.values())), tuple(sizes.values()))


def _strata_of(examples: Iterable[str], strata: Strata, smallest: int) -> dict[str, str]:
    stratum = {example: strata.get(example, "") for example in examples}
    return stratum if min(Counter(stratum.values()).values()) >= smallest else dict.fromkeys(stratum, "")


def _bootstrap(found: Clusters, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    if len(found.sums) < 2:
        return math.nan, math.nan
    sums = resampled_sums(np.column_stack([found.sums, found.counts]), found.sizes, resamples, seed).sum(axis=1)
    return quantiles(sums[:, 0] / sums[:, 1], confidence)
