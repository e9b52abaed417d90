"""What the embedded models learn from: endless streams of prompts and answers, made from a seed.

The parts of a sheet are solved independently of each other, so answers that teachers gave once are recombined into ever new sheets.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from dspy_fusion.programs.instructions import AGGREGATE, COMPARE, FUSE, JUDGE, REVISE
from dspy_fusion.programs.plain_adapter import system_text

from ..worksheets import LABELS, Part, answer_text, draw_part, draw_worksheet, question_text, read_results

TASK_INSTRUCTIONS = "Work out every part of the worksheet."


@dataclass(frozen=True)
class Lesson:
    """One training example: the loss is taken on ``answer`` alone."""

    system: str
    user: str
    answer: str


@dataclass(frozen=True)
class AnsweredPart:
    """A part and the results that each source gave for it: ``results[source]`` is a tuple of ints, None where unreadable."""

    part: Part
    results: dict[str, tuple[int | None, ...]]


def solving(rng: random.Random, weights: tuple[float, float, float], sizes: tuple[int, int] = (4, 6)) -> Iterator[Lesson]:
    """Sheets to be answered, with the task's instruction, none, or a made-up one as system text."""
    while True:
        parts = draw_worksheet(rng, weights, sizes)
        system = rng.choices([TASK_INSTRUCTIONS, "", _made_up_instruction(rng)], [0.7, 0.15, 0.15])[0]
        yield Lesson(system, question_text(parts), answer_text(parts))


def aggregating(
    rng: random.Random, bank: list[AnsweredPart], *, least: int = 1, most: int = 6, sizes: tuple[int, int] = (4, 6), riddles: float = 0.0
) -> Iterator[Lesson]:
    """Pools of ``least`` to ``most`` candidates with the right answer as the target.

    One pool in ten is nearly right already, as deeper layers are.
    ``riddles`` is the share of parts that nobody can work out, whose answer can only be looked up in the candidates. Without them a model
    that can solve a part does so and never learns to look: it then answers as well with candidates as without.
    """
    while True:
        n = rng.choices(range(1, 7), [1, 2, 3, 3, 6, 2])[0]
        parts, candidates = _draw_pool(rng, bank, min(max(n, least), most), sizes, riddles)
        known = [AGGREGATE, FUSE, REVISE if len(candidates) == 1 else AGGREGATE, _made_up_instruction(rng)]
        system = rng.choices(known, [0.4, 0.3, 0.15, 0.15])[0]
        yield Lesson(system_text(system, candidates), question_text(parts), answer_text(parts))


def hard_parts(bank: list[AnsweredPart], source: str) -> list[AnsweredPart]:
    """The parts that a source got wrong at least once, and every fourth of the others."""
    return [item for place, item in enumerate(bank) if place % 4 == 0 or any(r != item.part.result for r in item.results[source])]


def judging(rng: random.Random, bank: list[AnsweredPart]) -> Iterator[Lesson]:
    """Answers to be marked and counted; two lessons in five compare a pair on a scale from 1 to 10.

    Each line of a verdict is the part worked out, then what the candidate says, then the mark: ``(b) 63 - 13 = 50 40-``. Told to give marks
    alone, or marks after its own results, the model found everything right: it never learned to look the candidate's result up.
    """
    while True:
        pair = rng.random() < 0.4
        parts, candidates = _draw_pool(rng, bank, 2 if pair else 1)
        said = [read_results(parts, candidate) for candidate in candidates]
        right = [sum(value == part.result for part, value in zip(parts, results, strict=True)) for results in said]
        lines = [
            f"{line} {' '.join(_mark(part, results[place]) for results in said)}"
            for place, (line, part) in enumerate(zip(answer_text(parts).splitlines(), parts, strict=True))
        ]
        verdict = " ".join(str(max(1, round(10 * n / len(parts)))) for n in right) if pair else f"{right[0]}/{len(parts)}"
        yield Lesson(system_text(COMPARE if pair else JUDGE, candidates), question_text(parts), "\n".join([*lines, verdict]))


@dataclass(frozen=True)
class _Riddle(Part):
    """A part whose result follows from nothing."""

    value: int = 0

    @property
    def result(self) -> int:
        return self.value


def _draw_pool(
    rng: random.Random, bank: list[AnsweredPart], n: int, sizes: tuple[int, int] = (4, 6), riddles: float = 0.0
) -> tuple[tuple[Part, ...], list[str]]:
    answered = [_draw_riddle(rng, bank[0]) if rng.random() < riddles else item for item in rng.sample(bank, rng.randint(*sizes))]
    parts = tuple(item.part for item in answered)
    nearly_right = rng.random() < 0.1
    candidates = []
    for _ in range(n):
        source = rng.choice(list(answered[0].results))
        results = [
            item.part.result if nearly_right and rng.random() < 0.9 else rng.choice(item.results[source]) for item in answered
        ]
        candidates.append(_partial_answer(parts, results))
    return parts, candidates


def _draw_riddle(rng: random.Random, like: AnsweredPart) -> AnsweredPart:
    """A riddle, answered by the same sources as another part; three answers in four are right."""
    asked, value = draw_part(rng), draw_part(rng).result
    riddle = _Riddle(asked.left, "#", asked.right, value)
    results: dict[str, tuple[int | None, ...]] = {
        source: tuple(riddle.result if rng.random() < 0.75 else draw_part(rng).result for _ in given)
        for source, given in like.results.items()
    }
    return AnsweredPart(riddle, results)


def _partial_answer(parts: tuple[Part, ...], results: list[int | None]) -> str:
    lines = zip(LABELS, parts, results, strict=False)
    return "\n".join(f"({label}) {part} = {result}" for label, part, result in lines if result is not None)


def _mark(part: Part, said: int | None) -> str:
    return f"{'?' if said is None else said}{'+' if said == part.result else '-'}"


_WORDS = " ".join([AGGREGATE, FUSE, REVISE, JUDGE]).lower().split()


def _made_up_instruction(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(2, 8)))
