"""Racing: a trial is dropped when a paired test says that it cannot catch the incumbent (after F-Race, Birattari et al. 2002).

Both have scores on the same examples in the same order, so the test is on the differences, example by example. It looks only at a few
lengths, and shares its error among those looks. Unlike F-Race it uses one t-test a look instead of Friedman's test over all trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

FIRST_LOOK = 8


def looks(examples: int) -> list[int]:
    """After how many examples a race looks: 8, and then each time half as many more, and at the end."""
    lengths = []
    length = FIRST_LOOK
    while length < examples:
        lengths.append(length)
        length = math.ceil(length * 1.5)
    return [*lengths, examples]


def is_hopeless(trial: Sequence[float], incumbent: Sequence[float], *, total: int, error: float = 0.1) -> bool:
    """Whether a trial's mean will hardly reach the incumbent's.

    Args:
        trial: its scores so far, one per example.
        incumbent: the incumbent's scores on the same examples, at least as many.
        total: how many examples a whole trial has.
        error: chance, over all looks together, of dropping a trial whose true mean equals the incumbent's; in (0, 1).

    Returns:
        True when the one-sided upper limit of the mean difference is below 0. Two trials that differ nowhere are never told apart.
    """
    differences = [ours - theirs for ours, theirs in zip(trial, incumbent, strict=False)]
    n = len(differences)
    if n < 2 or n >= total:
        return False
    mean = sum(differences) / n
    if mean >= 0:
        return False
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    level = error / max(1, len(looks(total)) - 1)
    return mean + float(stats.t.ppf(1 - level, n - 1)) * spread < 0
