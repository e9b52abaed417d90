"""ARC-Challenge: school science questions with three to five choices (arXiv 1803.05457)."""

from __future__ import annotations

from types import MappingProxyType

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import UnreadableAnswer
from .multiple_choice import choice_question, choice_task
from .task import Setup, Task

SOURCE = Source(
    licence="CC-BY-SA-4.0",
    url="https://allenai.org/data/arc",
    citation="arXiv 1803.05457",
    hub="allenai/ai2_arc",
    config="ARC-Challenge",
    revision="210d026faf9955653af8916fad021475a3f00453",
    splits=MappingProxyType({"test": "test", "validation": "validation", "train": "train"}),
    files=MappingProxyType({split: (f"arc_challenge/{split}",) for split in ("test", "validation", "train")}),
    sizes=MappingProxyType({"test": 1172, "validation": 299, "train": 1119}),
)

INSTANCE = MappingProxyType(
    {
        "question": "Which of these keeps a house warm with the least energy?",
        "choices": "(A) open windows\n(B) thin walls\n(C) thick insulation\n(D) a metal roof",
        "answer": "C",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    return choice_task("arc_challenge", setup, SOURCE, _example, instance=INSTANCE)


def _example(row: Row, language: str, number: int) -> dspy.Example:
    choices, key = row.get("choices"), str(row.get("answerKey")).strip()
    try:
        labels, options = [str(label) for label in choices["label"]], [str(text) for text in choices["text"]]
        answer = labels.index(key)
    except (TypeError, KeyError, ValueError) as error:
        raise UnreadableAnswer(f"no choice has the label {key!r}") from error
    return choice_question(id=str(row.get("id")), question=str(row.get("question")), options=options, answer=answer)
