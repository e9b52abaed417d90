"""JudgePanel: several judges score the same candidates side by side, and their scores become one.

How far apart they were stays on each candidate as ``judged``, which ``panel_agreement`` sums up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import dspy

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError
from ..pools.candidates import Candidate, Usage
from .scorer import Scorer, Scores


class JudgePanel(Scorer):
    """Several scorers as one.

    A panel is worth less than its number of judges, since judges err alike: nine models were found to be worth about
    two independent votes (arXiv 2605.29800). :func:`panel_agreement` says what a panel is worth on the pools at hand.

    A judge that fails on a candidate is left out for that candidate; a candidate has no score where all of them failed.

    Args:
        judges: at least two scorers, such as ``LMJudge(lm)`` for several models.
        combine: ``"mean"`` averages the scores; ``"majority"`` gives each judge one vote for the candidate it scores
            highest (shared among equals), and the score is the share of votes.

    Raises:
        ConfigurationError: fewer than two judges, one that is no scorer, or an unknown ``combine``.

    Example:
        >>> panel = JudgePanel([LMJudge(dspy.LM("openai/gpt-4o-mini")), LMJudge(dspy.LM("anthropic/claude-haiku-4-5"))])
        >>> best = BestOfN(dspy.Predict("question -> answer"), n=5, scorer=panel)
    """

    def __init__(self, judges: Sequence[Scorer], *, combine: Literal["mean", "majority"] = "mean") -> None:
        super().__init__()
        if len(judges) < 2:
            raise ConfigurationError(
                f"a panel needs at least two judges, but got {len(judges)}; use the judge itself as scorer="
            )
        for judge in judges:
            if not isinstance(judge, Scorer):
                raise ConfigurationError(f"judges must hold scorers such as LMJudge(lm), but got {judge!r}")
        if combine not in ("mean", "majority"):
            raise ConfigurationError(f"combine must be 'mean' or 'majority', but got combine={combine!r}")
        self.judges = list(judges)
        self.combine = combine
        self.needs_logprobs = any(judge.needs_logprobs for judge in judges)

    def bound(self, task: type[dspy.Signature]) -> Scorer:
        """A copy whose judges are bound to a task's signature."""
        made = copy.copy(self)
        made.judges = [judge.bound(task) for judge in self.judges]
        return made

    def told(self, task_text: str) -> Scorer:
        """A copy whose judges are told what the task asks for."""
        made = copy.copy(self)
        made.judges = [judge.told(task_text) for judge in self.judges]
        return made

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Has all judges score at the same time, each round of calls of one beside the same round of the others."""
        verdicts = yield from _side_by_side([judge.steps(inputs, candidates) for judge in self.judges])
        judged = list(zip(*([candidate.score for candidate in scores.candidates] for scores in verdicts), strict=True))
        combined = [_mean(row) for row in judged] if self.combine == "mean" else _votes(judged)
        marked = []
        for place, (candidate, row, score) in enumerate(zip(candidates, judged, combined, strict=True)):
            errors = [error for scores in verdicts if (error := scores.candidates[place].score_error)]
            marked.append(
                replace(
                    candidate, judged=row, score=score, score_error=None if score is not None else "; ".join(errors)
                )
            )
        usage = Usage.total(scores.usage for scores in verdicts)
        return Scores(tuple(marked), usage, max(scores.rounds for scores in verdicts))


def _side_by_side(judges: Sequence[Steps[Scores]]) -> Steps[list[Scores]]:
    """Drives several judges together: their present batches are made as one, until the last of them is finished."""
    finished: dict[int, Scores] = {}
    waiting: dict[int, Sequence[Attempt]] = {}

    def go_on(place: int, verdicts: list[Candidate] | None) -> None:
        """Gives a judge its verdicts and notes what it asks next, or what it found."""
        try:
            batch = next(judges[place]) if verdicts is None else judges[place].send(verdicts)
            waiting[place] = batch.attempts
        except StopIteration as end:
            finished[place] = end.value

    for place in range(len(judges)):
        go_on(place, None)
    while waiting:
        asked, waiting = waiting, {}
        verdicts = iter((yield Batch([attempt for attempts in asked.values() for attempt in attempts])))
        for place, attempts in asked.items():
            go_on(place, [next(verdicts) for _ in attempts])
    return [finished[place] for place in range(len(judges))]


def _mean(row: Sequence[float | None]) -> float | None:
    known = [score for score in row if score is not None]
    return sum(known) / len(known) if known else None


def _votes(judged: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The share of votes of each candidate; a judge's vote is split among the candidates that it scores highest."""
    votes = [0.0] * len(judged)
    voters = 0
    for scores in zip(*judged, strict=True):
        known = [score for score in scores if score is not None]
        if known:
            voters += 1
            best = [place for place, score in enumerate(scores) if score == max(known)]
            for place in best:
                votes[place] += 1 / len(best)
    return [
        vote / voters if any(score is not None for score in row) else None
        for vote, row in zip(votes, judged, strict=True)
    ]
