"""One attempt: a module called once, with its own seed, rollout id, trace and meter.

Whatever happens becomes a Candidate. DSPy's settings carry the LM, so a module needs no copy; only where predictors
have LMs of their own is the module copied for the call, and its trace rows are put down to the original predictors,
which is where optimizers look for them.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import dspy

from ..pools.candidates import Candidate, Usage
from ..redaction import described, know_lm
from ..tasks.endings import empty_field, mean_logprob
from ..tasks.open_tasks import output_names
from ..tasks.reasoned_adapter import with_room
from ..tasks.reasoning_room import NO_ROOM, Room
from ..tasks.signatures import encodable
from .attempt_lm import CUT_OFF, AnswerCutOff, NoAnswer, attempt_lm
from .awaiting import answer_of
from .leaving import Stopped
from .metering import Meter

_LAYER_STRIDE = 1000  # between the rollout ids of two layers, so that no two attempts of a call share one
_lineage: ContextVar[tuple[int, ...]] = ContextVar("dspy_fusion_lineage", default=())


@dataclass(frozen=True)
class Attempt:
    """A call that is to be made.

    Attributes:
        module: what is called.
        inputs: its keyword arguments.
        signature: the task's; its answer must have these output fields.
        index: place in its layer.
        layer: 0 for proposals, higher for aggregations.
        lm: the model to use everywhere in the module, or None for the module's own choice.
        temperature: laid over the model's own; None leaves that as it is.
        seed: base of the attempt's seed; None sends none.
        logprobs: whether to ask the model for log-probabilities.
        streams: whether a listener may follow this call token by token.
        banked: whether a bank may keep the result; not so for what a user's own function computes.
        loose: whether the answer may have other fields than the signature, which then does not know the module's.
        deadline_seconds: after which nobody waits for it any more, or None.
        asked: a signature that the module, a predictor, is called with instead of its own.
        beside: the name of a further output that is kept where the answer has it.
        key: where a bank keeps the result, or an empty string.
        adapter: the adapter that writes the prompts; None leaves it to ``dspy.settings``.
        room: what the models' reasoning gets.
    """

    module: dspy.Module
    inputs: Mapping[str, Any]
    signature: type[dspy.Signature]
    index: int = 0
    layer: int = 0
    lm: dspy.BaseLM | None = None
    temperature: float | None = None
    seed: int | None = None
    logprobs: bool = False
    streams: bool = False
    banked: bool = True
    loose: bool = False
    deadline_seconds: float | None = None
    asked: type[dspy.Signature] | None = None
    beside: str = ""
    key: str = field(default="", compare=False)
    adapter: dspy.Adapter | None = None
    room: Room = NO_ROOM

    @property
    def lm_name(self) -> str:
        """The name of the model that will answer, or an empty string where the module's predictors choose."""
        return getattr(self.lm or dspy.settings.lm, "model", "")

    @property
    def kind(self) -> tuple[int, int]:
        """Equal for attempts that begin with the same call."""
        return id(self.lm), id(self.module)

    def make(self, meter: Meter) -> Candidate:
        """Calls the module; an exception becomes the candidate's error."""
        started = time.monotonic()
        try:
            with self._scope(meter) as call:
                answer = answer_of(call.module, self._arguments)
            return self._succeeded(answer, call, meter, time.monotonic() - started)
        except (Stopped, Exception) as error:  # noqa: BLE001 (a failed attempt is data)
            return self._failed(error, meter, time.monotonic() - started)

    async def amake(self, meter: Meter) -> Candidate:
        """As :meth:`make`; a module without ``aforward`` runs in a thread."""
        if not hasattr(self.module, "aforward"):
            return await asyncio.to_thread(self.make, meter)
        started = time.monotonic()
        try:
            with self._scope(meter) as call:
                answer = await call.module.acall(**self._arguments)
            return self._succeeded(answer, call, meter, time.monotonic() - started)
        except (Stopped, Exception) as error:  # noqa: BLE001 (a failed attempt is data)
            return self._failed(error, meter, time.monotonic() - started)

    @property
    def _arguments(self) -> dict[str, Any]:
        return {**self.inputs} if self.asked is None else {**self.inputs, "signature": self.asked}

    def kept_outputs(self, answer: dspy.Prediction) -> list[str]:
        """The names of those outputs that a bank keeps."""
        names = output_names(self.signature, answer, loose=self.loose)
        return [*names, *([self.beside] if self.beside in answer else [])]

    def failed(self, error: str, usage: Usage, seconds: float) -> Candidate:
        """The candidate of this attempt when it did not succeed."""
        return Candidate(self.index, None, error, self.lm_name, self.layer, usage, seconds)

    def _failed(self, raised: Stopped | Exception, meter: Meter, seconds: float) -> Candidate:
        error = raised.error if isinstance(raised, Stopped) else raised
        failed = self.failed(describe(error), meter.usage, seconds)
        return replace(failed, reasoning=meter.reasoning, left_out=meter.left_out, exception=error)

    def _succeeded(self, answer: Any, call: _Call, meter: Meter, seconds: float) -> Candidate:
        if not isinstance(answer, dspy.Prediction):
            raise TypeError(f"{type(self.module).__name__} returned {type(answer).__name__}, not a dspy.Prediction")
        names = output_names(self.signature, answer, loose=self.loose)
        for name in names:
            if name not in answer:
                raise KeyError(f"the prediction lacks the output field {name!r}; it has {list(answer.keys())}")
            if (repaired := encodable(answer[name])) is not answer[name]:
                answer[name] = repaired
        if meter.is_cut_off:
            raise AnswerCutOff(CUT_OFF)
        if name := empty_field(self.signature, answer, names):
            raise NoAnswer(f"the field {name!r} of the answer is empty; give it a default where that is an answer")
        rows = tuple((call.originals.get(id(row[0]), row[0]), *row[1:]) for row in call.trace or ())
        logprob = mean_logprob(answer.get("logprobs"))
        return Candidate(
            *(self.index, answer, None, self.lm_name, self.layer, meter.usage, seconds, logprob),
            by_model=meter.by_model,
            trace=rows,
            reasoning=meter.reasoning,
            left_out=meter.left_out,
        )

    @contextmanager
    def _scope(self, meter: Meter) -> Iterator[_Call]:
        call = _Call(self.module, {}, None if dspy.settings.trace is None else [])
        settings: dict[str, Any] = {"usage_tracker": meter, "trace": call.trace, "disable_history": False}
        if not (alone := isinstance(self.module, dspy.Predict)):
            settings["callbacks"] = [*(dspy.settings.callbacks or []), meter]
        if (adapter := with_room(self.adapter, self.room)) is not None:
            settings["adapter"] = adapter
        sampling = self._sampling()

        def prepared(lm: dspy.BaseLM) -> dspy.BaseLM:
            """A copy of a model for this attempt alone, which tells its meter what was used."""
            know_lm(lm)
            copied = attempt_lm(lm, sampling | self.room.sampling(lm), meter, deadline_seconds=self.deadline_seconds)
            if alone:  # only this LM is called, and a callback of its own spares DSPy those of everything around it
                copied.callbacks.append(meter)
            return copied

        if (lm := self.lm or dspy.settings.lm) is not None:
            settings["lm"] = prepared(lm)
        if not self.streams:
            settings["send_stream"] = None
        if _has_own_lms(self.module):
            call = _with_own_lms(self.module, lambda own: prepared(self.lm or own), call.trace)
        # with the seed, so that programs within draw anew for another one
        token = _lineage.set((*_lineage.get(), (self.seed or 0) + self._position))
        try:
            with dspy.context(**settings):
                yield call
        finally:
            _lineage.reset(token)

    @property
    def _position(self) -> int:
        return self.layer * _LAYER_STRIDE + self.index

    def _sampling(self) -> dict[str, Any]:
        """What is laid over the LM's own settings.

        At temperature 0 neither a rollout id nor a seed changes anything, so none is kept.
        """
        sampling: dict[str, Any] = {} if self.temperature is None else {"temperature": self.temperature}
        if self.temperature == 0:
            sampling["rollout_id"] = None
        else:
            sampling["rollout_id"] = self._inherited(self._position)
            if self.seed is not None:
                sampling["seed"] = (self.seed + self._inherited(self._position)) % 2**31
        return sampling | ({"logprobs": True} if self.logprobs else {})

    @staticmethod
    def _inherited(position: int) -> int:
        """The position itself, or inside another attempt a number that no sibling of that attempt arrives at."""
        lineage = _lineage.get()
        if not lineage:
            return position
        digest = hashlib.sha256(repr((*lineage, position)).encode()).digest()
        return int.from_bytes(digest[:4]) % 2**31


@dataclass(frozen=True)
class _Call:
    """The module that is really called, the originals of its predictors that are copies, and its trace's rows."""

    module: dspy.Module
    originals: dict[int, Any]
    trace: list[tuple[Any, ...]] | None


def _has_own_lms(module: dspy.Module) -> bool:
    """Whether any predictor has an LM of its own.

    DSPy's own walk also goes through the call history, which grows with every call.
    """
    if isinstance(module, dspy.Predict):
        return module.lm is not None
    parts = [value for name, value in vars(module).items() if name not in ("history", "callbacks")]
    nested = [item for part in parts if isinstance(part, list | tuple) for item in part]
    nested += [item for part in parts if isinstance(part, dict) for item in part.values()]
    return any(_has_own_lms(part) for part in (*parts, *nested) if isinstance(part, dspy.Module))


def _with_own_lms(
    module: dspy.Module, prepared: Callable[[dspy.BaseLM], dspy.BaseLM], trace: list[tuple[Any, ...]] | None
) -> _Call:
    """A copy of the module whose predictors' own LMs are prepared for the attempt."""
    copied = copy.copy(module) if isinstance(module, dspy.Predict) else module.deepcopy()
    originals = {}
    for predictor, original in zip(copied.predictors(), module.predictors(), strict=True):
        originals[id(predictor)] = original
        if original.lm is not None:
            predictor.lm = prepared(original.lm)
    return _Call(copied, originals, trace)


def current_lineage() -> tuple[int, ...]:
    """The positions of the attempts that this code runs inside of, outermost first,
    each with its program's seed added.
    """
    return _lineage.get()


def describe(error: BaseException) -> str:
    """An exception as one line of at most 500 characters: its type and its message, without secrets."""
    return described(error)
