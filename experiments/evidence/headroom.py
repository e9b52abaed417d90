"""Headroom: of what lies between the best single answer and the best candidate of each pool, how much a strategy
recovers; more than all of it where it writes what no candidate has.
"""

from __future__ import annotations

from dataclasses import dataclass

from .summary import Row, Summary

_LEAST = 0.005  # a headroom below half a point has no share worth a number


@dataclass(frozen=True)
class Headroom:
    """The headroom of one strategy's pool, and the strategy's share of it."""

    row: Row
    single: float
    """Mean score of the best single strategy, or of the pool's candidates where nothing is single."""
    oracle: float
    """Mean score of the best candidate."""

    @property
    def share(self) -> float:
        """``(score - single) / (oracle - single)``: 0 is no better than a single answer, 1 as good as the oracle."""
        return (self.row.score.mean - self.single) / (self.oracle - self.single)

    def __str__(self) -> str:
        if self.share < 0:
            return (
                f"{self.row.strategy.name} is {100 * (self.single - self.row.score.mean):.1f} points below the best"
                f" single answer ({100 * self.single:.1f} %): nothing of the headroom up to the best candidate"
                f" ({100 * self.oracle:.1f} %) is recovered."
            )
        return (
            f"{self.row.strategy.name} recovers {100 * self.share:.0f} % of the headroom between the best single answer"
            f" ({100 * self.single:.1f} %) and the best candidate ({100 * self.oracle:.1f} %)."
        )


def headrooms(summary: Summary) -> tuple[Headroom, ...]:
    """One for each strategy that selects or fuses from a pool with headroom, in the order of the configuration."""
    singles = [row.score.mean for row in summary.rows if row.strategy.role == "single"]
    rooms = []
    for row in summary.rows:
        pool = next((pool for pool in summary.pools if pool.key == row.strategy.pool_key), None)
        if pool is None or row.strategy.role not in ("select", "fuse"):
            continue
        single = max(singles, default=pool.single.mean)
        if pool.oracle.mean - single >= _LEAST:
            rooms.append(Headroom(row, single, pool.oracle.mean))
    return tuple(rooms)
