"""MMLU: questions with four choices from 57 subjects (arXiv 2009.03300).

Examples take the subjects in turn, each is a group.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import UnreadableAnswer
from .multiple_choice import LETTERS, choice_question, choice_task
from .task import Setup, Task

SOURCE = Source(
    licence="MIT",
    url="https://github.com/hendrycks/test",
    citation="arXiv 2009.03300",
    hub="cais/mmlu",
    config="all",
    revision="c30699e8356da336a370243923dbaf21066bb9fe",
    splits=MappingProxyType({"test": "test", "validation": "validation", "dev": "dev"}),
    files=MappingProxyType(
        {
            "test": ("mmlu/test", "mmlu/test_first25_per_subject"),
            "validation": ("mmlu/validation",),
            "dev": ("mmlu/dev",),
        }
    ),
    sizes=MappingProxyType({"test": 14_042, "validation": 1531, "dev": 285}),
)

INSTANCE = MappingProxyType(
    {
        "subject": "abstract_algebra",
        "question": "How many elements has the group of symmetries of a square?",
        "choices": "(A) 4\n(B) 6\n(C) 8\n(D) 16",
        "answer": "C",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    return choice_task("mmlu", setup, SOURCE, _example, instance=INSTANCE, group=lambda example: str(example.subject))


def _example(row: Row, language: str, number: int) -> dspy.Example:
    subject, options = str(row.get("subject")), row.get("choices")
    if not isinstance(options, list):
        raise UnreadableAnswer(f"the choices are no list, but {options!r:.60}")
    question = str(row.get("question"))
    name = f"{subject}-{row.values.get('i', number)}"
    place = _place(row.get("answer"))
    return choice_question(
        id=name, question=question, options=[str(option) for option in options], answer=place, subject=subject
    )


def _place(answer: Any) -> int:
    """The place of the right choice, which the hub gives as a number and the published files as a letter."""
    text = str(answer).strip().upper()
    if text.isdecimal():
        return int(text)
    if len(text) == 1 and text in LETTERS:
        return LETTERS.index(text)
    raise UnreadableAnswer(f"the right answer {str(answer)[:60]!r} is neither a letter nor a place")
