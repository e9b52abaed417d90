"""Equal FLOPs (AFT, arXiv 2501.11877, table 5).

How many candidates a choosing strategy could have for what a fusing one costs.

The number is read off the choosing strategy's own cost per candidate; a score is given only where the comparison really
ran that number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..presentation.text_table import TextTable, percent, points
from ..statistics.intervals import Interval, Strata, paired_difference
from .flops import Basis, Compute

_ROUNDING = 1e-9


@dataclass(frozen=True)
class EqualFlops:
    """A fusing strategy, and a choosing one with as many candidates as cost no more."""

    fused: Compute
    other: str
    """Name of the choosing strategy."""
    n: int
    """Candidates that it could have."""
    cost: float
    """What they cost, in the basis' unit."""
    ran: Compute | None
    """The point of its N curve with that many, where there is one."""
    difference: Interval | None
    """Mean score of the fusing strategy minus that point's, paired over examples."""


def equal_flops(computes: Sequence[Compute], *, basis: Basis, strata: Strata | None = None) -> tuple[EqualFlops, ...]:
    """Every fusing strategy against every vote and best of N, in the order of the configuration.

    Args:
        computes: of all strategies and points of N curves.
        basis: how FLOPs are counted.
        strata: within which examples are resampled.
    """
    named = [one for one in computes if not one.row.strategy.curve_of]
    fusing = [one for one in named if one.row.strategy.role == "fuse"]
    choosing = [one for one in named if one.row.strategy.program in ("best_of_n", "vote", "vote_parts")]
    return tuple(_match(one, other, computes, basis, strata) for one in fusing for other in choosing)


def equal_flops_table(found: Sequence[EqualFlops], basis: Basis) -> TextTable:
    """The matches, one a row."""
    heads = ("fusing", "F", "choosing", "n for as much", "F", "score %", "of the choosing %", "difference [95 %]")
    rows = tuple(
        (
            match.fused.row.strategy.name,
            f"{match.fused.on(basis):,.4g}",
            match.other,
            str(match.n),
            f"{match.cost:,.4g}",
            percent(match.fused.row.score),
            percent(match.ran.row.score) if match.ran else "not run",
            points(match.difference) if match.difference else "",
        )
        for match in found
    )
    unit = {
        "cached": "appendix C, with a prefix cache",
        "uncached": "appendix C, without one",
        "tokens": "from tokens, without a cache",
    }
    return TextTable(f"At equal FLOPs ({unit[basis]})", heads, rows, note=_NOTE)


_NOTE = (
    "n is the most candidates that cost no more than the fusing strategy does. Where the comparison did not run that n,"
    " no score is made up: give the choosing strategy every_n = true and at least that n."
)


def _match(
    fused: Compute, other: Compute, computes: Sequence[Compute], basis: Basis, strata: Strata | None
) -> EqualFlops:
    name = other.row.strategy.name
    each = other.on(basis) / other.row.strategy.n
    n = int(fused.on(basis) / each + _ROUNDING) if each else 0
    ran = next(
        (
            one
            for one in computes
            if name in (one.row.strategy.name, one.row.strategy.curve_of) and one.row.strategy.n == n
        ),
        None,
    )
    shared = ran is not None and bool(ran.row.scores.keys() & fused.row.scores.keys())
    difference = (
        paired_difference(fused.row.scores, ran.row.scores, strata=strata) if ran is not None and shared else None
    )
    return EqualFlops(fused, name, n, n * each, ran, difference)
