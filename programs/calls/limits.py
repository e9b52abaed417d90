"""limited: a hard limit on what everything inside a ``with`` block may use up, however deep its programs are nested.

A call over the limit is not made. Inside a program that costs the attempt it belongs to, so what there is by then goes
on where the quorum is met; anywhere else it is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dspy

from ..errors import ConfigurationError, LimitReached
from .leaving import Stopped
from .metering import Meter


class Limit(Meter):
    """Counts as a meter does, and lets no call begin once a limit is reached. Made by :func:`limited`."""

    def __init__(
        self, limits: Mapping[str, float], prices: Mapping[str, tuple[float, float]], around: Limit | None
    ) -> None:
        super().__init__(limited=False)
        self.limits, self.prices, self.around = limits, prices, around
        self._one_by_one = threading.Lock()

    @property
    def usd(self) -> float:
        """US dollars of the calls made, by the price table."""
        costs = [(usage, self.prices.get(name, (0.0, 0.0))) for name, usage in self.spent.items()]
        return sum(usage.tokens_in * price[0] + usage.tokens_out * price[1] for usage, price in costs) / 1e6

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Counts a call, here and in the limit around this one, or stops it before either has counted it."""
        with self._one_by_one:
            self._check(getattr(instance, "model", ""))
            if self.around is not None:
                self.around.on_lm_start(call_id, instance, inputs)
            super().on_lm_start(call_id, instance, inputs)

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Hears of a call's end for the limit around this one, too."""
        super().on_lm_end(call_id, outputs, exception)
        if self.around is not None:
            self.around.on_lm_end(call_id, outputs, exception)

    def _check(self, model: str) -> None:
        if "usd" in self.limits and model not in self.prices:
            raise Stopped(
                ConfigurationError(f"there is no price for the model {model!r}; add it to prices={dict(self.prices)}")
            )
        used = list(self.spent.values())
        taken = {
            "calls": sum(usage.calls for usage in used),
            "tokens": sum(usage.tokens_in + usage.tokens_out for usage in used),
            "usd": self.usd,
        }
        for name, limit in self.limits.items():
            if taken[name] >= limit:
                raise Stopped(LimitReached(f"the limit of {limit:g} {name} is used up ({taken[name]:g})"))


@contextmanager
def limited(
    *,
    calls: int | None = None,
    tokens: int | None = None,
    usd: float | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
) -> Iterator[Limit]:
    """Limits what the block may use up; None sets no limit. What a bank replays is free.

    Calls are counted when they begin and never go over. Tokens and dollars are known when a call ends, so those that
    are open when a limit is reached go over it by what they take.

    Args:
        calls: LM calls.
        tokens: prompt and completion tokens.
        usd: US dollars, by ``prices``.
        prices: per model, dollars for a million prompt tokens and for a million completion tokens.

    Yields:
        The count so far: ``usage``, ``by_model``, ``usd``.

    Raises:
        LimitReached: a further call was to be made, and no program could do without it.
        ConfigurationError: a limit is not positive, or a model has no price.
    """
    limits = {name: value for name, value in (("calls", calls), ("tokens", tokens), ("usd", usd)) if value is not None}
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigurationError(f"{name} must be positive, but got {name}={value!r}; leave it out for no limit")
    if usd is not None and not prices:
        raise ConfigurationError(
            "a limit in usd needs prices={model: (dollars for a million prompt tokens, and for completion tokens)}"
        )
    callbacks = list(dspy.settings.callbacks or [])
    limit = Limit(limits, prices or {}, next((known for known in callbacks if isinstance(known, Limit)), None))
    others = [callback for callback in callbacks if not isinstance(callback, Limit)]
    try:
        with dspy.context(usage_tracker=limit, callbacks=[limit, *others]):
            yield limit
    except Stopped as stopped:
        raise stopped.error from None
