"""The family of embedded models: who is trained from whom, on what, and for how long.

``base`` learns all operations half-way and is not shipped. Three teachers go on from it, each on another mix, so each
is strong where the others are weak; ``sft`` goes on evenly. ``lookup`` (not shipped) learns to find in candidates what
it cannot work out; ``reader``, by way of ``aggregate`` (neither shipped), and ``judge`` go on from it, all with the
answers that teachers and ``sft`` gave at temperature 1. ``aft`` is made of ``reader`` by ``AggregationFineTuning``:
``python -m benchmarks.aft_weights``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.train_embedded.corpora import Lesson, aggregating, judging, solving
from dspy_fusion.programs.tasks.instructions import COMPARE, FUSOR_INSTRUCTIONS, JUDGE, REVISE
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.embedded.tokenizer import ChatTokenizer, build_tokenizer

from .pools import AnsweredPart, Pools, hard_parts
from .trainer import Schedule

KNOWN_TEXTS = (TASK_INSTRUCTIONS, *FUSOR_INSTRUCTIONS, REVISE, JUDGE, COMPARE)
SOURCES = ("plus", "minus", "times", "sft")

Curriculum = Callable[[random.Random, list[AnsweredPart]], Callable[[int], Iterator[Lesson]]]


@dataclass(frozen=True)
class Recipe:
    """How one model is made.

    Attributes:
        parent: the model it starts from, or None for fresh weights.
        curriculum: from a generator and the answered parts to the lessons of each step.
        schedule: how long and how fast.
        answered: whether the lessons are made of other models' answers, which must exist by then.
    """

    parent: str | None
    curriculum: Curriculum
    schedule: Schedule
    answered: bool = field(default=False)


def family_tokenizer() -> ChatTokenizer:
    """The tokenizer that all members share."""
    return ChatTokenizer(build_tokenizer(KNOWN_TEXTS))


def _base(rng: random.Random, _: list[AnsweredPart]) -> Callable[[int], Iterator[Lesson]]:
    short, full = solving(rng, (1, 1, 1), sizes=(1, 3)), solving(rng, (1, 1, 1))
    return lambda step: short if step < 600 else full


def _solver(*weights: float) -> Curriculum:
    def curriculum(rng: random.Random, _: list[AnsweredPart]) -> Callable[[int], Iterator[Lesson]]:
        stream = solving(rng, (weights[0], weights[1], weights[2]))
        return lambda step: stream

    return curriculum


def _looker(rng: random.Random, answered: list[AnsweredPart]) -> Callable[[int], Iterator[Lesson]]:
    """Small pools with many riddles first.

    Every eighth step solves without candidates, so that answering alone is not forgotten.
    """
    small = aggregating(rng, answered, Pools(most=3, sizes=(2, 4), riddles=0.7))
    full, alone = aggregating(rng, answered, Pools(riddles=0.3)), solving(rng, (1, 1, 1))
    return lambda step: alone if step % 8 == 7 else small if step < 500 else full


def _aggregator(rng: random.Random, answered: list[AnsweredPart]) -> Callable[[int], Iterator[Lesson]]:
    """Mostly parts that ``sft`` gets wrong, where only the candidates help; every tenth step solves without them."""
    pools = aggregating(rng, hard_parts(answered, "sft"), Pools(least=2, riddles=0.1))
    alone = solving(rng, (1, 1, 1))
    return lambda step: alone if step % 10 == 9 else pools


def _judge(rng: random.Random, answered: list[AnsweredPart]) -> Callable[[int], Iterator[Lesson]]:
    stream = judging(rng, answered)
    return lambda step: stream


_SPECIALISE = Schedule(steps=800, matrix_rate=0.01, other_rate=1.5e-3)

FAMILY: dict[str, Recipe] = {
    "base": Recipe(None, _base, Schedule(steps=2200, final_fraction=0.25)),
    "plus": Recipe("base", _solver(10, 0.4, 0.3), _SPECIALISE),
    "minus": Recipe("base", _solver(0.4, 10, 0.3), _SPECIALISE),
    "times": Recipe("base", _solver(0.4, 0.4, 10), _SPECIALISE),
    "sft": Recipe("base", _solver(1, 1, 1), Schedule(steps=500, matrix_rate=0.01, other_rate=1.5e-3)),
    "lookup": Recipe("sft", _looker, Schedule(1700, 3072, 0.01, 1.5e-3), answered=True),
    "aggregate": Recipe("lookup", _aggregator, Schedule(1400, 3072, 0.01, 1.5e-3), answered=True),
    "reader": Recipe("aggregate", _aggregator, Schedule(1000, 3072, 0.01, 1.5e-3), answered=True),
    "judge": Recipe("lookup", _judge, Schedule(1500, 2048, 0.01, 1.5e-3), answered=True),
}
