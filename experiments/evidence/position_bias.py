"""Position bias: whether fused answers follow the candidate that was shown first, or last.

Candidates are shown in an order drawn anew for each input, so every place is every model's turn: over the examples it
is a rotation, and a place that gives more than its share gives it for its place. Where the order was fixed, place and
model cannot be told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..presentation.text_table import TextTable, points
from ..records.record import Record
from ..statistics.intervals import Interval, paired_difference
from .followed_candidates import Followed, Following


@dataclass(frozen=True)
class PositionBias:
    """Where in the list the candidates stood that one strategy's fused answers follow."""

    strategy: str
    answers: int
    """In which something is contested: said by some candidates but not by all."""
    drawn: bool
    """Whether the order was drawn; False where every answer saw the same order."""
    shares: tuple[float, ...]
    """The mean share of what is contested that comes from each place, first to last; they add up to 1."""
    first: Interval
    """The first place's share minus what chance gives it."""
    last: Interval
    """The last place's share minus what chance gives it."""

    @property
    def favours(self) -> str:
        """The place that gives more than chance allows for, in words; empty where there is none."""
        ahead = [name for name, estimate in (("first", self.first), ("last", self.last)) if estimate.low > 0]
        return " and ".join(ahead) if self.drawn else ""


def position_bias(
    strategy: str, pairs: Iterable[Followed], *, strata: Mapping[str, str] | None = None
) -> PositionBias | None:
    """The places that one strategy's answers follow; None where no shown order was recorded or nothing is contested.

    Only answers with the most common number of shown candidates count.
    """
    several = [(record, candidate) for record, candidate in pairs if len(record.shown) > 1]
    if not several:
        return None
    places = Counter(len(record.shown) for record, _ in several).most_common(1)[0][0]
    shares = {
        (r.example, r.seed): share
        for r, candidate in several
        if len(r.shown) == places and (share := _by_place(r, candidate))
    }
    if not shares:
        return None
    chance = dict.fromkeys(shares, 1 / places)
    first, last = ({key: share[place] for key, share in shares.items()} for place in (0, -1))
    return PositionBias(
        strategy=strategy,
        answers=len(shares),
        drawn=len({record.shown for record, _ in several}) > 1,
        shares=tuple(fmean(share[place] for share in shares.values()) for place in range(places)),
        first=paired_difference(first, chance, strata=strata),
        last=paired_difference(last, chance, strata=strata),
    )


def position_table(found: Sequence[PositionBias]) -> TextTable:
    """One row a fusing strategy, one column a place."""
    most = max((len(item.shares) for item in found), default=0)
    places = (f"place {place + 1}" for place in range(most))
    heads = ("strategy", "answers", *places, "first - chance [95 %]", "last - chance [95 %]", "order")
    rows = tuple(
        (
            item.strategy,
            str(item.answers),
            *(f"{100 * share:.1f}" for share in item.shares),
            *[""] * (most - len(item.shares)),
            points(item.first),
            points(item.last),
            "drawn" if item.drawn else "fixed",
        )
        for item in found
    )
    note = (
        "Share of what is contested (said by some candidates, not by all) that comes from the candidate shown at each"
        " place. Where the order is fixed, place and model cannot be told apart."
    )
    return TextTable("Which place in the list the fused answers follow, %", heads, rows, note=note)


def _by_place(record: Record, found: Following) -> tuple[float, ...] | None:
    total = sum(found.given[index] for index in record.shown)
    return tuple(found.given[index] / total for index in record.shown) if total else None
