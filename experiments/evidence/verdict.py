"""The verdict in words: whether fusion is worth it here, and why.

It leans against fusion: the opponents are whichever ways of choosing, voting per part and solving afresh came out best
on these very examples, and a strategy that is ahead at the same cost settles the matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..statistics.intervals import Interval
from .cheapest import Cheaper, cheapest, enough_candidates, enough_text
from .contenders import fused_row
from .contests import Contest, against_single, contests, result_of
from .equal_budget import TOLERANCE, Match, equal_budget
from .per_group import PerGroup, per_group
from .summary import Row, Summary

Outcome = Literal["fuse", "do not fuse here", "no clear difference", "no verdict"]


@dataclass(frozen=True)
class Verdict:
    """An outcome, its reason in words, and what it rests on."""

    outcome: Outcome
    clauses: tuple[str, ...]
    """What was compared, one clause each, the strategy's own score first."""
    remarks: tuple[str, ...] = ()
    """What follows from it, one sentence each."""
    fused: str = ""
    """The strategy that it is about."""
    contests: tuple[Contest, ...] = ()
    """Fusion against the best of each kind, at their own costs."""
    matches: tuple[Match, ...] = ()
    """Fusion against what does not fuse, at equal tokens."""

    @property
    def reason(self) -> str:
        """The clauses and remarks as one text."""
        return " ".join(["; ".join(self.clauses) + ".", *self.remarks])

    enough: Cheaper | None = None
    """The fewest candidates that are not told apart from all of them."""
    cheapest: Cheaper | None = None
    """The cheapest strategy and n not told apart from the best."""

    @property
    def head(self) -> str:
        """The outcome, with what shrinks it: that fewer candidates are enough."""
        head = f"{self.outcome[0].upper()}{self.outcome[1:]}"
        if self.outcome == "fuse" and self.enough and self.enough.is_close:
            head += f", but {enough_text(self.enough)}: {self.enough.row.strategy.name} is at {self.enough.numbers}"
        return head

    def __str__(self) -> str:
        return f"{self.head}{'.' if ', but ' in self.head else ':'} {self.reason}"


def judge(summary: Summary) -> Verdict:
    """The verdict on the first ``fusion`` strategy of the configuration (or the first that fuses at all)."""
    fused = fused_row(summary)
    if fused is None:
        cheap = cheapest(summary)
        said = ("no strategy of this comparison fuses",)
        return Verdict("no verdict", said, _cheap_remarks("no verdict", None, cheap), cheapest=cheap)
    fought = contests(summary, fused)
    if not fought:
        enough, cheap = enough_candidates(summary, fused), cheapest(summary)
        said = _without_opponents(fused, against_single(summary, fused))
        remarks = _cheap_remarks("no verdict", enough, cheap)
        return Verdict("no verdict", said, remarks, fused.strategy.name, enough=enough, cheapest=cheap)
    matches = tuple(match for match in equal_budget(summary) if _counts(match, fused))
    selector = next((contest.opponent for contest in fought if contest.opponent.strategy.role == "select"), None)
    groups = per_group(summary, chooser=selector) if selector else None
    clauses = (f"{fused.strategy.name} gets {_percent(fused.score.mean)}", *map(_contest_clause, fought))
    outcome, enough, cheap = _outcome(fought, matches), enough_candidates(summary, fused), cheapest(summary)
    remarks = (*_remarks(fought, matches, groups), *_cheap_remarks(outcome, enough, cheap))
    return Verdict(outcome, clauses, remarks, fused.strategy.name, fought, matches, enough, cheap)


def _without_opponents(fused: Row, single: Contest | None) -> tuple[str, ...]:
    """What can be said where nothing chooses, votes or solves afresh: how it stands to the best single answer."""
    wanted = "add a vote and a fresh solve"
    if single is None:
        return f"{fused.strategy.name} has nothing to be compared with", wanted
    return (
        f"{fused.strategy.name} gets {_percent(fused.score.mean)}",
        _contest_clause(single),
        f"whether a vote or solving afresh would do as well was not asked; {wanted}",
    )


def _counts(match: Match, fused: Row) -> bool:
    """Whether a match is between this strategy and one that does not fuse, at equal tokens; calls alone are no cost."""
    own = fused.strategy.name in (match.fused.strategy.name, match.fused.strategy.curve_of)
    return own and match.other.strategy.role != "fuse" and "tokens" in match.equal


def _outcome(fought: Sequence[Contest], matches: Sequence[Match]) -> Outcome:
    results = {contest.result for contest in fought}
    level = {result_of(match.difference, match.p_holm) for match in matches}
    if "worse" in results | level:
        return "do not fuse here"
    return "fuse" if results == {"better"} else "no clear difference"


def _remarks(fought: Sequence[Contest], matches: Sequence[Match], groups: PerGroup | None) -> tuple[str, ...]:
    remarks = [
        _parts_remark(fought),
        _control_remark(fought),
        _budget_remark(matches),
        _group_remark(groups) if groups else "",
    ]
    if any(contest.result == "unclear" for contest in fought):
        remarks.append("More examples would narrow the intervals.")
    return tuple(remark for remark in remarks if remark)


def _cheap_remarks(outcome: Outcome, enough: Cheaper | None, cheap: Cheaper | None) -> tuple[str, ...]:
    """What is as good for less, unless the head of the verdict says it already."""
    remarks = []
    if enough and not (outcome == "fuse" and enough.is_close):
        text = enough_text(enough) if enough.is_close else "fewer candidates are not told apart"
        remarks.append(f"{text[0].upper()}{text[1:]} for it: {enough.row.strategy.name} is at {enough.numbers}.")
    if cheap and not (enough and (cheap.row, cheap.than) == (enough.row, enough.than)):
        remarks.append(
            f"The cheapest that is not told apart from the best ({cheap.than.strategy.name}) is"
            f" {cheap.row.strategy.name}: {cheap.numbers}."
        )
    return tuple(remarks)


def _contest_clause(contest: Contest) -> str:
    kinds = {"select": "the best selector", "parts": "the vote within answers", "control": "solving afresh"}
    kinds["single"] = "the best single answer"
    opponent = contest.opponent.strategy
    standing = f"{_standing(contest.result)} {kinds[opponent.role]} ({opponent.name}): {_interval(contest.difference)}"
    return f"{standing}, {_p(contest.p_holm)}, n={contest.difference.n}, at {contest.cost_ratio:.1f} times its tokens"


def _parts_remark(fought: Sequence[Contest]) -> str:
    lost = [contest for contest in fought if contest.result == "worse"]
    if not lost or any(contest.opponent.strategy.role != "parts" for contest in lost):
        return ""
    return "A vote per part needs answers whose parts can be compared; where they cannot, the other contests decide."


def _control_remark(fought: Sequence[Contest]) -> str:
    results = {contest.opponent.strategy.role: contest.result for contest in fought}
    if results.get("select") != "better" or results.get("control", "better") == "better":
        return ""
    return (
        "What fusion gains on choosing, its fusor reaches without seeing a candidate: the candidates are not what helps"
        " here."
    )


def _budget_remark(matches: Sequence[Match]) -> str:
    if not matches:
        return (
            "Nothing that does not fuse costs as many tokens; every_n, or more candidates for the others, would tell."
        )
    clauses = [_match_clause(match) for match in sorted(matches, key=lambda match: match.difference.mean)[:3]]
    more = f" (and {len(matches) - 3} more)" if len(matches) > 3 else ""
    return f"At equal cost (tokens within {100 * TOLERANCE:.0f} %): {'; '.join(clauses)}{more}."


def _match_clause(match: Match) -> str:
    standing = _standing(result_of(match.difference, match.p_holm))
    names = f"{match.fused.strategy.name} is {standing} {match.other.strategy.name}"
    return f"{names}, {_interval(match.difference)}, {_p(match.p_holm)}"


def _group_remark(groups: PerGroup) -> str:
    """Names the groups in which fusion is behind although it is ahead on average."""
    average = groups.average.difference
    if average is None or average.mean <= 0 or groups.duel is None:
        return ""
    behind = [group for group in groups.groups if group.difference is not None and group.difference.mean < 0]
    lost = [f"{group.name} ({_interval(group.difference)})" for group in behind if group.loses and group.difference]
    unclear = [group.name for group in behind if not group.loses]
    chooser = groups.duel.chooser.strategy.name
    text = f"Though ahead of {chooser} on average, it loses to it in {', '.join(lost)}." if lost else ""
    if unclear:
        text += (
            f"{' ' if text else ''}Its mean is below that of {chooser} in {', '.join(unclear)}, within what chance"
            " gives."
        )
    return text


def _standing(result: str) -> str:
    return {"better": "ahead of", "worse": "behind", "unclear": "not told apart from"}[result]


def _interval(difference: Interval) -> str:
    return f"{_points(difference.mean)} points [{_points(difference.low)}, {_points(difference.high)}]"


def _p(p: float) -> str:
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
