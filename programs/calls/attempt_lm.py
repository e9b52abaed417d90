"""A model as one attempt calls it.

A copy with the attempt's sampling, which stops with the attempt, leaves out what the model refuses, and hands on
nothing but answers: no thoughts, and nothing filtered.

It stands between the model and whatever adapter there is, and knows both of DSPy's engines, calling and awaiting.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import dspy

from ..tasks.endings import Ending, endings_of
from ..tasks.thoughts import split_thoughts
from ..wire.litellm_wire import watch_litellm
from ..wire.native_wire import watch_native
from ..wire.open_calls import OpenCall, making
from .leaving import LeftBehind
from .metering import Meter
from .refusal_texts import server_text
from .refused_options import Refusal, known_refusal, log_left_out, refusals_in, remember, without


class AnswerCutOff(Exception):
    """The model's answer ended at its token limit: what there is of it may read like an answer, but is none."""


class NoAnswer(Exception):
    """The model answered with nothing that could be an answer: it was filtered, it refused, or there was no text."""


_endings: ContextVar[tuple[Ending, ...]] = ContextVar("dspy_fusion_endings", default=())
_recording = threading.Lock()
CUT_OFF = "the answer ended at the model's token limit; raise max_tokens"


class _Tries(int):
    """A number of retries that is spent when a further one would come after the attempt's end.

    DSPy asks ``attempt < retries`` while it handles the failure, and then sleeps for as long as the server's
    ``Retry-After`` says, or else for a power of two seconds. It can be told of a deadline in no other way.
    """

    meter: Meter

    def __gt__(self, attempt: int) -> bool:
        hint = getattr(sys.exception(), "retry_after", None)
        wait = hint if isinstance(hint, int | float) else min(2.0**attempt, 60.0)
        return int(self) > attempt and not self.meter.is_over(after_seconds=wait)


class _Guard:
    """What is mixed into the class of a model for the copy that an attempt calls."""

    meter: Meter
    original: dspy.BaseLM
    keeps_history: bool
    laid_over: tuple[str, ...]
    kwargs: dict[str, Any]

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        kwargs = _taken(self, kwargs)
        while True:
            try:
                with _connected(self.meter):
                    outputs = super().__call__(prompt, messages=messages, **kwargs)  # type: ignore[misc]
                return _answered(self, outputs, kwargs)
            except Exception as error:
                if (rest := _after_refusal(self, error, kwargs)) is None:
                    raise
                kwargs = rest

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """As the call of the class, awaited."""
        kwargs = _taken(self, kwargs)
        while True:
            try:
                with _connected(self.meter):
                    outputs = await super().acall(prompt, messages=messages, **kwargs)  # type: ignore[misc]
                return _answered(self, outputs, kwargs)
            except Exception as error:
                if (rest := _after_refusal(self, error, kwargs)) is None:
                    raise
                kwargs = rest

    def update_history(self, entry: dict[str, Any]) -> None:
        """Hears how the answer ended, of which only the history is told; so the attempt's settings keep one."""
        endings = endings_of(entry.get("response"))
        _endings.set(endings)
        self.meter.answer_ended(cut_off=bool(endings) and endings[0].is_cut_off)
        for note in entry.get("adaptations", ()):
            if note.action == "dropped":
                _left_out(self, note.field.rpartition(".")[2], note.reason)
        if self.keeps_history:
            super().update_history(entry)  # type: ignore[misc]
            _record(self.original, entry)


def attempt_lm(
    lm: dspy.BaseLM, sampling: dict[str, Any], meter: Meter, *, deadline_seconds: float | None
) -> dspy.BaseLM:
    """A copy of a model for one attempt.

    Args:
        lm: the model; it stays as it is, but for its history.
        sampling: what is laid over its own settings.
        meter: the attempt's.
        deadline_seconds: no connection of the copy waits longer for its next byte, so that a thread that was left
            behind comes to its end; None leaves the model's own limit. A custom engine keeps its own in any case.
    """
    laid_over = tuple(sampling)
    if deadline_seconds is not None and isinstance(getattr(lm, "engine", None), str):
        own = lm.kwargs.get("timeout")
        sampling = {
            **sampling,
            "timeout": min(own, deadline_seconds) if isinstance(own, int | float) else own or deadline_seconds,
        }
    watch_native(lm)
    watch_litellm(lm)
    copied = lm.copy(**sampling)
    if isinstance(copied, dspy.LM):
        copied.num_retries = _tries(copied.num_retries, meter)
    copied.__class__ = _guarded(type(lm))
    vars(copied).update(meter=meter, original=lm, keeps_history=not dspy.settings.disable_history, laid_over=laid_over)
    return copied


@contextmanager
def _connected(meter: Meter) -> Iterator[None]:
    """The connections of a call are known to the attempts that wait for it."""
    call = OpenCall(meter.end)
    meter.began(call)
    try:
        with making(call):
            yield
    except Exception as error:
        if call.is_over:
            raise LeftBehind from error  # its connection was ended from here, which is no failure of the model's
        raise
    finally:
        meter.ended(call)


_classes: dict[type, type] = {}


def _guarded(kind: type) -> type:
    """A model's class with the guard before it, under its own name."""
    if kind not in _classes:
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        _classes[kind] = kind if issubclass(kind, _Guard) else type(kind.__name__, (_Guard, kind), names)
    return _classes[kind]


def _tries(retries: int, meter: Meter) -> _Tries:
    tries = _Tries(retries)
    tries.meter = meter
    return tries


def _taken(lm: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of a call without those that the model is known to refuse."""
    for name, value in {**lm.kwargs, **kwargs}.items():
        if value is not None and (refusal := known_refusal(lm.original, name, value)) is not None:
            kwargs = _leave_out(lm, refusal, kwargs, "known from DSPy's client or from an earlier refusal")
    return kwargs


def _after_refusal(lm: Any, error: BaseException, kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The options with which to ask again, or None where the error is no refusal of one of them."""
    refusals = refusals_in(error, {**lm.kwargs, **kwargs}, preferred=lm.laid_over)
    for refusal in refusals:
        remember(lm.original, refusal)
        kwargs = _leave_out(lm, refusal, kwargs, " ".join(server_text(error).split())[:300])
    return kwargs if refusals else None


def _leave_out(lm: Any, refusal: Refusal, kwargs: dict[str, Any], why: str) -> dict[str, Any]:
    lm.kwargs, kwargs = without(lm.kwargs, refusal.option), without(kwargs, refusal.option)
    if refusal.replaced_by:
        kwargs[refusal.replaced_by] = refusal.value
    else:
        _left_out(lm, refusal.option, why)
    return kwargs


def _left_out(lm: Any, option: str, why: str) -> None:
    lm.meter.left_out_of_call(option, lm.model)
    log_left_out(lm.model, option, why)


def _answered(lm: Any, outputs: Any, kwargs: Mapping[str, Any]) -> Any:
    """What the model answered, once thoughts are taken off and what is no answer is left out.

    Raises:
        AnswerCutOff: it ended at the token limit without an answer.
        NoAnswer: it was filtered, the model refused, or it called a tool where text is wanted.
    """
    if not isinstance(outputs, list):
        return outputs  # the answer to an explicit request of the module's own
    endings, tools = _endings.get(), "tools" in {**lm.kwargs, **kwargs}
    _endings.set(())
    answers, causes = [], []
    for place, output in enumerate(outputs):
        ending = endings[place] if len(endings) == len(outputs) else Ending()
        try:
            answers.append(_one_answer(lm.meter, output, ending, takes_tools=tools))
        except (AnswerCutOff, NoAnswer) as error:
            causes.append(error)
    if causes and not answers:
        raise causes[0]
    return answers


def _one_answer(meter: Meter, output: Any, ending: Ending, *, takes_tools: bool) -> Any:
    rich = output if isinstance(output, Mapping) else {"text": output}
    parsed, whole = rich.get("reasoning_content") or "", rich.get("text") or ""
    thoughts, text = split_thoughts(whole, _own_tags(), is_cut_off=ending.is_cut_off)
    text = text.lstrip("\r\n") if parsed else text  # litellm leaves the lines between thoughts and answer
    meter.thought(parsed)
    meter.thought(thoughts)
    if text != whole:
        output = {**rich, "text": text} if isinstance(output, Mapping) else text
    calls = rich.get("tool_calls")
    if ending.is_filtered:
        raise NoAnswer("the provider's content filter stopped the answer; what there is of it is none")
    if text.strip() or (calls and takes_tools):
        return output
    if ending.refusal:
        raise NoAnswer(f"the model refused: {ending.refusal}")
    if ending.is_cut_off:
        raise AnswerCutOff(CUT_OFF)
    if calls:
        raise NoAnswer("the model called a tool where text is wanted")
    if thoughts or parsed:
        raise NoAnswer("the model thought, but did not answer")
    return output


def _own_tags() -> frozenset[str]:
    """The fields of the predictor that is called, whose names in tags are the adapter's protocol and no thoughts."""
    modules = dspy.settings.caller_modules or []
    signature = getattr(modules[-1], "signature", None) if modules else None
    return frozenset(getattr(signature, "fields", ()))


def _record(lm: Any, entry: dict[str, Any]) -> None:
    """Keeps a call in the history of the model that the user has, as if it had been called itself."""
    most, history = dspy.settings.max_history_size, getattr(lm, "history", None)
    if most and isinstance(history, list) and not isinstance(lm, _Guard):
        with _recording:
            history.append(entry)
            del history[:-most]
