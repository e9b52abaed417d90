"""Worksheets: 4-6 small sums of mixed difficulty on one sheet, the language that the embedded models speak.

A sheet is text (`(a) 455 + 437`), an answer restates every part with its result (`(a) 455 + 437 = 892`), and is graded
part by part.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

TASK_INSTRUCTIONS = "Work out every part of the worksheet."
OPERATIONS = ("+", "-", "x")
LABELS = "abcdef"
_ANSWERED_PART = re.compile(r"^\(([a-f])\) (\d+) ([-+x]) (\d+) = (\d+)\s*$")
_ASKED_PART = re.compile(r"^\(([a-f])\) (\d+) ([-+x]) (\d+)\s*$")


@dataclass(frozen=True)
class Part:
    """One sum: ``left operation right``, where the operation is ``+``, ``-`` or ``x``."""

    left: int
    operation: str
    right: int

    @property
    def result(self) -> int:
        """The right result."""
        if self.operation == "+":
            return self.left + self.right
        return self.left - self.right if self.operation == "-" else self.left * self.right

    def __str__(self) -> str:
        return f"{self.left} {self.operation} {self.right}"


def draw_part(rng: random.Random, weights: tuple[float, float, float] = (1, 1, 1)) -> Part:
    """Draws a part: + and - of numbers up to 999 (results never negative), x of a number up to 999 by a digit."""
    operation = rng.choices(OPERATIONS, weights)[0]
    if operation == "x":
        return Part(_draw_number(rng, (0.1, 0.4, 0.5)), operation, rng.randint(2, 9))
    numbers = [_draw_number(rng, (0.1, 0.3, 0.6)) for _ in range(2)]
    if operation == "-":
        numbers.sort(reverse=True)
    return Part(numbers[0], operation, numbers[1])


def draw_worksheet(
    rng: random.Random, weights: tuple[float, float, float] = (1, 1, 1), sizes: tuple[int, int] = (4, 6)
) -> tuple[Part, ...]:
    """Draws a sheet of ``sizes[0]`` to ``sizes[1]`` parts; ``weights`` says how often + , - and x come up."""
    return tuple(draw_part(rng, weights) for _ in range(rng.randint(*sizes)))


def question_text(parts: tuple[Part, ...]) -> str:
    """The sheet as a model sees it, one labelled part a line."""
    return "\n".join(f"({label}) {part}" for label, part in zip(LABELS, parts, strict=False))


def answer_text(parts: tuple[Part, ...], results: list[int] | None = None) -> str:
    """The sheet answered: with the right results, or with ``results``, one per part in order."""
    values = [part.result for part in parts] if results is None else results
    return "\n".join(f"({label}) {part} = {value}" for label, part, value in zip(LABELS, parts, values, strict=False))


def parse_question(text: str) -> tuple[Part, ...]:
    """Reads a sheet back; raises ``ValueError`` naming the line that is no part."""
    parts = []
    for line in text.strip().splitlines():
        match = _ASKED_PART.match(line)
        if match is None:
            raise ValueError(f"not a worksheet part: {line!r}; expected a line such as '(a) 12 + 7'")
        parts.append(Part(int(match[2]), match[3], int(match[4])))
    return tuple(parts)


def read_results(parts: tuple[Part, ...], answer: str) -> list[int | None]:
    """The result that an answer gives for each part, or None where the part is missing or restates another sum."""
    answers: dict[str, tuple[str, int]] = {}
    for line in answer.splitlines():
        match = _ANSWERED_PART.match(line)
        if match is not None:
            answers.setdefault(match[1], (f"{match[2]} {match[3]} {match[4]}", int(match[5])))
    read = [answers.get(label) for label in LABELS[: len(parts)]]
    return [answer[1] if answer and answer[0] == str(part) else None for part, answer in zip(parts, read, strict=True)]


def right_parts(parts: tuple[Part, ...], answer: str) -> list[bool]:
    """Whether each part is right in the answer, in the order of the sheet."""
    return [value == part.result for part, value in zip(parts, read_results(parts, answer), strict=True)]


def _draw_number(rng: random.Random, digits_weights: tuple[float, ...]) -> int:
    digits = rng.choices(range(1, len(digits_weights) + 1), digits_weights)[0]
    return rng.randint(10 ** (digits - 1) if digits > 1 else 1, 10**digits - 1)
