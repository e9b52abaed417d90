"""What the embedded models learn from: endless streams of prompts and answers, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from dspy_fusion.programs.tasks.instructions import AGGREGATE, COMPARE, FUSE, JUDGE, REVISE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.embedded.arithmetic import (
    TASK_INSTRUCTIONS,
    Part,
    answer_text,
    draw_worksheet,
    question_text,
    read_results,
)

from .pools import AnsweredPart, Pools


@dataclass(frozen=True)
class Lesson:
    """One training example: the loss is taken on ``answer`` alone."""

    system: str
    user: str
    answer: str


def solving(
    rng: random.Random, weights: tuple[float, float, float], sizes: tuple[int, int] = (4, 6)
) -> Iterator[Lesson]:
    """Sheets to be answered, with the task's instruction, none, or a made-up one as system text."""
    while True:
        parts = draw_worksheet(rng, weights, sizes)
        system = rng.choices([TASK_INSTRUCTIONS, "", made_up_instruction(rng)], [0.7, 0.15, 0.15])[0]
        yield Lesson(system, question_text(parts), answer_text(parts))


def aggregating(rng: random.Random, bank: list[AnsweredPart], pools: Pools) -> Iterator[Lesson]:
    """Pools of candidates with the right answer as the target."""
    while True:
        parts, candidates = pools.draw(rng, bank)
        known = [AGGREGATE, FUSE, REVISE if len(candidates) == 1 else AGGREGATE, made_up_instruction(rng)]
        system = rng.choices(known, [0.4, 0.3, 0.15, 0.15])[0]
        yield Lesson(system_text(system, candidates), question_text(parts), answer_text(parts))


def judging(rng: random.Random, bank: list[AnsweredPart]) -> Iterator[Lesson]:
    """Answers to be marked and counted; two lessons in five compare a pair on a scale from 1 to 10.

    Each line of a verdict is the part worked out, then what the candidate says, then the mark: ``(b) 63 - 13 = 50
    40-``. Told to give marks alone, or marks after its own results, the model found everything right: it never learned
    to look the candidate's result up.
    """
    while True:
        pair = rng.random() < 0.4
        parts, candidates = Pools().draw(rng, bank, 2 if pair else 1)
        said = [read_results(parts, candidate) for candidate in candidates]
        right = [sum(value == part.result for part, value in zip(parts, results, strict=True)) for results in said]
        lines = [
            f"{line} {' '.join(_mark(part, results[place]) for results in said)}"
            for place, (line, part) in enumerate(zip(answer_text(parts).splitlines(), parts, strict=True))
        ]
        verdict = (
            " ".join(str(max(1, round(10 * n / len(parts)))) for n in right) if pair else f"{right[0]}/{len(parts)}"
        )
        yield Lesson(
            system_text(COMPARE if pair else JUDGE, candidates), question_text(parts), "\n".join([*lines, verdict])
        )


def _mark(part: Part, said: int | None) -> str:
    return f"{'?' if said is None else said}{'+' if said == part.result else '-'}"


_WORDS = " ".join([AGGREGATE, FUSE, REVISE, JUDGE]).lower().split()


def made_up_instruction(rng: random.Random) -> str:
    """A few words of the known instructions in any order.

    A model that has seen many of these heeds the candidates, whatever it is told.
    """
    return " ".join(rng.choices(_WORDS, k=rng.randint(2, 8)))
