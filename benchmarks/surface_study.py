"""A study on a surface with a known optimum: trials are raced and counted as the tuner does, without models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dspy_fusion.optimizers.tuning.racing import Race, looks
from dspy_fusion.optimizers.tuning.scores.study_store import Outcome

from .surfaces import Surface

EXAMPLES = 100


@dataclass
class Study:
    """One study on a surface: trials raced as the tuner races them, candidates shared as the bank shares them."""

    surface: Surface
    seed: int
    error: float = 0.2
    by_cost: bool = False
    whole: list[tuple[dict[str, Any], list[Outcome]]] = field(default_factory=list)
    tried: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    told: dict[int, np.ndarray] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    _pools: dict[float, np.ndarray] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _known: dict[str, list[Outcome]] = field(default_factory=dict)

    def race(
        self, setting: dict[str, Any], *, leader: int | None = None, share: float = 1.0
    ) -> tuple[list[Outcome], float | None]:
        """The outcomes of a setting, and by how much it falls short where it is raced out.

        Args:
            setting: the point.
            leader: the place of the incumbent among the whole ones; by default the one with the highest mean.
            share: of the race's error, with which it is dropped.
        """
        scores, calls = self.surface.scores(setting, EXAMPLES, self.seed), setting["width"] * setting["depth"] + 1.0
        outcomes = [Outcome(str(i), float(score), cost=calls) for i, score in enumerate(scores)]
        self.tried.append(setting)
        behind = None
        length = EXAMPLES
        if self.whole and self.error * share:
            place = max(range(len(self.whole)), key=lambda i: mean_of(self.whole[i][1])) if leader is None else leader
            setting_of, rows = self.whole[place]
            luck = mean_of(rows) - self.expected.get(key_of(setting_of), mean_of(rows))
            race = Race(
                [o for _, o in self.whole], error=self.error * share, by_cost=self.by_cost, leader=leader, luck=luck
            )
            for length in looks(EXAMPLES):
                if (behind := race.shortfall(outcomes[:length])) is not None:
                    break
        self._count(setting, length)
        if behind is None:
            self.whole.append((setting, outcomes))
        return outcomes[:length], behind

    def chosen(self) -> dict[str, Any]:
        """The best: by what is expected of it where the search says so, else by its mean, the cheapest first."""
        if self.expected:
            return max(self.whole, key=lambda pair: self.expected[key_of(pair[0])])[0]
        return max(self.whole, key=lambda pair: (mean_of(pair[1]), -pair[1][0].cost))[0]

    def leader(self) -> int | None:
        """The place of the whole one of which most is expected."""
        worth = [self.expected.get(key_of(setting), -1.0) for setting, _ in self.whole]
        return int(np.argmax(worth)) if self.expected else None

    def loses_the_best(self) -> bool:
        """Whether the truly best of the settings tried was raced out."""
        best = max(self.tried, key=self.surface.logit)
        return all(setting != best for setting, _ in self.whole)

    def _count(self, setting: Mapping[str, Any], length: int) -> None:
        """Requests that the bank does not hold yet."""
        key, before = repr(sorted(setting.items())), self._seen.get(repr(sorted(setting.items())), 0)
        width, depth = setting["width"], setting["depth"]
        pool = self._pools.setdefault(setting["temperature"], np.zeros(EXAMPLES, int))
        wanted = width if depth else 1
        self.requests += int(np.maximum(0, wanted - pool[:length]).sum())
        pool[:length] = np.maximum(pool[:length], wanted)
        self.requests += max(0, length - before) * (width * max(0, depth - 1) + (depth > 0))
        self._seen[key] = max(before, length)


def key_of(setting: Mapping[str, Any]) -> str:
    """A setting as a key."""
    return repr(sorted(setting.items()))


def mean_of(outcomes: list[Outcome]) -> float:
    """The mean score."""
    return sum(outcome.score for outcome in outcomes) / len(outcomes)
