"""BestOfN: draw several candidates and return the one a scorer likes best, unchanged."""

from __future__ import annotations

from typing import Any, Unpack

import dspy

from .calls.drawing import Steps
from .options import SamplingOptions
from .pools.candidates import Candidate, Pool, Usage
from .sampling_program import Drawn, SamplingProgram
from .scorers.scorer import Reward, Scorer, as_scorer, check_scored
from .tasks.hyperparameters import Hyperparameter


class BestOfN(SamplingProgram):
    """Draws ``n`` candidates side by side and returns the one with the highest score;
    equal scores go to the lowest index.

    Takes the same ``reward_fn`` as ``dspy.BestOfN``. With a ``threshold``, candidates are drawn in rounds of
    ``max_concurrency`` and the drawing stops after the first round in which one reaches it; ``max_concurrency=1`` stops
    exactly where ``dspy.BestOfN`` stops.

    Args:
        program: the task program.
        n: how many candidates, at least 1.
        scorer: a function ``(args, prediction) -> float``, or a :class:`Scorer`.
        threshold: a score that is good enough to stop at; None draws all.
        **options: see :class:`SamplingOptions`.

    Raises:
        QuorumNotMet: too few candidates succeeded.
        ScorerError: a score was not finite, or no candidate could be scored.

    Example:
        >>> best = BestOfN(dspy.Predict("question -> answer"), n=5, scorer=lambda args, pred: float(len(pred.answer) <
        20))
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        n: int = 5,
        scorer: Scorer | Reward,
        threshold: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        self.n = Hyperparameter("n", n, low=1, search=(1, 16))
        self.check_quorum_fits("n", n)
        self.scorer = as_scorer(scorer, self.signature)
        self.threshold = threshold

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws, scores, and takes the best."""
        drawn = yield from self._draw_until_good_enough(inputs)
        chosen = max((c for c in drawn.candidates if c.score is not None), key=lambda c: (c.score, -c.index))
        return self.take(chosen, Pool(drawn.candidates, chosen.index, usage=drawn.usage, depth=drawn.rounds))

    def _draw_until_good_enough(self, inputs: dict[str, Any]) -> Steps[Drawn]:
        if self.threshold is None:
            return (yield from self.draw(inputs, self.n.value, self.scorer))
        attempts = self.attempts(inputs, self.n.value, logprobs=self.scorer.needs_logprobs)
        size = self.max_concurrency or len(attempts)
        seen: list[Candidate] = []
        usage, rounds = Usage(), 0
        for begin in range(0, len(attempts), size):
            fresh = yield self.side_by_side(attempts[begin : begin + size])
            rounds += 1
            scores = yield from self.score(inputs, fresh, self.scorer)
            usage, rounds = usage + scores.usage, rounds + scores.rounds
            seen.extend(scores.candidates)
            if any(
                candidate.score is not None and candidate.score >= self.threshold for candidate in scores.candidates
            ):
                break
        self.check_quorum(seen)
        check_scored(self.scorer, seen)
        return Drawn(tuple(seen), usage, rounds)
