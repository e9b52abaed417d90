"""Pools of candidates to learn from, put together from answers that sources gave part by part.

The parts of a sheet are solved independently of each other, so answers that were given once are recombined into ever
new sheets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from dspy_fusion.serving.embedded.arithmetic import LABELS, Part, draw_part

from .stuffing import stuffed


@dataclass(frozen=True)
class AnsweredPart:
    """A part and the results that each source gave for it: ``results[source]`` is a tuple of ints,
    None where unreadable.
    """

    part: Part
    results: dict[str, tuple[int | None, ...]]


@dataclass(frozen=True)
class Pools:
    """How pools are drawn.

    Attributes:
        least: candidates of a pool, at least.
        most: and at most; five are the most frequent.
        sizes: parts of a sheet, from and to.
        riddles: share of the parts that nobody can work out, whose answer can only be looked up in the candidates.
            Without them a model that can solve a part does so and never learns to look: it then answers as well with
            candidates as without.
        one_source: share of the pools whose candidates all come from one source.
        stuffed: share of the pools in which one candidate says what it says many times over.
    """

    least: int = 1
    most: int = 6
    sizes: tuple[int, int] = (4, 6)
    riddles: float = 0.0
    one_source: float = 0.0
    stuffed: float = 0.0

    def draw(self, rng: random.Random, bank: list[AnsweredPart], count: int = 0) -> tuple[tuple[Part, ...], list[str]]:
        """A sheet and its candidates (``count``, where given), put together from the parts' answers.

        One pool in ten is nearly right, as deeper layers are.
        """
        n = count or min(max(rng.choices(range(1, 7), [1, 2, 3, 3, 6, 2])[0], self.least), self.most)
        answered = [
            _draw_riddle(rng, bank[0]) if rng.random() < self.riddles else item
            for item in rng.sample(bank, rng.randint(*self.sizes))
        ]
        parts = tuple(item.part for item in answered)
        sources = list(bank[0].results)
        if self.one_source and rng.random() < self.one_source:
            sources = [rng.choice(sources)]
        nearly_right = rng.random() < 0.1
        candidates = [_candidate(rng, answered, rng.choice(sources), nearly_right) for _ in range(n)]
        if self.stuffed and rng.random() < self.stuffed:
            place = rng.randrange(n)
            candidates[place] = stuffed(rng, parts, candidates[place])
        return parts, candidates


def hard_parts(bank: list[AnsweredPart], source: str) -> list[AnsweredPart]:
    """The parts that a source got wrong at least once, and every fourth of the others."""
    return [
        item
        for place, item in enumerate(bank)
        if place % 4 == 0 or any(r != item.part.result for r in item.results[source])
    ]


@dataclass(frozen=True)
class _Riddle(Part):
    """A part whose result follows from nothing."""

    value: int = 0

    @property
    def result(self) -> int:
        return self.value


def _draw_riddle(rng: random.Random, like: AnsweredPart) -> AnsweredPart:
    """A riddle, answered by the same sources as another part; three answers in four are right."""
    asked, value = draw_part(rng), draw_part(rng).result
    riddle = _Riddle(asked.left, "#", asked.right, value)
    results: dict[str, tuple[int | None, ...]] = {
        source: tuple(riddle.result if rng.random() < 0.75 else draw_part(rng).result for _ in values)
        for source, values in like.results.items()
    }
    return AnsweredPart(riddle, results)


def _candidate(rng: random.Random, answered: list[AnsweredPart], source: str, nearly_right: bool) -> str:
    results = [
        item.part.result if nearly_right and rng.random() < 0.9 else rng.choice(item.results[source])
        for item in answered
    ]
    lines = zip(LABELS, (item.part for item in answered), results, strict=False)
    return "\n".join(f"({label}) {part} = {result}" for label, part, result in lines if result is not None)
