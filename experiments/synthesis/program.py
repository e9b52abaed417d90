"""SynthesisProgram: candidates, their scores and a fused answer for one prompt.

Every failure is data and nothing is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs.calls.drawing import Steps
from dspy_fusion.programs.errors import ScorerError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.options import FusingOptions
from dspy_fusion.programs.pools.candidates import Candidate, Pool, Usage, usage_of
from dspy_fusion.programs.pools.selection import best_scored, fallback
from dspy_fusion.programs.scorers.scorer import Scorer, Scores, as_scorer, check_scored
from dspy_fusion.programs.tasks.instructions import FUSE

PROMPT, RESPONSE = "prompt", "response"
TASK: type[dspy.Signature] = make_signature(f"{PROMPT} -> {RESPONSE}")
"""The signature of a chat completion; its instructions are not shown to anyone."""


@dataclass(frozen=True)
class Made:
    """What was made for one prompt.

    Attributes:
        candidates: the teachers' answers in index order, failed ones included, with their scores where a scorer was
            asked.
        best: index of the candidate with the highest score, or None.
        fused: what the fusor left behind, or None where none was asked.
        shown: indexes of the candidates that the fusor saw, in the order in which it saw them.
        usage: cost by role: ``candidates``, ``scorer``, ``fusor``.
        scorer_error: why no candidate has a score, where one was wanted.
    """

    candidates: tuple[Candidate, ...]
    best: int | None
    fused: Candidate | None
    shown: tuple[int, ...]
    usage: dict[str, Usage]
    scorer_error: str | None


class SynthesisProgram(FusingProgram):
    """Draws one candidate from each teacher, scores them where a scorer is given and fuses them where that is wanted.

    Fusion and best of N at once, over the same candidates: what they do with failures (raise, or answer with something
    else) would hide from a data set how its rows came about.

    Args:
        n: how many candidates; candidate i is drawn from teacher i modulo their number.
        scorer: what scores them, or None.
        fuses: whether a fusor writes an answer.
        instructions: what the fusor is told.
        **options: see :class:`FusingOptions`.
    """

    def __init__(
        self, *, n: int, scorer: Scorer | None, fuses: bool, instructions: str = FUSE, **options: Unpack[FusingOptions]
    ) -> None:
        super().__init__(dspy.Predict(TASK), instructions=instructions, **options)
        self.n, self.fuses = n, fuses
        self.scorer = None if scorer is None else as_scorer(scorer, TASK)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """As :meth:`make`, as a prediction with its pool."""
        made = yield from self.make(inputs[PROMPT], self.seed or 0)
        self.check_quorum(made.candidates)
        pool = Pool(made.candidates, made.best, shown=made.shown, usage=made.usage, depth=1 + self.fuses)
        if made.fused is not None:
            return self.conclude(made.fused, [made.candidates[i] for i in made.shown], pool, self.signature)
        return self.take(fallback(TASK, made.candidates), pool)

    def make(self, prompt: str, seed: int) -> Steps[Made]:
        """What comes of a prompt; candidate i is drawn with ``seed + i``."""
        inputs = {PROMPT: prompt}
        needs_logprobs = self.scorer is not None and self.scorer.needs_logprobs
        attempts = [
            replace(attempt, seed=seed, key="") for attempt in self.attempts(inputs, self.n, logprobs=needs_logprobs)
        ]
        candidates = yield self.side_by_side(attempts)
        usage = {"candidates": usage_of(candidates)}
        scores, error = yield from self._scores(inputs, candidates)
        usage |= {"scorer": scores.usage} if scores.usage.calls else {}
        good = [candidate for candidate in scores.candidates if candidate.ok]
        shown = self.order(inputs, good, 0) if self.fuses else []
        fused = None
        if shown:
            attempt = self.fuse(inputs, shown, layer=1, temperature=self.fusor_temperature)
            (fused,) = yield self.side_by_side([replace(attempt, seed=seed, key="")])
            usage["fusor"] = fused.usage
        best = best_scored(good)
        places = tuple(candidate.index for candidate in shown)
        return Made(scores.candidates, None if best is None else best.index, fused, places, usage, error)

    def _scores(self, inputs: dict[str, Any], candidates: Sequence[Candidate]) -> Steps[tuple[Scores, str | None]]:
        """The candidates with their scores, and why none of them has one where one was wanted."""
        scores = Scores(tuple(candidates), Usage(), 0)
        if self.scorer is None or not any(candidate.ok for candidate in candidates):
            return scores, None
        try:
            scores = yield from self.scores_of(inputs, candidates, self.scorer)
            check_scored(self.scorer, scores.candidates)
        except ScorerError as failed:
            return scores, " ".join(str(failed).split())
        return scores, None
