"""Scores by group (language, subject, category) in the papers' form.

One row a group, one column a strategy, the average below.

The average counts every group the same, so that a language with many examples does not speak for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..presentation.text_table import TextTable, p_text, points
from ..statistics.intervals import Interval, Scores, macro_difference, paired_difference
from ..statistics.significance import ALPHA, holm, sign_flip_p
from .contenders import best_selector, fused_row, rivals
from .summary import Row, Summary


@dataclass(frozen=True)
class Group:
    """One group, or the average over all."""

    name: str
    examples: int
    means: tuple[float | None, ...]
    """Mean score of each strategy, None where it has no record there."""
    difference: Interval | None = None
    """Fusion minus the strategy that chooses, paired; None where one of them has no record."""
    p_holm: float | None = None
    """Of the difference, adjusted for all groups; the average is not one of them."""

    @property
    def loses(self) -> bool:
        """Whether fusion is behind by more than chance, the number of groups considered."""
        return self.difference is not None and self.difference.mean < 0 and (self.p_holm or 0.0) < ALPHA


class Duel(NamedTuple):
    """Fusion, and the strategy that chooses."""

    fused: Row
    chooser: Row


@dataclass(frozen=True)
class PerGroup:
    """The scores of all strategies by group."""

    strategies: tuple[Row, ...]
    duel: Duel | None
    """Whose difference is given; None where nothing fuses or nothing chooses."""
    groups: tuple[Group, ...]
    """In the order of their names."""
    average: Group


def per_group(summary: Summary, *, chooser: Row | None = None) -> PerGroup | None:
    """The scores by group, or None where the task has fewer than two.

    Args:
        summary: the comparison.
        chooser: what fusion is compared with; by default the best of the best-of-N strategies, or of all selectors
            where there is none.
    """
    names = sorted(set(summary.groups.values()))
    if len(names) < 2:
        return None
    fused = fused_row(summary)
    chooser = chooser or (_chooser(summary, fused) if fused else None)
    duel = Duel(fused, chooser) if fused and chooser else None
    groups = _tested(summary, [_group(summary, name, duel) for name in names], duel)
    return PerGroup(summary.rows, duel, groups, _average(summary, groups, duel))


def group_table(found: PerGroup) -> TextTable:
    """One row a group and the average; the best strategy of each row stands out, the oracle aside."""
    contest = (
        (f"{found.duel.fused.strategy.name} - {found.duel.chooser.strategy.name} [95 %]", "p (Holm)")
        if found.duel
        else ()
    )
    heads = ("group", "n", *(row.strategy.name for row in found.strategies), *contest)
    lines = (*found.groups, found.average)
    rows = tuple(
        (line.name, str(line.examples), *map(_percent, line.means), *_contest(line, len(contest))) for line in lines
    )
    best = frozenset((y, 2 + x) for y, line in enumerate(lines) for x in _best(line, found.strategies))
    note = (
        "The average counts every group the same. The best of each row stands out; the oracle, which uses the answers,"
        " is left aside."
    )
    return TextTable("Score % by group", heads, rows, best, note)


def _chooser(summary: Summary, fused: Row) -> Row | None:
    best_of_n = [row for row in rivals(summary, fused, "select") if row.strategy.program == "best_of_n"]
    return max(best_of_n, key=lambda row: row.score.mean, default=best_selector(summary, fused))


def _group(summary: Summary, name: str, duel: Duel | None) -> Group:
    parts = [_part(row.scores, name, summary.groups) for row in summary.rows]
    examples = {example for part in parts for example, _ in part}
    means = tuple(float(np.mean(list(part.values()))) if part else None for part in parts)
    sides = [_part(row.scores, name, summary.groups) for row in duel or ()]
    comparable = len(sides) == 2 and sides[0].keys() & sides[1].keys()
    return Group(name, len(examples), means, paired_difference(*sides) if comparable else None)


def _tested(summary: Summary, groups: Sequence[Group], duel: Duel | None) -> tuple[Group, ...]:
    """The groups with their adjusted p values."""
    tested = [group.name for group in groups if group.difference is not None]
    p_values = holm([sign_flip_p(*(_part(row.scores, name, summary.groups) for row in duel or ())) for name in tested])
    adjusted = dict(zip(tested, p_values, strict=True))
    return tuple(replace(group, p_holm=adjusted.get(group.name)) for group in groups)


def _average(summary: Summary, groups: Sequence[Group], duel: Duel | None) -> Group:
    columns = [[group.means[x] for group in groups] for x in range(len(summary.rows))]
    whole = [[mean for mean in column if mean is not None] for column in columns]
    means = tuple(float(np.mean(column)) if len(column) == len(groups) else None for column in whole)
    average = None
    if duel is not None:
        grouped = {key: score for key, score in duel.fused.scores.items() if key[0] in summary.groups}
        average = (
            macro_difference(grouped, duel.chooser.scores, summary.groups)
            if grouped.keys() & duel.chooser.scores.keys()
            else None
        )
    return Group("average", sum(group.examples for group in groups), means, average)


def _part(scores: Scores, name: str, groups: Mapping[str, str]) -> Scores:
    return {key: score for key, score in scores.items() if groups.get(key[0]) == name}


def _best(line: Group, strategies: Sequence[Row]) -> list[int]:
    fair = [x for x, row in enumerate(strategies) if row.strategy.role != "oracle" and line.means[x] is not None]
    highest = max((f"{100 * (line.means[x] or 0.0):.1f}" for x in fair), key=float, default="")
    return [x for x in fair if _percent(line.means[x]) == highest]


def _contest(line: Group, wanted: int) -> tuple[str, ...]:
    return (points(line.difference) if line.difference else "", p_text(line.p_holm))[:wanted]


def _percent(mean: float | None) -> str:
    return "" if mean is None else f"{100 * mean:.1f}"
