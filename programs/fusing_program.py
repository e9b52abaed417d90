"""What Fusion and ProposeAggregate share: showing candidates to a fusor, and what happens when the fusor fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

import dspy

from .calls.attempts import Attempt
from .errors import ConfigurationError, FusorFailed
from .options import SamplingOptions
from .pools.candidates import Candidate, Pool, Usage
from .pools.selection import fallback, shown_order
from .sampling_program import SamplingProgram, leave_trace, optional_temperature, value_of
from .tasks.hyperparameters import Hyperparameter
from .tasks.signatures import CANDIDATES, candidate_text, fusor_signature, input_digest
from .tasks.trained_fusor import TrainedFusor

logger = logging.getLogger(__name__)


class FusingProgram(SamplingProgram):
    """A program whose answer is written by a fusor that sees candidates.

    Args:
        program: the task program.
        instructions: what the fusor is told.
        **options: see :class:`SamplingOptions`.

    The fusor's options are described in :class:`FusingOptions`.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        instructions: str,
        fusor: dspy.Module | None = None,
        fusor_lm: dspy.BaseLM | None = None,
        fusor_temperature: float | None = 0.0,
        shuffle: bool = True,
        on_fusor_failure: Literal["best", "raise"] = "best",
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        if on_fusor_failure not in ("best", "raise"):
            raise ConfigurationError(
                f"on_fusor_failure must be 'best' or 'raise', but got on_fusor_failure={on_fusor_failure!r}"
            )
        self.fusor = dspy.Predict(fusor_signature(self.signature, instructions)) if fusor is None else fusor
        self._fusor_lm = fusor_lm
        self.trained = TrainedFusor()
        self.fusor_temperature = optional_temperature("fusor_temperature", fusor_temperature, search=(0.0, 0.9))
        self.shuffle = Hyperparameter("shuffle", shuffle, choices=(True, False))
        self.on_fusor_failure = on_fusor_failure

    @property
    def fusor_lm(self) -> dspy.BaseLM | None:
        """The fusor's model: the one that was set, else the trained one; None leaves it to ``dspy.settings``."""
        return self._fusor_lm or self.trained.lm

    @fusor_lm.setter
    def fusor_lm(self, lm: dspy.BaseLM | None) -> None:
        self._fusor_lm = lm
        self.trained.reset()

    def put_trained(
        self, lm: dspy.BaseLM, checkpoint: Path, adapter: dspy.Adapter, *, everything: bool = False
    ) -> None:
        """Puts a trained model behind the fusor, and with ``everything`` behind the candidates too;
        its prompts are written by the adapter that it was trained under, and the program's state names it.
        """
        self.fusor_lm = lm
        if everything:
            self.lms = [lm]
        self.trained.put(lm, checkpoint, adapter, everything=everything)

    def load_state(self, state: Any, **options: Any) -> None:
        """Loads a state; raises ``ConfigurationError`` where it names a trained model that is not behind the fusor."""
        super().load_state(state, **options)
        self.trained.check(self.fusor_lm)

    def proposers(self) -> tuple[Sequence[dspy.BaseLM] | None, dspy.Adapter | None]:
        """A model that was trained to do everything proposes too, where no other was given."""
        model = self.trained.model
        if model is None or not model.everything:
            return self.lms, None
        return self.lms or [lm for lm in [self.fusor_lm] if lm is not None], self.trained.adapter

    def fuse(
        self,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        *,
        layer: int,
        index: int = 0,
        temperature: Hyperparameter | None,
        streams: bool = False,
    ) -> Attempt:
        """The attempt that has the fusor write an answer from these candidates, in this order."""
        texts = [
            candidate_text(self.signature, candidate.prediction)
            for candidate in shown
            if candidate.prediction is not None
        ]
        self.trained.check(self.fusor_lm)
        return Attempt(
            self.fusor,
            {**inputs, CANDIDATES: texts},
            self.signature,
            index,
            layer,
            self.fusor_lm,
            value_of(temperature),
            self.seed,
            streams=streams,
            adapter=self.trained.adapter,
        )

    def order(
        self, inputs: Mapping[str, Any], candidates: Sequence[Candidate], place: int, subset: int | None = None
    ) -> list[Candidate]:
        """The candidates as one fusor sees them: seeded by the input and the fusor's place,
        cut to ``subset`` of them.
        """
        if not self.shuffle.value and subset is None:
            return list(candidates)
        drawn = shown_order(
            len(candidates), seed=self.seed or 0, digest=f"{input_digest(inputs)} {place}", subset=subset
        )
        return [candidates[i] for i in (drawn if self.shuffle.value else sorted(drawn))]

    def conclude(self, written: Candidate, sources: Sequence[Candidate], pool: Pool) -> dspy.Prediction:
        """The fused answer with its pool, or the fallback when the fusor failed.

        The trace gets the steps of ``sources``, the candidates that the answer stands on, once each, and then the
        fusor's.
        """
        pool = replace(pool, usage={**pool.usage, "fusor": written.usage})
        if written.ok:
            leave_trace([*sources, written])
            return self.answer(written, pool)
        return self.fall_back(f"the fusor failed: {written.error}", pool)

    def fall_back(self, reason: str, pool: Pool) -> dspy.Prediction:
        """Answers with the best candidate, or raises ``FusorFailed`` when that was asked for."""
        if self.on_fusor_failure == "raise":
            raise FusorFailed(f"{reason}; on_fusor_failure='best' would answer with the best candidate instead")
        best = fallback(self.signature, pool.candidates)
        logger.warning("%s; answering with candidate %d", reason, best.index)
        return self.take(best, replace(pool, chosen=best.index, fallback=reason))


def usage_of(candidates: Sequence[Candidate]) -> Usage:
    """What candidates cost together."""
    return Usage.total(candidate.usage for candidate in candidates)
