"""Questions with lettered choices: how they are shown, and which choice an answer means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import Loader, UnreadableAnswer
from .math_answers import solution_text
from .task import Setup, Task

LETTERS = "ABCDEFGH"  # no data set has more choices, and an I is more often a Roman one
_LONE = re.compile(r"[\s(\[*`'\"$.]*(?:\\(?:boxed|text)\{)*\(?([A-H])[\s)\]}*`'\"$.:]*", re.IGNORECASE)
_LEADING = re.compile(r"[\s*`]*[(\[]?([A-H])(?:[)\].:]|\s*[-\N{EN DASH}\N{EM DASH}]\s)", re.IGNORECASE)
_STATED = re.compile(r"[Aa]nswer(?:\s+is)?\s*:?\s*[*(\[]*([A-H])\b(?![\w'])")
_NAMED = re.compile(r"(?:[Oo]ption|[Cc]hoice)(?:\s+is)?\s*:?\s*[*(\[]*([A-H])\b(?![\w'])")
_BRACKETED = re.compile(r"\(([A-H])\)", re.IGNORECASE)


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
        vote_key=lambda answer: letter_in(str(answer)) or normalized(str(answer)),
        set_aside=loader.set_aside,
    )


def choice_question(*, id: str, question: str, options: Sequence[str], answer: int, **more: Any) -> dspy.Example:
    """An example of a question with choices, which are lettered anew from A whatever the data set calls them.

    Raises:
        UnreadableAnswer: ``answer`` is the place of no choice.
    """
    if not 0 <= answer < len(options):
        raise UnreadableAnswer(f"the right answer is choice {answer + 1} of {len(options)}")
    shown = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, options, strict=False))
    example = dspy.Example(
        id=id, question=question, choices=shown, answer=LETTERS[answer], options=tuple(options), **more
    )
    return example.with_inputs("question", "choices")


def is_right(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """1 where the answer means the right choice, 0 where it means another, several or none."""
    return float(chosen(prediction.get("answer"), example.options) == example.answer)


def chosen(answer: Any, options: Sequence[str]) -> str | None:
    """The letter of the choice that an answer means; None where that is unclear.

    A letter alone means its choice, else the very text of one choice does, else a letter that the answer begins with or
    names.
    """
    text = str(answer or "")
    meant = [LETTERS[place] for place, option in enumerate(options) if normalized(option) == normalized(text)]
    if len(meant) == 1 and _LONE.fullmatch(text) is None:
        return meant[0]
    letter = letter_in(text)
    return letter if letter is not None and letter in LETTERS[: len(options)] else None


def letter_in(text: str) -> str | None:
    r"""The letter that an answer names; None where it names none, or more than one.

    That is the letter it consists of (``B``, ``(B)``, ``\boxed{B}``), else the last one called the answer (``the answer
    is B``), else the only one among the letter it begins with (``B. text``), those in brackets, and those called an
    option or a choice.
    """
    if alone := _LONE.fullmatch(text):
        return alone.group(1).upper()
    if stated := _STATED.findall(text):
        return stated[-1]
    leading = _LEADING.match(text)
    letters = {letter.upper() for pattern in (_NAMED, _BRACKETED) for letter in pattern.findall(text)}
    letters |= {leading.group(1).upper()} if leading else set()
    return letters.pop() if len(letters) == 1 else None


def normalized(text: str) -> str:
    """A choice's text as it is compared: lower case, single spaces, no full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(".")
