"""Stopping rules: whether candidates that were not drawn yet could still matter. Pure functions, without any model.

Each rule is asked between two rounds and answers from what the pool says; a threshold in [0, 1] says how sure it must
be. Measured on recorded pools by ``python -m benchmarks.adaptive_n``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist


@dataclass(frozen=True)
class Seen:
    """What a rule knows of a pool.

    Attributes:
        groups: places of the candidates that succeeded, by what they say.
        odds: log-odds of each such candidate's source being right, or None where sources are not known.
        scores: of the candidates that have one.
        left: how many more could be drawn, at least 1.
    """

    groups: Sequence[Sequence[int]] = ()
    odds: Sequence[float] | None = None
    scores: Sequence[float] = ()
    left: int = 1

    @property
    def counts(self) -> tuple[int, int, int]:
        """Candidates in the largest group, in the second, and in all others."""
        sizes = [*sorted((len(group) for group in self.groups), reverse=True), 0, 0]
        return sizes[0], sizes[1], sum(sizes[2:])


Rule = Callable[[Seen, float], bool]


def lead_probability(leader: int, second: int) -> float:
    """The chance that the answer with more votes is also given more often, by a Beta posterior with a flat prior.

    P(p > 1/2) for p ~ Beta(leader + 1, second + 1): the rule of Adaptive-Consistency (arXiv 2305.11860). By integers,
    so without a special function.
    """
    count = leader + second + 1
    return sum(math.comb(count, place) for place in range(leader + 1)) / 2**count


def source_posterior(groups: Sequence[Sequence[int]], odds: Sequence[float]) -> float:
    """The chance that the weightiest answer is right where each source's log-odds of being right are known.

    Sources are taken as independent, and one further answer, which nobody gave, may be the right one; so the posterior
    of a group is proportional to exp(sum of its log-odds), and that of the unseen answer to 1.
    """
    sums = [math.fsum(odds[place] for place in group) for group in groups]
    highest = max([*sums, 0.0])
    total = math.fsum(math.exp(value - highest) for value in [*sums, 0.0])
    return math.exp(max(sums, default=-math.inf) - highest) / total


def optimal_to_stop(leader: int, second: int, others: int, left: int, cost: float) -> bool:
    """Whether stopping is optimal when a call costs ``cost`` of the value of a right answer.

    Bayesian optimal stopping on three counts (after arXiv 2602.05395, which shows that three suffice): the leader, the
    second and all others. Stopping earns the chance that the leader leads; one more call costs ``cost`` and falls to
    the three by a Dirichlet posterior with a flat prior. Solved backwards over the calls that are left. Unlike there,
    the calls of a round are looked at one by one, and what is among ``others`` cannot overtake the second.
    """
    return lead_probability(leader, second) >= _going_on(leader, second, others, min(left, _HORIZON), cost) - 1e-12


_HORIZON = 40  # further calls that are looked ahead; what lies beyond changes no decision at costs of 0.0001 or more


@lru_cache(maxsize=200_000)
def _going_on(leader: int, second: int, others: int, left: int, cost: float) -> float:
    if left == 0:
        return -math.inf
    total = leader + second + others + 3

    def worth(a: int, b: int, c: int) -> float:
        a, b = max(a, b), min(a, b)
        return max(lead_probability(a, b), _going_on(a, b, c, left - 1, cost))

    value = (leader + 1) * worth(leader + 1, second, others) + (second + 1) * worth(leader, second + 1, others)
    return (value + (others + 1) * worth(leader, second, others + 1)) / total - cost


_AHEAD = 7  # further candidates that a gain is looked for in


@lru_cache(maxsize=50_000)
def gain_of_more(leader: int, second: int, others: int) -> float:
    """By how much more candidates raise the chance that the leading answer leads, per candidate.

    The best mean over the next one to seven candidates, which fall to the leader, the second and all others by a
    Dirichlet posterior with a flat prior; one candidate alone seldom changes who leads, several may.
    """
    now = lead_probability(leader, second)
    return max(0.0, *((_led_after(count, leader, second, others) - now) / count for count in range(1, _AHEAD + 1)))


@lru_cache(maxsize=200_000)
def _led_after(count: int, leader: int, second: int, others: int) -> float:
    leader, second = max(leader, second), min(leader, second)
    if count == 0:
        return lead_probability(leader, second)
    value = (leader + 1) * _led_after(count - 1, leader + 1, second, others)
    value += (second + 1) * _led_after(count - 1, leader, second + 1, others)
    value += (others + 1) * _led_after(count - 1, leader, second, others + 1)
    return value / (leader + second + others + 3)


def expected_gain(scores: Sequence[float]) -> float:
    """By how much one more candidate is expected to beat the best score so far, in units of the score.

    Expected improvement under a normal distribution with the scores' mean and spread; the spread of fewer than two is
    taken as 0.5, so that one score never settles anything.
    """
    if not scores:
        return math.inf
    mean = math.fsum(scores) / len(scores)
    squares = math.fsum((score - mean) ** 2 for score in scores) + 0.25 / len(scores)
    spread = math.sqrt(squares / max(1, len(scores) - 1)) if len(scores) > 1 else 0.5
    ahead = (max(scores) - mean) / spread
    normal = NormalDist()
    return spread * (normal.pdf(ahead) - ahead * (1 - normal.cdf(ahead)))


def by_agreement(seen: Seen, threshold: float) -> bool:
    """The leader leads with at least this chance; see :func:`lead_probability`."""
    leader, second, _ = seen.counts
    return leader > 0 and lead_probability(leader, second) >= threshold


def by_sources(seen: Seen, threshold: float) -> bool:
    """The leader is right with at least this chance; where sources are not known, as :func:`by_agreement`."""
    if seen.odds is None:
        return by_agreement(seen, threshold)
    return source_posterior(seen.groups, seen.odds) >= threshold


def by_optimal_stopping(seen: Seen, threshold: float) -> bool:
    """Stopping is optimal where one more call costs ``1 - threshold``; see :func:`optimal_to_stop`."""
    leader, second, others = seen.counts
    return leader > 0 and optimal_to_stop(leader, second, others, seen.left, 1 - threshold)


def by_reward(seen: Seen, threshold: float) -> bool:
    """One candidate's score reaches the threshold."""
    return max(seen.scores, default=-math.inf) >= threshold


def by_gain(seen: Seen, threshold: float) -> bool:
    """One more candidate is expected to gain less than ``1 - threshold``; see :func:`expected_gain`."""
    return expected_gain(seen.scores) < 1 - threshold


VOTED: Mapping[str, Rule] = {"agreement": by_agreement, "sources": by_sources, "optimal": by_optimal_stopping}
"""Rules that look at what candidates say."""
SCORED: Mapping[str, Rule] = {"gain": by_gain, "reward": by_reward}
"""Rules that look at candidates' scores."""
