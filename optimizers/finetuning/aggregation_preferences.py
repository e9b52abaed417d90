"""Aggregations of one pool, some right and some wrong: what DPO learns from, and what GRPO rewards.

The fusor draws several aggregations of the same proposals in the same order, and a scorer says how good they are. DPO
(arXiv 2305.18290) prefers the best to the worst; GRPO (arXiv 2402.03300) draws them anew while it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy

from dspy_fusion.programs.calls.attempts import Attempt
from dspy_fusion.programs.calls.drawing import Batch, Steps
from dspy_fusion.programs.errors import ConfigurationError, FusorFailed
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate, Pool, PooledPrediction
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.scorers.scorer import Reward, Scorer, as_scorer
from dspy_fusion.programs.tasks.signatures import plain

from .files.identities import lm_identity, scorer_identity
from .objectives import Method
from .settings import real, whole


@dataclass(frozen=True)
class Preferences:
    """How aggregations are told apart, for the objectives ``"dpo"`` and ``"grpo"``.

    Attributes:
        scorer: a function ``(args, prediction)`` or a scorer of this library, such as a judge or a reward model.
        lm: the model that writes the aggregations for DPO: the one that is to be trained (on-policy), or another. None
            takes the fusor's own. GRPO always draws from the model that is being trained.
        draws: aggregations of each pool, at least 2.
        temperature: in (0, 2].
        margin: how much better than the worst the best must score, at least 0; examples without such a pair are left
            out, and counted.
        beta: how strongly the trained model is held to what it was, at least 0: DPO's beta, and the weight of GRPO's
            KL term, for which 0 needs no second model. None takes 0.1 for DPO and 0 for GRPO.
        answer_tokens: of an answer that GRPO draws, at most.
        pass_at: rows that show no proposals are rewarded in GRPO for what ``pass_at`` of their draws together have,
            which asks for variety (arXiv 2505.15201, its estimate without bias); 1 rewards each for itself. The rows
            that show proposals are always rewarded each for itself, as in ParaGator (in arXiv 2603.18886).
    """

    scorer: Scorer | Reward
    lm: dspy.BaseLM | None = None
    draws: int = 8
    temperature: float = 1.0
    margin: float = 0.0
    beta: float | None = None
    answer_tokens: int = 512
    pass_at: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        whole("draws", self.draws, 2)
        whole("answer_tokens", self.answer_tokens)
        whole("pass_at", self.pass_at)
        real("temperature", self.temperature, "in (0, 2]", lambda value: 0 < value <= 2)
        real("margin", self.margin, "at least 0", lambda value: value >= 0)
        if self.beta is not None:
            real("beta", self.beta, "at least 0", lambda value: value >= 0)
        if self.pass_at > self.draws:
            raise ConfigurationError(f"pass_at={self.pass_at} is more than draws={self.draws}; lower it")
        if not (callable(self.scorer) or isinstance(self.scorer, Scorer)):
            raise ConfigurationError(f"scorer must be a function or a scorer, but is {self.scorer!r}")
        if getattr(self.scorer, "needs_logprobs", False):
            raise ConfigurationError(f"{type(self.scorer).__name__} cannot rank aggregations; take another scorer")

    def check(self, method: Method, batch_size: int, plain_share: float) -> None:
        """Raises ``ConfigurationError`` where they do not go together with how the model is trained."""
        if method == "grpo" and batch_size % self.draws:
            raise ConfigurationError(
                f"batch_size={batch_size} counts answers here, so it must be a multiple of draws={self.draws}"
            )
        if method == "dpo" and plain_share:
            raise ConfigurationError(
                "objective='dpo' prefers aggregations, of which rows without proposals have none; set plain_share=0"
            )

    def about(self) -> dict[str, Any]:
        """What the rows, and what is learned from them, depend on."""
        numbers = ("draws", "temperature", "margin", "beta", "answer_tokens", "pass_at")
        model = None if self.lm is None else lm_identity(self.lm)
        said = {name: getattr(self, name) for name in numbers}
        return {"preferences": {**said, "lm": model, "scorer": scorer_identity(self.scorer)}}

    def pair(
        self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram
    ) -> dict[str, dict[str, Any]] | None:
        """The best and the worst aggregation of these proposals as ``chosen`` and ``rejected`` output fields.

        None where none is better than another.

        Raises:
            FusorFailed: fewer than two aggregations succeeded.
        """
        pool = _Fused(fusing, shown, self)(**example.inputs().toDict()).pool
        scored = [one for one in pool.candidates if one.prediction is not None and one.score is not None]
        if len(scored) < 2:
            causes = {str(one.error or one.score_error) for one in pool.candidates}
            raise FusorFailed(f"{len(scored)} of {self.draws} aggregations can be compared: {'; '.join(causes)[:300]}")
        best = max(scored, key=lambda one: (one.score or 0.0, -one.index))
        worst = min(scored, key=lambda one: (one.score or 0.0, one.index))
        if (best.score or 0.0) <= (worst.score or 0.0) + self.margin:
            return None
        names = list(fusing.signature.output_fields)
        return {
            said: {name: plain(one.prediction[name]) for name in names}
            for said, one in (("chosen", best), ("rejected", worst))
            if one.prediction is not None
        }


class _Fused(SamplingProgram):
    """Draws several aggregations of the same proposals and has them scored."""

    def __init__(self, fusing: FusingProgram, shown: Sequence[Candidate], preferences: Preferences) -> None:
        super().__init__(fusing.program, signature=fusing.signature)
        self.fusing, self.shown, self.preferences = fusing, shown, preferences

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        wanted = self.preferences
        made = yield Batch([self._attempt(inputs, place) for place in range(wanted.draws)])
        scores = yield from self.scores_of(inputs, made, as_scorer(wanted.scorer, self.signature))
        return PooledPrediction.of({}, Pool(scores.candidates))

    def _attempt(self, inputs: dict[str, Any], place: int) -> Attempt:
        wanted, fusing = self.preferences, self.fusing
        attempt = fusing.fuse(inputs, self.shown, layer=1, index=place, temperature=None)
        lm = wanted.lm or attempt.lm
        return replace(attempt, lm=lm, temperature=wanted.temperature, seed=fusing.seed or 0)
