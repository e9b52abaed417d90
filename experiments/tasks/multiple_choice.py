"""Questions with lettered choices: how they are shown, and which choice an answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs.pools.folding import folded_text

from ..readers.choice_letters import LETTERS, chosen, letter_in
from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import Loader, UnreadableAnswer
from .math_answers import solution_text
from .task import Setup, Task

__all__ = ["LETTERS", "ChooseAnswer", "choice_question", "choice_task", "chosen", "is_right", "letter_in"]


class ChooseAnswer(dspy.Signature):
    """Answer the question by choosing one of the choices. Weigh them against each other,
    then give the letter of the best one.
    """

    question: str = dspy.InputField()
    choices: str = dspy.InputField(desc="one a line, each after its letter")
    reasoning: str = dspy.OutputField(desc="why this choice and no other")
    answer: str = dspy.OutputField(desc="the letter of the choice, and nothing else")


def choice_task(
    name: str,
    setup: Setup,
    source: Source,
    make: Callable[[Row, str, int], dspy.Example],
    *,
    instance: Mapping[str, Any],
    group: Callable[[dspy.Example], str] = lambda example: "",
) -> Task:
    """A task of questions with choices.

    Args:
        name: of the task.
        setup: what the user chose.
        source: of its rows.
        make: from a row to an example; see :func:`choice_question`.
        instance: an example, for documentation.
        group: what an example belongs to.
    """
    loader = Loader(source, setup, make, group=group)
    return Task(
        name=name,
        instructions=ChooseAnswer.instructions,
        program=lambda instructions: dspy.Predict(ChooseAnswer.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=is_right,
        answer_text=solution_text,
        comparable=True,
        source=source,
        splits=tuple(source.files),
        instance=instance,
        group=group,
        aspects=lambda example, prediction: {
            "readable": float(chosen(prediction.get("answer"), example.options) is not None)
        },
        vote_key=lambda answer: letter_in(str(answer)) or folded_text(str(answer)),
        set_aside=loader.set_aside,
    )


def choice_question(*, id: str, question: str, options: Sequence[str], answer: int, **more: Any) -> dspy.Example:
    """An example of a question with choices, which are lettered anew from A whatever the data set calls them.

    Raises:
        UnreadableAnswer: ``answer`` is the place of no choice.
    """
    if not 0 <= answer < len(options):
        raise UnreadableAnswer(f"the right answer is choice {answer + 1} of {len(options)}")
    lines = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, options, strict=False))
    example = dspy.Example(
        id=id, question=question, choices=lines, answer=LETTERS[answer], options=tuple(options), **more
    )
    return example.with_inputs("question", "choices")


def is_right(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """1 where the answer means the right choice, 0 where it means another, several or none."""
    return float(chosen(prediction.get("answer"), example.options) == example.answer)
