"""The cheapest way that is not told apart from the best: which strategy, with how many candidates, at what cost.

"Not told apart" means that the interval of the paired difference holds 0 and the sign-flip test finds nothing either.
On few examples that says little, so it is told with its interval; p values are not adjusted, since an adjustment would
call more ways level, and here that is the claim that has to be earned.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..statistics.intervals import Interval, paired_difference
from ..statistics.significance import ALPHA, sign_flip_p
from .summary import Row, Summary

_CLOSE = 0.05
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Cheaper:
    """A cheaper row that is not told apart from a dearer one."""

    row: Row
    than: Row
    difference: Interval
    """Mean score of the cheaper row minus the dearer one's, paired over examples."""

    @property
    def is_close(self) -> bool:
        """Whether even the interval's low end costs no more than 5 points, so that "enough" is no overstatement."""
        return self.difference.low >= -_CLOSE

    @property
    def numbers(self) -> str:
        """The pairwise numbers in words."""
        low, high = self.difference.low, self.difference.high
        points = f"{100 * self.difference.mean:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
        return f"{points} for {self.row.tokens:.0f} instead of {self.than.tokens:.0f} tokens"


def enough_candidates(summary: Summary, fused: Row) -> Cheaper | None:
    """The fewest candidates with which a strategy is not told apart from itself with all of them.

    None where it has no curve over n, or needs them all.
    """
    points = [row for row in summary.points if row.strategy.curve_of == fused.strategy.name]
    level = [row for row in points if _is_level(row, fused)]
    fewest = min(level, key=lambda row: row.strategy.n, default=None)
    return _cheaper(summary, fewest, fused) if fewest and fewest.tokens < fused.tokens else None


def cheapest(summary: Summary) -> Cheaper | None:
    """Of all strategies and numbers of candidates the one with the fewest tokens that is not told apart from the one
    with the highest mean; None where the best is the cheapest such, or no tokens were reported.
    """
    rows = [row for row in summary.points if row.strategy.role != "oracle" and row.tokens]
    best = max(rows, key=lambda row: (row.score.mean, -row.tokens), default=None)
    if best is None:
        return None
    level = [row for row in rows if row.tokens < best.tokens and _is_level(row, best)]
    row = min(level, key=lambda row: row.tokens, default=None)
    return _cheaper(summary, row, best) if row else None


def enough_text(found: Cheaper | None) -> str:
    """As in ``one candidate is enough``; empty where there is nothing to say."""
    if found is None:
        return ""
    n = found.row.strategy.n
    count = _WORDS[n] if n < len(_WORDS) else str(n)
    return f"{count} candidate{' is' if n == 1 else 's are'} enough"


def _is_level(row: Row, best: Row) -> bool:
    shared = row.scores.keys() & best.scores.keys()
    if not shared or sign_flip_p(row.scores, best.scores) < ALPHA:
        return False
    difference = paired_difference(row.scores, best.scores)
    return difference.n > 1 and difference.low <= 0 <= difference.high


def _cheaper(summary: Summary, row: Row, than: Row) -> Cheaper:
    return Cheaper(row, than, paired_difference(row.scores, than.scores, strata=summary.groups))
