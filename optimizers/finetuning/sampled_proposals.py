"""Proposals that are sampled from the model that is to be trained (on-policy), or from any others.

AFT, arXiv 2501.11877, section 4: 10 samples at temperature 1.0, top-p 0.95, top-k 50, of which a reward model keeps the
best 5. The paper has a base model answer by demonstrations in its context; here the task program may carry
demonstrations of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import dspy

from dspy_fusion.programs.calls.drawing import Steps
from dspy_fusion.programs.errors import ConfigurationError, QuorumNotMet
from dspy_fusion.programs.options import SamplingOptions
from dspy_fusion.programs.pools.candidates import Candidate, Pool, PooledPrediction
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.scorers.scorer import Reward, Scorer, as_scorer
from dspy_fusion.programs.tasks.signatures import plain

from .files.identities import lm_identity, scorer_identity
from .proposals import Proposal, is_blank
from .settings import whole

if TYPE_CHECKING:
    from dspy_fusion.programs import CandidateBank


@dataclass(frozen=True)
class SampledProposals:
    """Proposals sampled from models: on-policy when it is the one that is to be trained, off-policy from any others.

    Attributes:
        lm: the model, or several that take turns; their own sampling options stand where these say None.
        draws: how many answers are drawn for an example.
        keep: how many of them become proposals, the best by the scorer; without one, the first.
        scorer: a function ``(args, prediction)`` or a scorer of this library, such as a judge or a reward model; needed
            where ``keep`` is less than ``draws``, and for the objective ``"sft"``.
        temperature: in [0, 2].
        top_p: in (0, 1].
        top_k: from 1; DSPy's native engine would drop it, litellm's and the embedded models' do not.
        seed: answer i is drawn with seed ``seed + i``.
        bank: where what was drawn is kept and replayed from.
    """

    lm: dspy.BaseLM | Sequence[dspy.BaseLM]
    draws: int = 10
    keep: int = 5
    scorer: Scorer | Reward | None = None
    temperature: float = 1.0
    top_p: float | None = 0.95
    top_k: int | None = 50
    seed: int = 0
    bank: CandidateBank | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name in ("draws", "keep"):
            whole(name, getattr(self, name))
        if not 1 <= self.keep <= self.draws:
            raise ConfigurationError(f"keep must be between 1 and draws={self.draws}, but got keep={self.keep!r}")
        if self.keep < self.draws and self.scorer is None:
            raise ConfigurationError(
                f"a scorer must say which {self.keep} of {self.draws} draws are kept; give one, or keep={self.draws}"
            )

    @property
    def scored(self) -> bool:
        """Whether there is a scorer."""
        return self.scorer is not None

    @property
    def _lms(self) -> list[dspy.BaseLM]:
        return [self.lm] if isinstance(self.lm, dspy.BaseLM) else list(self.lm)

    def about(self) -> dict[str, Any]:
        """The models and the scorer with their options, and the numbers."""
        numbers = {name: getattr(self, name) for name in ("draws", "keep", "temperature", "top_p", "top_k", "seed")}
        lms = [lm_identity(lm) for lm in self._lms]
        return {"proposals": {"sampled": lms, "scorer": scorer_identity(self.scorer), **numbers}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature], optional: Sequence[str] = ()) -> None:
        """Nothing can be wrong before the model is asked."""

    def of(
        self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature], optional: Sequence[str] = ()
    ) -> list[Proposal]:
        """Draws and scores; raises ``QuorumNotMet`` where fewer than ``keep`` succeed with a text in them."""
        truncation = {
            name: value for name, value in (("top_p", self.top_p), ("top_k", self.top_k)) if value is not None
        }
        drawing = _Drawing(
            program,
            count=self.draws,
            scorer=None if self.scorer is None else as_scorer(self.scorer, task),
            lms=[lm.copy(**truncation) for lm in self._lms],
            temperature=self.temperature,
            seed=self.seed,
            quorum=self.keep,
            bank=self.bank,
            signature=task,
        )(**example.inputs().toDict())
        good = [candidate for candidate in drawing.pool.good if not _is_blank(candidate, task, optional)]
        if len(good) < self.keep:
            raise QuorumNotMet(
                f"{len(good)} of {self.draws} draws have an answer that is not empty, but keep={self.keep}"
            )
        if self.scorer is not None:
            good.sort(key=lambda candidate: -(candidate.score if candidate.score is not None else float("-inf")))
        return [
            Proposal({name: plain(c.prediction[name]) for name in task.output_fields}, c.score, c.lm)
            for c in good[: self.keep]
            if c.prediction is not None
        ]


class _Drawing(SamplingProgram):
    """Draws and scores a pool and takes nothing out of it."""

    def __init__(
        self, program: dspy.Module, *, count: int, scorer: Scorer | None, **options: Unpack[SamplingOptions]
    ) -> None:
        super().__init__(program, **options)
        self.count, self.scorer = count, scorer

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        pool = yield from self.draw(inputs, self.count, self.scorer)
        return PooledPrediction.of({}, Pool(pool.candidates, usage=pool.usage))


def _is_blank(candidate: Candidate, task: type[dspy.Signature], optional: Sequence[str]) -> bool:
    names = [name for name in task.output_fields if name not in optional]
    return candidate.prediction is None or any(is_blank(candidate.prediction[name]) for name in names)
