"""Counting what an attempt costs, as it happens: calls when they are made, tokens when the server reports them.

A meter is both a DSPy callback (it sees every LM call, failed ones too) and a DSPy usage tracker (it sees every
reported usage). It passes usage on to the tracker around it, so ``dspy.track_usage()`` and nested programs count the
same calls once each.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.usage_tracker import UsageTracker

from ..pools.candidates import NOTHING_USED, Candidate, Usage
from ..wire.open_calls import OpenCall
from .interrupts import join
from .leaving import LeftBehind

_PROCESS_LIMIT = 256
_permits = threading.BoundedSemaphore(_PROCESS_LIMIT)


class Meter(UsageTracker, BaseCallback):
    """Counts the LM calls made and the tokens reported while it is active in ``dspy.context``,
    and apart from them what a bank replayed.

    Args:
        limited: whether each call waits for one of the 256 permits that all attempts of the process share. Only the
            outermost meter of a thread may be limited, or two meters would wait for each other.
        end: when nobody waits for the attempt any more, by ``time.monotonic()``, or None; not later than for the
            attempt around it.
        siblings: how many attempts, this one included, begin together with the same call of the same model.
    """

    def __init__(self, *, limited: bool, end: float | None = None, siblings: int = 1) -> None:
        super().__init__()
        self.limited = limited
        self._siblings = siblings
        self._outer: UsageTracker | None = dspy.settings.usage_tracker
        ends = [known for known in (end, getattr(self._outer, "end", None)) if known is not None]
        self.end: float | None = min(ends, default=None)
        self._lock = threading.Lock()
        self._begun: dict[str, str] = {}  # the models of calls under way
        self._spent: dict[str, Usage] = {}
        self._replayed: dict[str, Usage] = {}
        self._gpu_seconds: dict[str, float] = {}
        self.is_cut_off = False
        self._thoughts: list[str] = []
        self._left_out: dict[str, str] = {}
        self.has_stand_in = False
        self.has_fallback = False
        self._open: set[OpenCall] = set()
        if not isinstance(self._outer, Meter):
            join(self)

    def is_over(self, *, after_seconds: float = 0.0) -> bool:
        """Whether nobody waits for the attempt any more, now or so much later."""
        if self.end is not None and time.monotonic() + after_seconds >= self.end:
            return True
        return isinstance(self._outer, Meter) and self._outer.is_over(after_seconds=after_seconds)

    def give_up(self) -> None:
        """Nobody waits for the attempt any more.

        It makes no further call, and the connections that calls of it or of attempts within it read from are ended, so
        that their threads come to an end.
        """
        with self._lock:
            self.end = time.monotonic() if self.end is None else min(self.end, time.monotonic())
            calls = list(self._open)
        for call in calls:
            call.give_up()

    def began(self, call: OpenCall) -> None:
        """Notes a call of a model, here and in the meters around this one."""
        with self._lock:
            self._open.add(call)
        if isinstance(self._outer, Meter):
            self._outer.began(call)
        if self.is_over():
            call.give_up()

    def ended(self, call: OpenCall) -> None:
        """Forgets a call that has come to its end."""
        with self._lock:
            self._open.discard(call)
        if isinstance(self._outer, Meter):
            self._outer.ended(call)

    def answer_ended(self, *, cut_off: bool) -> None:
        """Notes whether the latest answer was cut off at its token limit."""
        self.is_cut_off = cut_off

    def thought(self, text: str) -> None:
        """Keeps what a model thought before an answer."""
        if text.strip():
            self._thoughts.append(text.strip())

    @property
    def reasoning(self) -> str | None:
        """All thoughts before the answers so far, or None."""
        return "\n\n".join(self._thoughts) or None

    def left_out_of_call(self, option: str, model: str) -> None:
        """Notes that an option was not sent to a model that refuses it, here and in the meters around this one."""
        self._left_out[option] = model
        if isinstance(self._outer, Meter):
            self._outer.left_out_of_call(option, model)

    @property
    def left_out(self) -> dict[str, str]:
        """Options that were not sent, each with the model that refuses it."""
        return dict(self._left_out)

    def stood_in(self) -> None:
        """Notes that another model answered in the place of the one that was asked, here and in the meters around
        this one: such an answer is not kept as that model's.
        """
        self.has_stand_in = True
        if isinstance(self._outer, Meter):
            self._outer.stood_in()

    def fell_back(self) -> None:
        """Notes that a candidate was taken in the place of what a fusor failed to write, here and around."""
        self.has_fallback = True
        if isinstance(self._outer, Meter):
            self._outer.fell_back()

    @property
    def calls_like_this(self) -> int:
        """How many attempts are making the call that this one is making, as far as is known.

        Only first calls of siblings are alike for certain.
        """
        return self._siblings if sum(usage.calls for usage in self.spent.values()) == 1 else 1

    @property
    def spent(self) -> dict[str, Usage]:
        """Calls made now, per model."""
        return dict(self._spent)

    @property
    def by_model(self) -> dict[str, Usage]:
        """Calls made now and calls that a bank replayed, the latter at what they cost when they were made,
        per model.
        """
        spent, replayed = dict(self._spent), dict(self._replayed)  # a thread that was left behind may still count
        names = [*spent, *(name for name in replayed if name not in spent)]
        return {name: spent.get(name, NOTHING_USED) + replayed.get(name, NOTHING_USED) for name in names}

    @property
    def usage(self) -> Usage:
        """The sum over all models, replayed calls included."""
        return Usage.total(self.by_model.values())

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Counts a call, when it is made.

        An attempt that is over makes none: a module that goes on would go on spending.
        """
        try:
            self._begin(call_id, getattr(instance, "model", ""))
        except LeftBehind:
            self.not_made(call_id)
            raise

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Gives the call's permit back."""
        if self._begun.pop(call_id, None) is not None and self.limited:
            _permits.release()

    def not_made(self, call_id: str) -> None:
        """Takes back a call that was counted, here and around: DSPy tells of no end where the beginning failed."""
        if (model := self._begun.get(call_id)) is not None:
            self._add(self._spent, {model: Usage(calls=-1)})
            self.on_lm_end(call_id, None)
        if isinstance(self._outer, Meter):
            self._outer.not_made(call_id)

    def _begin(self, call_id: str, model: str) -> None:
        left = None if self.end is None else self.end - time.monotonic()
        if self.is_over() or (self.limited and not _permits.acquire(timeout=left)):
            raise LeftBehind
        self._begun[call_id] = model
        self._add(self._spent, {model: Usage(calls=1)})
        if self.is_over():  # by now: it may have waited for its permit
            raise LeftBehind

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """Counts the tokens that a server reported, here and in the tracker around this one.

        What it reports that is no number of tokens counts as none, for the answer has been paid for.
        """
        tokens_in = _count(usage_entry, "prompt_tokens", "input_tokens")
        tokens_out = _count(usage_entry, "completion_tokens", "output_tokens")
        self._add(self._spent, {lm: Usage(tokens_in=tokens_in, tokens_out=tokens_out)})
        if self._outer is not None:
            self._outer.add_usage(lm, usage_entry)

    @property
    def gpu_seconds(self) -> dict[str, float]:
        """GPU-seconds of the calls made now, per model, of models whose number of GPUs is known."""
        return dict(self._gpu_seconds)

    def add_gpu_seconds(self, lm: str, seconds: float) -> None:
        """Counts GPU-seconds of a call, here and in the meters around this one."""
        with self._lock:
            self._gpu_seconds[lm] = self._gpu_seconds.get(lm, 0.0) + seconds
        if isinstance(self._outer, Meter):
            self._outer.add_gpu_seconds(lm, seconds)

    def add_replayed(self, by_model: Mapping[str, Usage]) -> None:
        """Counts what a bank replayed, here and in the meters around this one."""
        self._add(self._replayed, by_model)
        if isinstance(self._outer, Meter):
            self._outer.add_replayed(by_model)

    def __deepcopy__(self, memo: dict[int, Any]) -> Meter:
        return self  # dspy.Parallel copies the tracker; a copy would lose what its threads use

    def _add(self, kind: dict[str, Usage], by_model: Mapping[str, Usage]) -> None:
        with self._lock:
            for name, usage in by_model.items():
                kind[name] = kind.get(name, NOTHING_USED) + usage


def meters_of(
    calls: Sequence[Hashable], *, at_once: int | None, limited: bool, end: float | None = None
) -> list[Meter]:
    """A meter for each of several attempts that begin together; equal ``calls`` are of the same module and model."""
    alike = Counter(calls)
    siblings = [min(alike[call], at_once or len(calls)) for call in calls]
    return [Meter(limited=limited, end=end, siblings=count) for count in siblings]


def _count(usage_entry: Any, *names: str) -> int:
    """The first number of tokens under these names, or 0."""
    for name in names:
        value = usage_entry.get(name) if isinstance(usage_entry, Mapping) else None
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            if value is not None and not isinstance(value, bool) and (number := int(float(value))) > 0:
                return number
    return 0


def count_replayed(candidate: Candidate) -> None:
    """Counts what a bank replayed in the meters of this context, at what it cost when it was made."""
    if isinstance(dspy.settings.usage_tracker, Meter):
        dspy.settings.usage_tracker.add_replayed(candidate.by_model or {candidate.lm: candidate.usage})
