"""What Fusion and ProposeAggregate share: showing candidates to a fusor, and what happens when the fusor fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack

import dspy

from .calls.attempts import Attempt
from .calls.metering import Meter
from .calls.status_relay import seen_by_listeners
from .errors import ConfigurationError, FusorFailed
from .gate import Gate
from .options import SamplingOptions
from .overflow import middle_out
from .pools.candidates import Candidate, Pool
from .pools.selection import fallback, shown_order
from .redaction import redacting
from .sampling_program import SamplingProgram, leave_trace, optional_temperature, value_of
from .tasks.adapter_names import adapter_named
from .tasks.hyperparameters import Hyperparameter, with_later_parts
from .tasks.own_fields import free_name
from .tasks.own_predict import OwnPredict
from .tasks.plain_adapter import PlainAdapter
from .tasks.signatures import candidate_text, comparing, fusor_signature, input_digest, signature_of
from .tasks.task_text import fusor_inputs, takes_input
from .tasks.trained_fusor import TrainedFusor

logger = redacting(logging.getLogger(__name__))


class FusingProgram(SamplingProgram):
    """A program whose answer is written by a fusor that sees candidates.

    Args:
        program: the task program.
        instructions: how the fusor is told to fuse. What the task itself asks for is no part of it: the fusor gets the
            task's instructions, as they are when it is called, in an input of their own.
        compare: whether the fusor writes down how the candidates compare before it answers; kept as
            ``pool.comparison``. ``PlainAdapter``, whose models write an answer and nothing else, leaves it out.
        **options: see :class:`SamplingOptions`.

    The fusor's options are described in :class:`FusingOptions`.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        instructions: str,
        compare: bool = False,
        fusor: dspy.Module | None = None,
        fusor_lm: dspy.BaseLM | None = None,
        fusor_temperature: float | None = 0.0,
        shuffle: bool = True,
        on_fusor_failure: Literal["best", "raise"] = "best",
        gate: float | Mapping[str, float] | None = None,
        on_overflow: Literal["shorten", "tree", "fail"] = "shorten",
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        if on_fusor_failure not in ("best", "raise"):
            raise ConfigurationError(
                f"on_fusor_failure must be 'best' or 'raise', but got on_fusor_failure={on_fusor_failure!r}"
            )
        if on_overflow not in ("shorten", "tree", "fail"):
            raise ConfigurationError(
                f"on_overflow must be 'shorten', 'tree' or 'fail', but got on_overflow={on_overflow!r}"
            )
        self.on_overflow = on_overflow
        self.gate = None if gate is None else Gate(gate, list(self.signature.output_fields))
        self.compare = Hyperparameter("compare", compare, choices=(True, False))
        own = fusor_signature(self.signature, instructions, compare=compare)
        self.fusor = OwnPredict(own) if fusor is None else fusor
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
        """Puts a trained model behind the fusor, and with ``everything`` behind the candidates too.

        Its prompts are written by the adapter that it was trained under, and the program's state names it.
        """
        self.fusor_lm = lm
        if everything:
            self.lms = [lm]
        self.trained.put(lm, checkpoint, adapter, everything=everything)

    def load_state(self, state: Any, **options: Any) -> None:
        """Loads a state; one from before fusors could compare is of a program that does not.

        Raises:
            ConfigurationError: its trained model is not behind the fusor, or its fusor or judge has other fields.
        """
        later = {"compare": {"value": False}, "trained": TrainedFusor().dump_state()}
        super().load_state({**with_later_parts(self, later), **state}, **options)
        self.trained.check(self.fusor_lm)

    def proposers(self) -> tuple[Sequence[dspy.BaseLM] | None, dspy.Adapter | None]:
        """A model that was trained to do everything proposes too, where no other was given."""
        model = self.trained.model
        if model is None or not model.everything:
            return super().proposers()
        return self.lms or [lm for lm in [self.fusor_lm] if lm is not None], self.trained.adapter

    @property
    def writer_adapter(self) -> dspy.Adapter | None:
        """How the fusor is asked: as it was trained, else by ``adapter``, else (None) as the settings have it."""
        return self.trained.adapter or adapter_named(self.adapter.value)

    def named_predictors(self) -> list[tuple[str, dspy.Predict]]:
        """As every module; to DSPy's stream listeners those whose tokens are streamed, which are the fusor's."""
        return seen_by_listeners(super().named_predictors(), "fusor")

    def fuse(
        self,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        *,
        layer: int,
        index: int = 0,
        temperature: Hyperparameter | None,
        streams: bool = False,
        part: int = 1,
        told: str = "",
        beside: Mapping[int, str] | None = None,
        task: type[dspy.Signature] | None = None,
    ) -> Attempt:
        """The attempt that has the fusor write an answer from these candidates, in this order.

        Args:
            inputs: of the task.
            shown: the candidates.
            layer: of the fusion.
            index: place in its layer.
            temperature: of the fusor.
            streams: whether a listener may follow the call.
            part: candidates are cut to one ``part``-th of their length.
            told: what the fusor is told beside the task's text.
            beside: what is shown after candidates of layer 0, by their index.
            task: the task, by default what these candidates, answers of the task program, show it to be.
        """
        self.trained.check(self.fusor_lm)
        task = task or self.task_of(inputs, shown)
        return Attempt(
            self.fusor,
            self.fusor_inputs(inputs, shown, task, part=part, told=told, beside=beside),
            task,
            index,
            layer,
            self.fusor_lm,
            value_of(temperature),
            self.seed,
            streams=streams,
            adapter=self.writer_adapter,
            asked=self.fusor_asked(task),
            beside=free_name(task, "comparison"),
        )

    def fusor_inputs(
        self,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        task: type[dspy.Signature],
        *,
        part: int = 1,
        told: str = "",
        beside: Mapping[int, str] | None = None,
    ) -> dict[str, Any]:
        """What the fusor is called with to write an answer from these candidates, in this order."""
        after = beside or {}
        texts = [
            candidate_text(task, c.prediction) + ("" if c.layer else after.get(c.index, ""))
            for c in shown
            if c.prediction is not None
        ]
        texts = texts if part == 1 else [middle_out(text, part) for text in texts]
        text = f"{self.task_text()}\n\n{told}" if told else self.task_text()
        asked = fusor_inputs(task, text, inputs, texts)
        if not takes_input(self.fusor, name := free_name(task, "task")):
            del asked[name]
        return asked

    def fusor_asked(self, task: type[dspy.Signature]) -> type[dspy.Signature] | None:
        """The fusor's signature where ``compare`` or a task that only its answers show asks for another than its own,
        else None. Its own stays the same, whatever it is asked: optimizers find its steps by it.
        """
        if not isinstance(self.fusor, OwnPredict):
            return None
        own = signature_of(self.fusor)
        is_plain = isinstance(self.writer_adapter or dspy.settings.adapter, PlainAdapter)  # which would leave it out
        compares = self.compare.value and not is_plain
        if task is not self.signature:
            return fusor_signature(task, own.instructions, compare=compares)
        return None if (asked := comparing(own, task, compares)) is own else asked

    def order(
        self, inputs: Mapping[str, Any], candidates: Sequence[Candidate], place: int, subset: int | None = None
    ) -> list[Candidate]:
        """``subset`` of the candidates as one fusor sees them, seeded by the input and the fusor's place."""
        if not self.shuffle.value and subset is None:
            return list(candidates)
        order = shown_order(
            len(candidates), seed=self.seed or 0, digest=f"{input_digest(inputs)} {place}", subset=subset
        )
        return [candidates[i] for i in (order if self.shuffle.value else sorted(order))]

    def agreed(self, candidates: Sequence[Candidate]) -> tuple[Candidate, str] | None:
        """The candidate that speaks for all where the gate says that they agree, and why; else None."""
        if self.gate is None:
            return None
        good = [candidate for candidate in candidates if candidate.ok]
        weights = None if self.calibration is None else self.calibration.weights(good)
        names = list(self.signature.output_fields) or [n for c in good[:1] for n in (c.prediction or {}).keys()]
        fields = self.voted_fields(names)
        return self.gate.opens(good, fields, self.equal_values, weights)

    def conclude(
        self, written: Candidate, sources: Sequence[Candidate], pool: Pool, task: type[dspy.Signature]
    ) -> dspy.Prediction:
        """The fused answer with its pool, or the fallback when the fusor failed.

        The trace gets the steps of ``sources``, the candidates that the answer stands on, once each, and then the
        fusor's.
        """
        said = written.prediction.get(free_name(task, "comparison")) if written.prediction else None
        pool = replace(pool, usage={**pool.usage, "fusor": written.usage}, comparison=said or None)
        if written.ok:
            leave_trace([*sources, written])
            return self.answer(written, pool, task)
        return self.fall_back(f"the fusor failed: {written.error}", pool, task)

    def fall_back(self, reason: str, pool: Pool, task: type[dspy.Signature]) -> dspy.Prediction:
        """Answers with the best candidate, or raises ``FusorFailed`` when that was asked for."""
        if self.on_fusor_failure == "raise":
            raise FusorFailed(f"{reason}; on_fusor_failure='best' would answer with the best candidate instead")
        best = fallback(task, pool.candidates)
        logger.warning("%s; answering with candidate %d", reason, best.index)
        if isinstance(dspy.settings.usage_tracker, Meter):
            dspy.settings.usage_tracker.fell_back()
        return self.take(best, replace(pool, chosen=best.index, fallback=reason))
