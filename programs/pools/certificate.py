"""A certificate that an answer is the mode of what a source says, valid whenever one stops to look.

After CITE (arXiv 2605.05873), which certifies the mode of a model's answers at any time; the test here is our own
choice of such a test, an e-process per rival answer with a union bound.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from ..errors import ConfigurationError

_BETS = (0.1, 0.25, 0.5, 0.8)


def is_certified(leader: int, rivals: Sequence[int], alpha: float) -> bool:
    """Whether the counts certify that the leading answer is the most frequent one of its source.

    Against each rival, only the draws that name one of the two count. Were the rival at least as frequent, the wealth
    of somebody who bets on the leader, (1 + b)^leader * (1 - b)^rival averaged over several bets b, would be a
    supermartingale that starts at 1; by Ville's inequality it ever reaches 1 / a with a chance of at most a. A false
    certificate must have beaten the true mode, whichever answer it names; so ``alpha`` is shared among the answers in
    the order in which they appear, the k-th gets alpha / (k (k + 1)), which sums to alpha. An answer that nobody gave
    yet counts as one rival more.

    Args:
        leader: how often the answer was given.
        rivals: how often each other answer was given.
        alpha: the chance that is allowed for a false certificate at any time, in (0, 1).

    Raises:
        ConfigurationError: alpha is out of bounds.
    """
    if not 0 < alpha < 1:
        raise ConfigurationError(f"alpha must be between 0 and 1, but got alpha={alpha!r}")
    counts = [*sorted(rivals, reverse=True), 0]
    shares = len(counts) * (len(counts) + 1)  # at least k (k + 1) for each answer that has appeared
    return all(log_wealth(leader, rival) >= math.log(shares / alpha) for rival in counts)


def certified_after(answers: Sequence[Hashable], alpha: float) -> tuple[Hashable, int] | None:
    """The first answer that is certified as answers come in one by one, and after how many; None for none."""
    counts: dict[Hashable, int] = {}
    for place, answer in enumerate(answers, start=1):
        counts[answer] = counts.get(answer, 0) + 1
        leader = max(counts, key=lambda key: counts[key])
        if is_certified(counts[leader], [count for key, count in counts.items() if key != leader], alpha):
            return leader, place
    return None


def log_wealth(leader: int, rival: int) -> float:
    """The logarithm of what somebody has who bet on the leader against one rival, having begun with 1."""
    logs = [leader * math.log1p(bet) + rival * math.log1p(-bet) for bet in _BETS]
    highest = max(logs)
    return highest + math.log(sum(math.exp(value - highest) for value in logs) / len(logs))
