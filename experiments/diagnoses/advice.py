"""What to do next, from what a pool showed.

One answer of one model, a way of choosing, or a comparison of fusing and judging.

The rules are few and their thresholds stand here. They say what the evidence allows, and where it allows nothing they
say that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..pools.evaluation import Way
from ..pools.recorded_pool import RecordedPool
from ..statistics.intervals import Interval
from .live_pool import PartFacts
from .prospects import SHOWN, Prospects

WORTH = 0.02
"""What a pool must be able to gain at least to be worth its calls."""
SATURATED = 0.9
"""The share of the gain of all candidates that the recommended number of them reaches."""
MOST = 7
"""Candidates beyond which fusion was found to gain little (arXiv 2510.00931)."""
_INCIDENTAL = ("longest", "shortest")  # measured, but no way that anyone should rely on


@dataclass(frozen=True)
class Advice:
    """A recommendation."""

    strategy: str
    """In a few words."""
    n: int
    """How many candidates; 1 where no pool is recommended."""
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]
    """What cannot be known from what was looked at."""


def advise(
    pool: RecordedPool,
    ways: Sequence[Way],
    curves: dict[str, list[Interval]],
    prospects: Prospects,
    parts: PartFacts | None,
) -> Advice:
    """Weighs what a pool showed.

    Args:
        pool: graded.
        ways: of :func:`evaluate` on it.
        curves: their means with 1 .. C candidates.
        prospects: of :func:`prospects_of` on it.
        parts: of a task whose answers have parts, or None.
    """
    oracle = curves["oracle"]
    ceiling, alone = prospects.gains["oracle"], f"one answer of {prospects.best_source}"
    unknown = _unknown(pool, prospects)
    best_parts = parts is not None and parts.best > oracle[-1].mean + WORTH
    if best_parts and parts is not None:
        reason = (
            "answers have parts: with every part from a candidate that has it right they would score"
            f" {_percent(parts.best)}, the best whole candidates {_percent(oracle[-1].mean)}, and a vote on every part"
            f" {_percent(parts.vote)}"
        )
        return Advice("fusion, compared with a vote per part", min(MOST, saturation(oracle)), (reason,), unknown)
    if pool.shape[1] == 1 or ceiling.high < WORTH:
        reason = f"even a perfect choice among {pool.shape[1]} candidates would gain only {_gain(ceiling)}"
        return Advice(alone, 1, (reason,), unknown)
    chosen = max(
        (way for way in ways if way.kind == "select" and way.name not in _INCIDENTAL),
        key=lambda way: curves[way.name][-1].mean,
    )
    gain = prospects.gains[chosen.name]
    left = oracle[-1].mean - curves[chosen.name][-1].mean
    room = f"a perfect choice would gain {_gain(ceiling)}"
    if gain.low > 0:
        reasons = [f"{chosen.name} beats {alone} by {_gain(gain)}"]
        if left >= WORTH:
            reasons.append(f"{100 * left:.1f} points are left to a perfect choice, for a judge or a fusor to try for")
        return Advice(chosen.name, saturation(curves[chosen.name]), tuple(reasons), unknown)
    if ceiling.mean >= WORTH:
        reasons = (f"no choice without a model beats {alone} beyond doubt ({chosen.name}: {_gain(gain)})", room)
        return Advice(
            f"a comparison of fusion and of best of N by a judge with {alone}",
            min(MOST, saturation(oracle)),
            reasons,
            unknown,
        )
    return Advice(
        alone, 1, (f"nothing seen here beats it ({chosen.name}: {_gain(gain)}), and {room} at most",), unknown
    )


def saturation(curve: Sequence[Interval]) -> int:
    """The smallest number of candidates that reaches ``SATURATED`` of what the best number gains over one."""
    first, most = curve[0].mean, max(estimate.mean for estimate in curve)
    return next(n for n, estimate in enumerate(curve, 1) if estimate.mean >= first + SATURATED * (most - first) - 1e-12)


def _unknown(pool: RecordedPool, prospects: Prospects) -> tuple[str, ...]:
    best = prospects.best
    found = [
        f"differences much below {100 * (best.high - best.low) / 2:.0f} points cannot be seen with {best.n} questions"
    ]
    if prospects.fusion is None:
        found.append(
            "what fusion scores: it writes new answers, which may be better or worse than every candidate; only fusing"
            " tells"
        )
    else:
        low, high = (_percent(end) for end in prospects.fusion)
        found.append(
            "what fusion scores: it writes new answers. Had it the success of published fusors where none and where"
            f" all candidates are right (arXiv 2604.07725), it would end between {low} and {high} with"
            f" {min(SHOWN, pool.shape[1])} candidates"
        )
    if prospects.against_fresh is not None:
        found.append(
            "whether seeing candidates helps the fusor at all: by published differences (arXiv 2608.18379) it would be"
            f" worth {100 * prospects.against_fresh:+.0f} points against solving afresh"
        )
    if pool.shape[1] > 1:
        found.append("how close a judge or a reward model comes to the perfect choice")
    return tuple(found)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _gain(estimate: Interval) -> str:
    return f"{100 * estimate.mean:+.1f} points [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
