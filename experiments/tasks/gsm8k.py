"""GSM8K: grade-school word problems in English (arXiv 2110.14168).

The right answer stands after ``####`` in the published solution.
"""

from __future__ import annotations

from types import MappingProxyType

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import UnreadableAnswer
from .math_answers import math_task, problem
from .task import Setup, Task

SOURCE = Source(
    licence="MIT",
    url="https://github.com/openai/grade-school-math",
    citation="arXiv 2110.14168",
    hub="openai/gsm8k",
    config="main",
    revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
    splits=MappingProxyType({"test": "test", "train": "train"}),
    files=MappingProxyType({"test": ("gsm8k/test",), "train": ("gsm8k/train",)}),
    sizes=MappingProxyType({"test": 1319, "train": 7473}),
)

INSTANCE = MappingProxyType(
    {
        "question": (
            "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total does it take?"
        ),
        "answer": "3",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    return math_task("gsm8k", setup, SOURCE, _example, instance=INSTANCE)


def _example(row: Row, language: str, number: int) -> dspy.Example:
    solution, mark, answer = str(row.get("answer")).rpartition("####")
    if not mark:
        raise UnreadableAnswer("the solution has no line that begins with ####")
    example = problem(SOURCE, id=f"gsm8k-{number}", question=str(row.get("question")), answer=answer.strip())
    return example.copy(solution=solution.strip()).with_inputs("question")
