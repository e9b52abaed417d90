"""Worksheets of 4-6 small sums, generated from a seed and graded part by part.

The task that the embedded models speak.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.serving.embedded.arithmetic import (
    LABELS,
    TASK_INSTRUCTIONS,
    answer_text,
    draw_worksheet,
    parse_question,
    question_text,
    read_results,
)

from ..records.record import PartRecord
from ..rows.sources import Source
from .task import Setup, Task

# Far from the seeds that the models' training data is drawn from.
_SPLIT_SEEDS = {"train": 910_000_001, "validation": 920_000_001, "test": 930_000_001}


def examples(split: str, n: int) -> list[dspy.Example]:
    """The first n sheets of a split, each with its right answer.

    Raises:
        ConfigurationError: there is no such split.
    """
    if split not in _SPLIT_SEEDS:
        raise ConfigurationError(f"there is no split {split!r}; there are: {', '.join(_SPLIT_SEEDS)}")
    rng = random.Random(_SPLIT_SEEDS[split])
    sheets = [draw_worksheet(rng) for _ in range(n)]
    return [
        dspy.Example(id=f"{split}-{index}", worksheet=question_text(sheet), answers=answer_text(sheet)).with_inputs(
            "worksheet"
        )
        for index, sheet in enumerate(sheets)
    ]


def share_right(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """The share of the sheet's parts that the answer gets right."""
    sheet = parse_question(example.worksheet)
    results = read_results(sheet, str(prediction.answers))
    return sum(part.result == result for part, result in zip(sheet, results, strict=True)) / len(sheet)


def part_records(example: dspy.Example, answer: str, candidates: Sequence[str | None]) -> tuple[PartRecord, ...]:
    """The answer part by part, with the candidates that give the same result for a part."""
    sheet = parse_question(example.worksheet)
    pool = [read_results(sheet, candidate or "") for candidate in candidates]
    return tuple(
        PartRecord(
            label=LABELS[place],
            kind=part.operation,
            given=result is not None,
            right=result == part.result,
            same_as=tuple(i for i, results in enumerate(pool) if result is not None and results[place] == result),
        )
        for place, (part, result) in enumerate(zip(sheet, read_results(sheet, answer), strict=True))
    )


def vote_parts(inputs: Mapping[str, Any], candidates: Sequence[dspy.Prediction]) -> dict[str, Any]:
    """A sheet in which every part has the result that most candidates give; ties go to the earliest candidate."""
    sheet = parse_question(inputs["worksheet"])
    pool = [read_results(sheet, str(candidate.answers)) for candidate in candidates]
    lines = []
    for place, part in enumerate(sheet):
        votes = Counter(results[place] for results in pool if results[place] is not None)
        if votes:
            lines.append(f"({LABELS[place]}) {part} = {votes.most_common(1)[0][0]}")
    return {"answers": "\n".join(lines)}


def right_lines(expected: str, answer: str) -> list[bool]:
    """Whether each line of an answer is a line of the right answer."""
    right = set(expected.splitlines())
    return [line.rstrip() in right for line in answer.splitlines()]


def _program(instructions: str) -> dspy.Module:
    return dspy.Predict(make_signature("worksheet -> answers", instructions))


_INSTANCE = MappingProxyType(
    {
        "worksheet": "(a) 455 + 437\n(b) 702 - 318\n(c) 84 x 6\n(d) 129 + 560",
        "answers": "(a) 455 + 437 = 892\n(b) 702 - 318 = 384\n(c) 84 x 6 = 504\n(d) 129 + 560 = 689",
    }
)


def make_task(setup: Setup) -> Task:
    """The task; it needs no data and no judge."""
    return WORKSHEETS


WORKSHEETS = Task(
    name="worksheets",
    instructions=TASK_INSTRUCTIONS,
    program=_program,
    adapter=PlainAdapter,
    examples=examples,
    metric=share_right,
    answer_text=lambda outputs: str(outputs.get("answers", "")),
    comparable=True,
    source=Source(licence="Apache-2.0", url="generated from a seed by this package", citation=""),
    splits=("test", "validation", "train"),
    instance=_INSTANCE,
    parts=part_records,
    vote_parts=vote_parts,
    right_lines=right_lines,
)
