"""Fusion against its opponents.

The best way of choosing, the best vote per part and the best fresh solve, each at its own cost.

The opponent of each kind is whichever came out best on these very examples, so a p value is adjusted for all that it
was picked from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..plans.strategies import Role
from ..presentation.text_table import TextTable, p_text, points
from ..statistics.intervals import Interval, paired_difference
from ..statistics.significance import ALPHA, holm, sign_flip_p
from .contenders import rivals
from .summary import Row, Summary

Result = Literal["better", "worse", "unclear"]
_ROLES: tuple[Role, ...] = ("select", "parts", "control")


@dataclass(frozen=True)
class Contest:
    """Fusion against one opponent."""

    opponent: Row
    difference: Interval
    """Fusion's mean score minus the opponent's, paired over examples."""
    cost_ratio: float
    """Fusion's tokens divided by the opponent's; infinite where the opponent reports none."""
    p_holm: float
    """Adjusted for every strategy that could have been an opponent."""

    @property
    def result(self) -> Result:
        """Better or worse only if the adjusted p value says so."""
        return result_of(self.difference, self.p_holm)


def contests(summary: Summary, fused: Row) -> tuple[Contest, ...]:
    """The contests that there are, on the examples that both sides share."""
    kinds = [rivals(summary, fused, role) for role in _ROLES]
    everyone = [row for rows in kinds for row in rows]
    adjusted = holm([sign_flip_p(fused.scores, row.scores) for row in everyone])
    p_values = dict(zip([row.strategy.name for row in everyone], adjusted, strict=True))
    best = [max(rows, key=lambda row: row.score.mean) for rows in kinds if rows]
    return tuple(
        Contest(
            opponent=row,
            difference=paired_difference(fused.scores, row.scores, strata=summary.groups),
            cost_ratio=fused.tokens / row.tokens if row.tokens else float("inf"),
            p_holm=p_values[row.strategy.name],
        )
        for row in best
    )


def against_single(summary: Summary, fused: Row) -> Contest | None:
    """A strategy against the best single answer, where there is one: all that can be said without a way of choosing."""
    singles = [row for row in summary.rows if row.strategy.role == "single" and row.scores.keys() & fused.scores.keys()]
    if not singles:
        return None
    best = max(singles, key=lambda row: row.score.mean)
    p_values = [sign_flip_p(fused.scores, row.scores) for row in singles]
    return Contest(
        opponent=best,
        difference=paired_difference(fused.scores, best.scores, strata=summary.groups),
        cost_ratio=fused.tokens / best.tokens if best.tokens else float("inf"),
        p_holm=holm(p_values)[singles.index(best)],
    )


def contest_table(fused: str, fought: Sequence[Contest]) -> TextTable:
    """One row an opponent."""
    kinds = {"select": "best selector", "parts": "vote within answers", "control": "fresh solve"}
    rows = tuple(
        (
            contest.opponent.strategy.name,
            kinds[contest.opponent.strategy.role],
            points(contest.difference),
            p_text(contest.p_holm),
            f"{contest.cost_ratio:.1f}",
            contest.result,
        )
        for contest in fought
    )
    note = (
        "The opponent of each kind is the one that came out best on these examples; p is adjusted for all that it was"
        " picked from."
    )
    heads = ("opponent", "as the", "difference [95 %]", "p (Holm)", "times its tokens", "fusion is")
    return TextTable(f"What the verdict rests on: {fused} against", heads, rows, note=note)


def result_of(difference: Interval, p: float) -> Result:
    """Which side a difference is on, where an adjusted p value lets it count."""
    if p >= ALPHA:
        return "unclear"
    return "better" if difference.mean > 0 else "worse"
