"""Budgets and prices: what a study may use up, and what an answer costs."""

from __future__ import annotations

import math
import numbers
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dspy_fusion.programs import ConfigurationError, FusionError, Usage


@dataclass(frozen=True)
class Spend:
    """What an answer took.

    Calls and tokens per model, wall time in seconds, and GPU-seconds where the models' servers have GPUs to count.

    What was replayed has cost no GPU anything.
    """

    by_model: Mapping[str, Usage]
    seconds: float
    gpu_seconds: float = 0.0

    @property
    def total(self) -> Usage:
        """All models together."""
        return Usage.total(self.by_model.values())


Price = Callable[[Spend], float]
"""From what an answer took to one number, lower is better."""


def priced(price: Price, spend: Spend) -> float:
    """What an answer costs by a price; raises ``ConfigurationError`` where that fails or is no finite number."""
    try:
        cost = price(spend)
    except FusionError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"the price raised {type(error).__name__}: {error}; mend it and run the same command again"
        ) from error
    if not isinstance(cost, numbers.Real) or not math.isfinite(cost):
        raise ConfigurationError(f"the price returned {cost!r}; return a finite number, lower for cheaper answers")
    return float(cost)


def tokens(spend: Spend) -> float:
    """The price in tokens, prompt and completion alike."""
    return float(spend.total.tokens_in + spend.total.tokens_out)


def calls(spend: Spend) -> float:
    """The price in LM calls."""
    return float(spend.total.calls)


def dollars(per_million: Mapping[str, tuple[float, float]]) -> Price:
    """The price in dollars.

    Args:
        per_million: per model name, dollars for a million prompt tokens and for a million completion tokens.

    Returns:
        A price that raises ``ConfigurationError`` for a model without one.
    """

    def price(spend: Spend) -> float:
        return sum(_dollars(name, usage, per_million) for name, usage in spend.by_model.items())

    return price


def gpu_seconds(gpus: float | None = None) -> Price:
    """The price in GPU-seconds.

    Args:
        gpus: how many GPUs serve the models, to be multiplied by wall time; None takes what was measured of models
            whose catalogue entry says ``gpus``.
    """
    return lambda spend: spend.gpu_seconds if gpus is None else spend.seconds * gpus


def _dollars(name: str, usage: Usage, per_million: Mapping[str, tuple[float, float]]) -> float:
    if name not in per_million:
        raise ConfigurationError(f"there is no price for the model {name!r}; add it to {sorted(per_million)}")
    into, out = per_million[name]
    return (usage.tokens_in * into + usage.tokens_out * out) / 1e6


class BudgetSpent(FusionError):
    """A budget is used up; what was completed is kept."""


@dataclass(frozen=True)
class Budget:
    """Hard limits of a study; None sets none.

    Replayed calls are free; calls of earlier runs and other workers of the same study count.

    Limits are checked before every example. Examples that are being worked on by then are finished, so a study may go
    over a limit by what ``num_threads`` of them take.

    Attributes:
        calls: LM calls.
        tokens: prompt and completion tokens.
        cost: by the tuner's price.
        seconds: wall time of this run.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ConfigurationError(
                    f"budget {name} must be positive, but got {name}={value!r}; leave it out for no limit"
                )


class Ledger:
    """What was used up so far, against a budget. Threads may share it."""

    def __init__(self, budget: Budget, used: Usage, cost: float) -> None:
        self.budget, self.used, self.cost = budget, used, cost
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._aside, self._cost_aside = Usage(), 0.0

    def set_aside(self, used: Usage, cost: float) -> None:
        """Keeps a part of the budget back for the final scoring; ``set_aside(Usage(), 0)`` releases it."""
        self._aside, self._cost_aside = used, cost

    def enter(self, used: Usage, cost: float) -> None:
        """Adds what was used up."""
        with self._lock:
            self.used, self.cost = self.used + used, self.cost + cost

    def match(self, used: Usage, cost: float) -> None:
        """Takes over what the whole study has used up, other workers included."""
        with self._lock:
            self.used, self.cost = used, cost

    def check(self) -> None:
        """Raises ``BudgetSpent`` when a limit is reached."""
        used = self.used + self._aside
        limits = {
            "calls": (used.calls, self.budget.calls),
            "tokens": (used.tokens_in + used.tokens_out, self.budget.tokens),
            "cost": (self.cost + self._cost_aside, self.budget.cost),
            "seconds": (time.monotonic() - self._began, self.budget.seconds),
        }
        for name, (taken, limit) in limits.items():
            if limit is not None and taken >= limit:
                raise BudgetSpent(
                    f"the budget of {limit:g} {name} is used up ({taken:g}, with what is kept back for the final"
                    " scoring)"
                )

    @property
    def left(self) -> str:
        """What is left, in words."""
        parts = []
        if self.budget.calls is not None:
            parts.append(f"{max(0, self.budget.calls - self.used.calls)} calls")
        if self.budget.tokens is not None:
            parts.append(f"{max(0, self.budget.tokens - self.used.tokens_in - self.used.tokens_out)} tokens")
        if self.budget.cost is not None:
            parts.append(f"cost {max(0.0, self.budget.cost - self.cost):.4g}")
        if self.budget.seconds is not None:
            parts.append(f"{max(0.0, self.budget.seconds - (time.monotonic() - self._began)):.0f} s")
        return ", ".join(parts) or "no limit"
