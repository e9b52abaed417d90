"""StrategyQA: yes or no questions whose steps are not in the question (arXiv 2101.02235).

The answers of the published test questions are withheld, so ``test`` is what stands in for them: on the hub the 687
questions that the set there holds back from training, in a local folder the publisher's own ``dev`` file of 229.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import Loader, UnreadableAnswer
from .math_answers import solution_text
from .task import Setup, Task

SOURCE = Source(
    licence="MIT",
    url="https://github.com/eladsegal/strategyqa",
    citation="arXiv 2101.02235",
    hub="ChilleD/StrategyQA",
    revision="705562638fe1d8ca6bb98c66fc8f94d45fda8c83",
    splits=MappingProxyType({"test": "test", "train": "train"}),
    files=MappingProxyType({"test": ("strategyqa/test", "strategyqa/dev"), "train": ("strategyqa/train",)}),
    sizes=MappingProxyType({"test": 687, "train": 1603}),
)

INSTANCE = MappingProxyType(
    {"question": "Could a full-grown giraffe stand upright in a single-decker bus?", "answer": "no"}
)

_WORDS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


class YesOrNo(dspy.Signature):
    """Answer the question with yes or no. First recall the facts that it hangs on and say what follows from them."""

    question: str = dspy.InputField()
    reasoning: str = dspy.OutputField(desc="the facts, and what follows from them")
    answer: str = dspy.OutputField(desc="yes or no")


def make_task(setup: Setup) -> Task:
    """The task."""
    loader = Loader(SOURCE, setup, _example)
    return Task(
        name="strategyqa",
        instructions=YesOrNo.instructions,
        program=lambda instructions: dspy.Predict(YesOrNo.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=lambda example, prediction: float(read_yes_no(prediction.get("answer")) == example.answer),
        answer_text=solution_text,
        comparable=True,
        source=SOURCE,
        splits=tuple(SOURCE.files),
        instance=INSTANCE,
        aspects=_aspects,
        vote_key=lambda answer: read_yes_no(answer) or str(answer),
        set_aside=loader.set_aside,
    )


def read_yes_no(answer: Any) -> str | None:
    """The ``yes`` or ``no`` (or true or false) that an answer gives; None if unclear.

    That is the first word where it is one of them, or the first after the last ``answer is`` or ``answer:``, else the
    only one in the text.
    """
    text = str(answer).casefold()
    stated = re.split(r"answer(?:\s+is\b|\s*:)", text)[-1]
    for part in (text, stated):
        words = re.findall(r"[a-z]+", part)
        if words and words[0] in _WORDS:
            return _WORDS[words[0]]
    said = {_WORDS[word] for word in re.findall(r"[a-z]+", text) if word in _WORDS}
    return said.pop() if len(said) == 1 else None


def _aspects(example: dspy.Example, prediction: dspy.Prediction) -> Mapping[str, float]:
    return {"readable": float(read_yes_no(prediction.get("answer")) is not None)}


def _example(row: Row, language: str, number: int) -> dspy.Example:
    answer = row.get("answer")
    right = read_yes_no(answer)
    if right is None:
        raise UnreadableAnswer(f"the right answer {str(answer)[:60]!r} is neither yes nor no")
    return dspy.Example(id=str(row.get("qid")), question=str(row.get("question")), answer=right).with_inputs("question")
