"""Who is compared with whom.

The strategy that fuses, and the ways of choosing, voting and solving afresh that it has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..plans.strategies import Role
from ..presentation.text_table import TextTable, percent, points
from ..records.record import Record, scores_of
from ..statistics.intervals import Scores, mean_interval, paired_difference
from .summary import Row, Summary

_HEADS = ("strategy", "none right", "one right", "several right")
_STRATA = (0, 1, 2)


def strata_table(summary: Summary, records: Sequence[Record]) -> TextTable:
    """One row a strategy that has a pool, and what fusion gains on the best selector,
    by the number of right candidates.
    """
    pools_of_several = {
        row.strategy.name for row in summary.rows if row.strategy.n > 1 and row.strategy.role != "control"
    }
    by_strategy: dict[str, list[Record]] = {
        row.strategy.name: [] for row in summary.rows if row.strategy.name in pools_of_several
    }
    for record in records:
        if record.strategy in by_strategy and record.candidates:
            by_strategy[record.strategy].append(record)
    rows = [(name, *(_cell(scores, summary.groups) for scores in _split(own))) for name, own in by_strategy.items()]
    title = "Score % [95 %] by the number of fully right candidates in the pool (number of answers)"
    return TextTable(title, _HEADS, (*rows, *_gain(summary, by_strategy)))


def _split(records: Sequence[Record]) -> list[Scores]:
    return [
        scores_of(record for record in records if min(2, record.right_candidates) == stratum) for stratum in _STRATA
    ]


def _cell(scores: Scores, groups: Mapping[str, str]) -> str:
    return f"{percent(mean_interval(scores, strata=groups))} ({len(scores)})" if scores else "none such"


def _gain(summary: Summary, by_strategy: Mapping[str, Sequence[Record]]) -> tuple[tuple[str, ...], ...]:
    fused = fused_row(summary)
    chooser = best_selector(summary, fused) if fused else None
    if fused is None or chooser is None:
        return ()
    cells = []
    for scores in _split(by_strategy.get(fused.strategy.name, ())):
        shared = scores.keys() & chooser.scores.keys()
        difference = points(paired_difference(scores, chooser.scores, strata=summary.groups)) if shared else "none such"
        cells.append(difference)
    return ((f"{fused.strategy.name} - {chooser.strategy.name}", *cells),)


def fused_row(summary: Summary) -> Row | None:
    """The first ``fusion`` strategy of the configuration, or else the first that fuses at all."""
    fusing = [row for row in summary.rows if row.strategy.role == "fuse"]
    return next((row for row in fusing if row.strategy.program == "fusion"), fusing[0] if fusing else None)


def rivals(summary: Summary, fused: Row, role: Role) -> list[Row]:
    """The strategies of a role that share examples with ``fused``, in the order of the configuration."""
    return [row for row in summary.rows if row.strategy.role == role and row.scores.keys() & fused.scores.keys()]


def best_selector(summary: Summary, fused: Row) -> Row | None:
    """The selector with the highest mean on these very examples; the earliest where several are level."""
    return max(rivals(summary, fused, "select"), key=lambda row: row.score.mean, default=None)
