"""Counting what an attempt costs, as it happens: calls when they are made, tokens when the server reports them.

A meter is both a DSPy callback (it sees every LM call, failed ones too) and a DSPy usage tracker (it sees every reported usage). It
passes usage on to the tracker around it, so ``dspy.track_usage()`` and nested programs count the same calls once each.
"""

from __future__ import annotations

import threading
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.usage_tracker import UsageTracker

from .candidates import Usage

_PROCESS_LIMIT = 256
_permits = threading.BoundedSemaphore(_PROCESS_LIMIT)


class Meter(UsageTracker, BaseCallback):
    """Counts the LM calls made and the tokens reported while it is active in ``dspy.context``, and apart from them what a bank replayed.

    Args:
        limited: whether each call waits for one of the 256 permits that all attempts of the process share. Only the outermost meter
            of a thread may be limited, or two meters would wait for each other.
    """

    def __init__(self, *, limited: bool) -> None:
        super().__init__()
        self.limited = limited
        self._outer: UsageTracker | None = dspy.settings.usage_tracker
        self._lock = threading.Lock()
        self.spent = Usage()
        self.replayed = Usage()

    @property
    def usage(self) -> Usage:
        """What was counted so far: calls made now, and calls that a bank replayed at what they cost when they were made."""
        return self.spent + self.replayed

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Counts a call, when it is made."""
        if self.limited:
            _permits.acquire()
        self._add(Usage(calls=1))

    def on_lm_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        """Gives the call's permit back."""
        if self.limited:
            _permits.release()

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """Counts the tokens that a server reported, here and in the tracker around this one."""
        tokens_in = usage_entry.get("prompt_tokens") or usage_entry.get("input_tokens") or 0
        tokens_out = usage_entry.get("completion_tokens") or usage_entry.get("output_tokens") or 0
        self._add(Usage(tokens_in=tokens_in, tokens_out=tokens_out))
        if self._outer is not None:
            self._outer.add_usage(lm, usage_entry)

    def add_replayed(self, usage: Usage) -> None:
        """Counts what a bank replayed, here and in the meters around this one."""
        with self._lock:
            self.replayed = self.replayed + usage
        if isinstance(self._outer, Meter):
            self._outer.add_replayed(usage)

    def __deepcopy__(self, memo: dict[int, Any]) -> Meter:
        return self  # dspy.Parallel copies the tracker; a copy would lose what its threads use

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self.spent = self.spent + usage
