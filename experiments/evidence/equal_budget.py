"""Equal budget: each fusing strategy against the others at a cost that both really had.

Fusion with n candidates costs more than a vote over n, so the points of the N curves count too: a vote over eight may
cost what fusion of five does. Nothing is interpolated: where no two points are equal in calls and tokens, equal tokens
do, then equal calls, and then nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..presentation.text_table import TextTable, p_text, points
from ..statistics.intervals import Interval, paired_difference
from ..statistics.significance import holm, sign_flip_p
from .summary import Row, Summary

TOLERANCE = 0.15
"""Calls, and tokens, may differ by this share of the smaller."""


Equal = Literal["calls and tokens", "tokens", "calls"]
_KINDS: tuple[Equal, ...] = ("calls and tokens", "tokens", "calls")  # best first


@dataclass(frozen=True)
class Match:
    """A fusing strategy and another that cost the same, each with as many candidates as that takes."""

    fused: Row
    other: Row
    equal: Equal
    """What agrees within the tolerance."""
    difference: Interval
    """Mean score of the fusing strategy minus the other's, paired over examples."""
    p_holm: float
    """Adjusted for all matches."""


def equal_budget(summary: Summary, *, tolerance: float = TOLERANCE) -> tuple[Match, ...]:
    """For each fusing strategy and each other one the dearest pair of points that cost the same,
    in the order of the configuration.

    Args:
        summary: the comparison.
        tolerance: by how much calls and tokens may differ, as a share of the smaller.
    """
    names = [row.strategy.name for row in summary.rows if row.strategy.role != "oracle"]
    fusing = [row.strategy.name for row in summary.rows if row.strategy.role == "fuse"]
    contests = [
        (name, other) for place, name in enumerate(fusing) for other in names if other not in fusing[: place + 1]
    ]
    contested = [_pair(_points_of(summary, name), _points_of(summary, other), tolerance) for name, other in contests]
    pairs = [pair for pair in contested if pair is not None]
    p_values = holm([sign_flip_p(one.scores, other.scores) for one, other, _ in pairs])
    return tuple(
        Match(one, other, equal, paired_difference(one.scores, other.scores, strata=summary.groups), p)
        for (one, other, equal), p in zip(pairs, p_values, strict=True)
    )


def budget_table(matches: Sequence[Match]) -> TextTable:
    """The matches, one a row."""
    heads = ("fusing", "other", "equal in", "calls", "tokens", "score %", "difference [95 %]", "p (Holm)")
    rows = tuple(
        (
            match.fused.strategy.name,
            match.other.strategy.name,
            match.equal,
            f"{match.fused.cost.calls:.1f} : {match.other.cost.calls:.1f}",
            f"{match.fused.tokens:.0f} : {match.other.tokens:.0f}",
            f"{100 * match.fused.score.mean:.1f} : {100 * match.other.score.mean:.1f}",
            points(match.difference),
            p_text(match.p_holm),
        )
        for match in matches
    )
    note = (
        "Of each two strategies the dearest pair that costs the same; points of the N curves count. p is adjusted for"
        " all pairs shown."
    )
    return TextTable(f"At equal cost (within {100 * TOLERANCE:.0f} %)", heads, rows, note=note)


def _points_of(summary: Summary, name: str) -> list[Row]:
    return [point for point in summary.points if name in (point.strategy.name, point.strategy.curve_of)]


def _pair(family: Sequence[Row], others: Sequence[Row], tolerance: float) -> tuple[Row, Row, Equal] | None:
    pairs = [(one, other) for one in family for other in others if one.scores.keys() & other.scores.keys()]
    for kind in _KINDS:
        level = [(one, other) for one, other in pairs if _is_equal(one, other, kind, tolerance)]
        if level:
            return (
                *max(
                    level, key=lambda pair: (pair[0].tokens + pair[1].tokens, pair[0].cost.calls + pair[1].cost.calls)
                ),
                kind,
            )
    return None


def _is_equal(one: Row, other: Row, kind: Equal, tolerance: float) -> bool:
    """Whether the two cost the same; a server that reports no tokens leaves only the calls to compare."""
    amounts = {"calls": (one.cost.calls, other.cost.calls), "tokens": (one.tokens, other.tokens)}
    return all(0 < max(pair) <= (1 + tolerance) * min(pair) for name, pair in amounts.items() if name in kind)
