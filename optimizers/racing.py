"""Racing: a trial is dropped when a paired test says that it cannot catch the incumbent (after F-Race, Birattari et al. 2002).

Both have scores on the same examples in the same order, so the test is on the differences, example by example. It looks only at a few
lengths, and shares its error among those looks. Unlike F-Race it uses one t-test a look instead of Friedman's test over all trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from .study_store import Outcome

FIRST_LOOK = 8


def looks(examples: int) -> list[int]:
    """After how many examples a race looks: 8, and then each time half as many more, and at the end."""
    lengths = []
    length = FIRST_LOOK
    while length < examples:
        lengths.append(length)
        length = math.ceil(length * 1.5)
    return [*lengths, examples]


@dataclass(frozen=True)
class Race:
    """A race of a trial against those that were scored on all examples.

    Attributes:
        total: how many examples a whole trial has.
        error: see :func:`is_hopeless`.
    """

    total: int
    error: float

    def is_lost(self, outcomes: Sequence[Outcome], rivals: Sequence[Sequence[Outcome]], *, tolerance: float, by_cost: bool) -> bool:
        """Whether some rival is out of reach: one that is no dearer on the same examples, where cost counts.

        Args:
            outcomes: of the trial so far.
            rivals: whole trials, on the same examples in the same order.
            tolerance: how much better than a cheaper rival a trial must be.
            by_cost: whether cost counts.
        """
        scores, cost = [outcome.score for outcome in outcomes], means(outcomes)[1]
        for rival in rivals:
            same = rival[: len(outcomes)]
            theirs = means(same)[1]
            margin = tolerance if theirs < cost else 0.0
            if by_cost and theirs > cost:
                continue
            if is_hopeless(scores, [outcome.score for outcome in same], total=self.total, error=self.error, margin=margin):
                return True
        return False


def means(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Mean score and mean cost; zeros where there are no outcomes."""
    count = max(1, len(outcomes))
    return sum(outcome.score for outcome in outcomes) / count, sum(outcome.cost for outcome in outcomes) / count


def is_hopeless(trial: Sequence[float], incumbent: Sequence[float], *, total: int, error: float = 0.1, margin: float = 0.0) -> bool:
    """Whether a trial's mean will hardly exceed the incumbent's by ``margin``.

    Args:
        trial: its scores so far, one per example.
        incumbent: the incumbent's scores on the same examples, at least as many.
        total: how many examples a whole trial has.
        error: chance, over all looks together, of dropping a trial whose true mean is the incumbent's plus the margin; in [0, 1).
        margin: by how much it is to be better, at least 0.

    Returns:
        True when the one-sided upper limit of the mean difference is below the margin. Two trials that differ nowhere are never told apart.
    """
    differences = [ours - theirs for ours, theirs in zip(trial, incumbent, strict=False)]
    n = len(differences)
    if n < 2 or n >= total:
        return False
    mean = sum(differences) / n
    if mean >= margin:
        return False
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    if not spread and mean >= 0:
        return False
    level = error / max(1, len(looks(total)) - 1)
    return mean + float(stats.t.ppf(1 - level, n - 1)) * spread < margin
