"""The standing of a tournament: who met whom, the weighted shares of wins, and who is to meet next.

Pure, apart from its own entries.
"""

from __future__ import annotations

import random
from collections.abc import Iterable


class Standing:
    """Matches between ``count`` players, who go by their places 0 .. count - 1."""

    def __init__(self, count: int) -> None:
        self._matches: list[list[tuple[float, float]]] = [[] for _ in range(count)]  # (win, weight) of each match
        self._opponents: list[set[int]] = [set() for _ in range(count)]
        self._last_error = "it met no other candidate"

    def __len__(self) -> int:
        return len(self._matches)

    def enter(self, a: int, b: int, win: float, weight: float) -> None:
        """Enters a match; ``win`` is 1 where a won, 0 where b did, and 0.5 for a tie."""
        self._meet(a, b)
        self._matches[a].append((win, weight))
        self._matches[b].append((1 - win, weight))

    def enter_failure(self, a: int, b: int, error: str) -> None:
        """Enters a match that could not be judged: the two have met, and it counts for neither."""
        self._meet(a, b)
        self._last_error = error

    def score(self, place: int) -> float | None:
        """The weighted share of wins, or None where no match could be judged."""
        matches = self._matches[place]
        return sum(win * weight for win, weight in matches) / sum(weight for _, weight in matches) if matches else None

    def error(self, place: int) -> str | None:
        """Why a player has no score, or None where there is one."""
        return None if self._matches[place] else self._last_error

    def covering_pairs(self, least: int, rng: random.Random) -> list[tuple[int, int]]:
        """Disjoint pairs that have not met, for players with fewer than ``least`` opponents.

        Those with the fewest come first.
        """
        order = list(range(len(self)))
        rng.shuffle(order)
        order.sort(key=lambda place: len(self._opponents[place]))  # a stable sort, so equals stay in their random order
        pairs: list[tuple[int, int]] = []
        free = list(order)
        for first in order:
            if first in free and len(self._opponents[first]) < least:
                second = next((other for other in free if other != first and other not in self._opponents[first]), None)
                if second is not None:
                    pairs.append((first, second))
                    free = [place for place in free if place not in (first, second)]
        return pairs

    def swiss_pairs(self, window: int, taken: Iterable[int] = ()) -> list[tuple[int, int]]:
        """Disjoint pairs that have not met, at most ``window`` apart in the standing, the nearest shares of wins first.

        Players in ``taken`` are left out of the pairs, not of the standing.
        """
        shares = [self.score(place) or 0.0 for place in range(len(self))]
        ranked = sorted(range(len(self)), key=lambda place: (-shares[place], place))
        near = [
            (ranked[i], ranked[j])
            for i in range(len(ranked))
            for j in range(i + 1, min(i + window, len(ranked) - 1) + 1)
        ]
        near = [(a, b) for a, b in near if b not in self._opponents[a]]
        near.sort(key=lambda pair: abs(shares[pair[0]] - shares[pair[1]]))
        pairs: list[tuple[int, int]] = []
        busy = set(taken)
        for a, b in near:
            if not {a, b} & busy:
                pairs.append((a, b))
                busy |= {a, b}
        return pairs

    def _meet(self, a: int, b: int) -> None:
        self._opponents[a].add(b)
        self._opponents[b].add(a)
