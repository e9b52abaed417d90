"""The verdict in words: whether fusion is worth it here, against the best way of choosing, a vote per part, and a fresh solve.

The comparison leans against fusion: its opponent is whichever selector came out best on these very examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .stats import Estimate, paired_difference
from .summary import Row, Summary

Outcome = Literal["fuse", "do not fuse here", "no clear difference", "no verdict"]


@dataclass(frozen=True)
class Contest:
    """Fusion against one opponent."""

    opponent: Row
    difference: Estimate
    """Fusion's mean score minus the opponent's, paired over examples."""
    cost_ratio: float
    """Fusion's tokens divided by the opponent's; infinite where the opponent reports none."""

    @property
    def result(self) -> Literal["better", "worse", "unclear"]:
        """Better or worse only if the whole interval is on that side."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "unclear"


@dataclass(frozen=True)
class Verdict:
    """An outcome, the sentence that gives its reason, and the contests it rests on."""

    outcome: Outcome
    reason: str
    contests: tuple[Contest, ...] = ()

    def __str__(self) -> str:
        return f"{self.outcome[0].upper()}{self.outcome[1:]}: {self.reason}"


def judge(summary: Summary) -> Verdict:
    """The verdict on the first ``fusion`` strategy of the configuration (or the first that fuses at all)."""
    fusing = [row for row in summary.rows if row.strategy.role == "fuse"]
    fused = next((row for row in fusing if row.strategy.program == "fusion"), fusing[0] if fusing else None)
    if fused is None:
        return Verdict("no verdict", "no strategy of this comparison fuses.")
    contests = tuple(_contest(fused, opponent) for opponent in _opponents(summary, fused))
    if not contests:
        return Verdict("no verdict", f"{fused.strategy.name} has nothing to be compared with; add a vote and a fresh solve.")
    return Verdict(_outcome(contests), _reason(fused, contests), contests)


def _opponents(summary: Summary, fused: Row) -> Iterable[Row]:
    """The best selector, the best vote per part and the best fresh solve, as far as there are any, on examples they share."""
    for role in ("select", "parts", "control"):
        rows = [row for row in summary.rows if row.strategy.role == role and row.scores.keys() & fused.scores.keys()]
        if rows:
            yield max(rows, key=lambda row: row.score.mean)


def _contest(fused: Row, opponent: Row) -> Contest:
    ratio = fused.tokens / opponent.tokens if opponent.tokens else float("inf")
    return Contest(opponent, paired_difference(fused.scores, opponent.scores), ratio)


def _outcome(contests: tuple[Contest, ...]) -> Outcome:
    results = {contest.result for contest in contests}
    if results == {"better"}:
        return "fuse"
    return "do not fuse here" if "worse" in results else "no clear difference"


def _reason(fused: Row, contests: tuple[Contest, ...]) -> str:
    parts = [f"{fused.strategy.name} gets {_percent(fused.score.mean)}"]
    parts += [_sentence(contest) for contest in contests]
    text = "; ".join(parts) + "."
    lost = [contest for contest in contests if contest.result == "worse"]
    if lost and all(contest.opponent.strategy.role == "parts" for contest in lost):
        text += " A vote per part needs answers whose parts can be compared; where they cannot, the other contests decide."
    results = {contest.opponent.strategy.role: contest.result for contest in contests}
    if results.get("select") == "better" and results.get("control", "better") != "better":
        text += " What fusion gains on choosing, its fusor reaches without seeing a candidate: the candidates are not what helps here."
    if any(contest.result == "unclear" for contest in contests):
        text += " More examples would narrow the intervals."
    return text


def _sentence(contest: Contest) -> str:
    d, role = contest.difference, contest.opponent.strategy.role
    kind = {"select": "the best selector", "parts": "the vote within answers", "control": "solving afresh"}[role]
    verb = {"better": "ahead of", "worse": "behind", "unclear": "not told apart from"}[contest.result]
    interval = f"{_points(d.mean)} points [{_points(d.low)}, {_points(d.high)}], n={d.n}"
    return f"{verb} {kind} ({contest.opponent.strategy.name}): {interval}, at {contest.cost_ratio:.1f} times its tokens"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
