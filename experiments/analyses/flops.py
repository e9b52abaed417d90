"""FLOPs of every strategy of a finished comparison, twice.

By appendix C's formulas, and from the tokens that were really read and written.

The formulas leave the question out and take every answer for as long as the others; the tokens do not. Only what was
recorded is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..evidence.summary import MeanUsage, Row, Summary
from ..plans.strategies import SCORERS, Strategy
from .flops_formulas import Work, choosing_work, generations, propose_aggregate_work, single_work
from .model_sizes import ModelSize, model_sizes

Basis = Literal["cached", "uncached", "tokens"]
BASES: tuple[Basis, ...] = ("cached", "uncached", "tokens")
_READ_PER_CALL = {"judge": 1, "panel": 1, "pairwise": 2}  # scorers not named here see all candidates at once


@dataclass(frozen=True)
class Compute:
    """What one answer of a strategy costs."""

    row: Row
    cached: float
    """By the formula with a prefix cache, in answers of the reference model."""
    uncached: float
    """By the formula without one."""
    flops: float
    """FLOPs by the tokens, each call reading its whole prompt."""
    flops_cached: float
    """FLOPs by the tokens where calls one after another share what their prompts have in common:
    a question asked several times, and a
    layer that is shown in one order. A shuffled layer shares nothing."""

    def on(self, basis: Basis) -> float:
        """The cost by one of the ways of counting; ``tokens`` are those without a cache."""
        return {"cached": self.cached, "uncached": self.uncached, "tokens": self.flops}[basis]


def compute_of(summary: Summary, told: Mapping[str, ModelSize]) -> tuple[Compute, ...]:
    """The compute of every strategy and of every point of their N curves.

    Args:
        summary: of a comparison.
        told: sizes of models that are not embedded, by the names in its configuration.

    Raises:
        ConfigurationError: the size of a model is not known.
    """
    sizes = model_sizes(dict.fromkeys(name for row in summary.points for name in _asked(row.strategy)), told)
    unit = sizes[summary.points[0].strategy.models[0]].parameters
    return tuple(_compute(row, sizes, unit) for row in summary.points)


def work_of(strategy: Strategy, scorer_calls: float = 0.0) -> dict[str, Work]:
    """What a strategy does for an answer, by role; a scorer's part by how many calls it made."""
    if strategy.program == "single":
        return single_work()
    if strategy.role == "fuse":
        depth = strategy.options.get("depth", 2) if strategy.program == "propose_aggregate" else 1
        return propose_aggregate_work(strategy.n, depth, subset=strategy.options.get("subset"))
    read = scorer_calls * _READ_PER_CALL.get(strategy.scorer, strategy.n) if strategy.scorer in SCORERS else 0.0
    return choosing_work(strategy.n, answers_read=read)


def _compute(row: Row, sizes: Mapping[str, ModelSize], unit: float) -> Compute:
    strategy = row.strategy
    roles = {
        "candidates": [sizes[strategy.models[i % len(strategy.models)]] for i in range(strategy.n)],
        "scorer": [sizes[name] for name in strategy.judges],
        **dict.fromkeys(("aggregations", "fusor"), [sizes[strategy.fusor]] if strategy.role == "fuse" else []),
    }
    relative = {role: _mean(size.parameters for size in asked) / unit for role, asked in roles.items() if asked}
    scorer = row.usage.get("scorer", MeanUsage(0, 0, 0))
    work = work_of(strategy, scorer.calls)
    spent = [(role, row.usage[role]) for role in row.usage if roles.get(role)]
    return Compute(
        row,
        generations(work, cached=True, sizes=relative),
        generations(work, cached=False, sizes=relative),
        sum(_flops(roles[role], usage, usage.tokens_in) for role, usage in spent),
        sum(_flops(roles[role], usage, usage.tokens_in * _read_share(strategy, role)) for role, usage in spent),
    )


def _flops(asked: list[ModelSize], usage: MeanUsage, tokens_in: float) -> float:
    """FLOPs of a role; models that take turns count with their mean."""
    context = (usage.tokens_in + usage.tokens_out) / max(1.0, usage.calls)
    return (tokens_in + usage.tokens_out) * _mean(size.flops_per_token(context) for size in asked)


def _read_share(strategy: Strategy, role: str) -> float:
    """The share of a role's prompt tokens that a prefix cache leaves to be read."""
    if role == "candidates":
        return len(set(strategy.models[: strategy.n])) / strategy.n
    in_one_order = not strategy.options.get("shuffle", True) and not strategy.options.get("subset")
    return 1 / strategy.n if role == "aggregations" and in_one_order else 1.0


def _asked(strategy: Strategy) -> tuple[str, ...]:
    return (*strategy.models, *strategy.judges, *((strategy.fusor,) if strategy.role == "fuse" else ()))


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
