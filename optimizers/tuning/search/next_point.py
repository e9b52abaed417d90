"""The next point of a study: which step it is time for, and what that proposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from .past_trials import Point, Row, first_value, grid
from .trial_model import TrialModel

AGAIN, ELSEWHERE, JOINT = "again", "elsewhere", "joint"
RACED = {AGAIN: 0.0, JOINT: 0.1}
"""With which share of a race's error trials of a step are dropped: those that are expected to be good hardly ever."""
_TOP, _PAIRS, _ANYWHERE, _FAR, _JOINTLY = 3, 15, 300, 20, 8
_DOUBT = 1.0  # standard deviations by which a dropped trial is thought better than expected


@dataclass(frozen=True)
class Shares:
    """How a search's trials are shared out; see :class:`CoordinateSampler`."""

    texts: float
    elsewhere: float
    levels: int
    again: float


class NextPoint:
    """The next point of a history.

    Args:
        space: the distributions, by name.
        rows: the trials so far.
        start: the point to begin with, or part of it.
        unordered: names of whole numbers without an order.
        trials: how many there are to be.
        shares: of the steps.
        seed: of what is drawn.
    """

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        rows: list[Row],
        start: Mapping[str, Any],
        unordered: frozenset[str],
        trials: int,
        shares: Shares,
        seed: int,
    ) -> None:
        self.space, self.rows, self.trials, self.shares, self.seed = space, rows, trials, shares, seed
        self.start = {name: first_value(name, part, start) for name, part in space.items()}
        self.grids = {name: grid(part) for name, part in space.items()}
        self.tried = {self._key(row.point) for row in rows}
        self.texts = [n for n, d in space.items() if isinstance(d, CategoricalDistribution) or n in unordered]
        self.numbers = [name for name in space if name not in self.texts]
        self.steps = Counter(row.step for row in rows)
        self.rng = np.random.default_rng([seed, len(rows)])

    def next(self) -> tuple[str, Point]:
        """The step and the point that it proposes."""
        if self._key(self.start) not in self.tried:
            return "start", self.start
        if len(self.rows) >= self.trials - self._at_most(self.shares.again, 0.3) and (row := self._dropped()):
            return AGAIN, dict(row.point)
        for step, point in self._steps():
            if self._key(point) not in self.tried:
                return step, point
        return JOINT, self._joint()

    def _key(self, point: Mapping[str, Any]) -> tuple[Any, ...]:
        """Equal for equal points, whatever a float's last digits are."""
        values = (point[name] for name in self.space)
        return tuple(round(value, 6) if isinstance(value, float) else value for value in values)

    def _at_most(self, share: float, of_rest: float, kept: int = 0) -> int:
        """How many trials a share is.

        Of all of them, but of what the start, each text and ``kept`` more leave no more than a part.
        """
        texts = min(sum(len(self.grids[name]) - 1 for name in self.texts), self.shares.texts * self.trials)
        return round(min(share * self.trials, of_rest * max(0, self.trials - 1 - texts - kept)))

    @cached_property
    def model(self) -> TrialModel:
        """What is expected of points, by the trials so far."""
        return TrialModel(self.space, self.rows, self.texts, self.seed)

    @cached_property
    def best(self) -> Point:
        """The incumbent."""
        whole = [row for row in self.rows if row.is_whole]
        if len(whole) < 2:
            return whole[0].point if whole else self.start
        expected = self.model.expected([row.point for row in whole])
        return max(zip(expected, whole, strict=True), key=lambda pair: (round(pair[0], 9), pair[1].tie))[1].point

    def _dropped(self) -> Row | None:
        """Of the dropped trials that were not taken up again the one that may be best."""
        whole = {self._key(row.point) for row in self.rows if not row.is_dropped}
        left = [row for row in self.rows if row.is_dropped and self._key(row.point) not in whole]
        if not left:
            return None
        hopes = self.model.hopes([row.point for row in left], _DOUBT)
        return max(zip(hopes, left, strict=True), key=lambda pair: pair[0])[1]

    def _steps(self) -> Iterator[tuple[str, Point]]:
        yield from self._each_text()
        yield from self._elsewhere()
        yield from self._sweeps()

    def _each_text(self) -> Iterator[tuple[str, Point]]:
        spent = sum(count for step, count in self.steps.items() if step.startswith("each "))
        if spent >= self.shares.texts * self.trials:
            return
        for name in self.texts:
            seen = {row.point[name] for row in self.rows}
            fresh = [value for value in self.grids[name] if value not in seen]
            yield from ((f"each {name}", {**self.best, name: value}) for value in fresh)

    def _elsewhere(self) -> Iterator[tuple[str, Point]]:
        """Texts at numbers far from all that were tried: those that were least often there, the better ones first."""
        if (
            not self.numbers
            or not self.texts
            or self.steps[ELSEWHERE] >= self._at_most(self.shares.elsewhere, 0.5, kept=_JOINTLY)
        ):
            return
        name = max(self.texts, key=lambda text: len(self.grids[text]))
        often = Counter(row.point[name] for row in self.rows if row.step == ELSEWHERE)
        worth: dict[Any, float] = {}
        scored = [row for row in self.rows if row.value is not None]
        for row, expected in zip(scored, self.model.expected([row.point for row in scored]), strict=True):
            worth[row.point[name]] = max(float(expected), worth.get(row.point[name], -np.inf))
        for text in sorted(worth, key=lambda text: (often[text], -worth[text])):
            points = [{**self.best, **self._anywhere(self.numbers), name: text} for _ in range(_FAR)]
            yield ELSEWHERE, max(points, key=self._room)

    def _room(self, point: Point) -> float:
        """How far a point's numbers are from the nearest that were tried."""
        apart = (self.model.places([row.point for row in self.rows]) - self.model.places([point])) ** 2
        return float((apart * [name in self.numbers for name in self.space]).sum(axis=1).min())

    def _sweeps(self) -> Iterator[tuple[str, Point]]:
        for name in self.numbers if self.shares.levels else ():
            step = f"sweep {name}"
            seen = {self.best[name], *(row.point[name] for row in self.rows if row.step == step)}
            left = [value for value in self.grids[name] if value not in seen]
            if left and self.steps[step] < self.shares.levels:
                yield step, {**self.best, name: max(left, key=lambda v: (min(abs(v - s) for s in seen), -v))}

    def _joint(self) -> Point:
        fresh = {self._key(point): point for point in self._options()}
        options = [point for key, point in fresh.items() if key not in self.tried]
        if not options:
            return self.best
        if sum(row.value is not None for row in self.rows) < 2:
            return options[int(self.rng.integers(len(options)))]
        return options[int(np.argmax(self.model.gains(options)))]

    def _options(self) -> Iterable[Point]:
        """Moves of one or two things from the best points, and points anywhere."""
        names = list(self.space)
        scored = [row for row in self.rows if row.value is not None]
        expected = self.model.expected([row.point for row in scored]) if len(scored) > 1 else np.zeros(len(scored))
        order = np.argsort(-expected, kind="stable")[:_TOP]
        for top in [scored[int(place)].point for place in order] or [self.best]:
            yield from ({**top, name: value} for name in names for value in self.grids[name])
            for place, name in enumerate(names):
                for other in names[:place]:
                    yield from ({**top, **self._anywhere([name, other])} for _ in range(_PAIRS))
        yield from (self._anywhere(names) for _ in range(_ANYWHERE))

    def _anywhere(self, names: Iterable[str]) -> Point:
        return {name: self.grids[name][int(self.rng.integers(len(self.grids[name])))] for name in names}
