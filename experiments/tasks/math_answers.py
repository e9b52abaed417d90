"""Word problems whose answer is one number: what the three data sets of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import dspy

from ..readers.numbers import read_number
from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task

_TOLERANCE = Fraction(1, 10**6)


class WordProblem(dspy.Signature):
    """Solve the problem. Work in small steps and check each calculation. Then give the number that was asked for."""

    question: str = dspy.InputField()
    reasoning: str = dspy.OutputField(desc="the solution, step by step")
    answer: str = dspy.OutputField(desc="the number alone, in digits, without a unit")


class WordProblemInLanguage(dspy.Signature):
    """Solve the problem, writing in the given language. Work in small steps, check each calculation,
    then give the number asked for.
    """

    question: str = dspy.InputField()
    language: str = dspy.InputField(desc="the language to write the solution in, which is that of the question")
    reasoning: str = dspy.OutputField(desc="the solution, step by step, in that language")
    answer: str = dspy.OutputField(desc="the number alone, in digits, without a unit")


def math_task(
    name: str,
    setup: Setup,
    source: Source,
    make: Callable[[Row, str, int], dspy.Example],
    *,
    instance: Mapping[str, Any],
) -> Task:
    """A task of word problems; in several languages where the source has several.

    Args:
        name: of the task.
        setup: what the user chose.
        source: of its rows.
        make: from a row to an example; see :func:`problem`.
        instance: an example, for documentation.
    """
    signature = WordProblemInLanguage if source.languages else WordProblem
    loader = Loader(source, setup, make, group=language_of, packages=("math_verify", "num2words"))
    return Task(
        name=name,
        instructions=signature.instructions,
        program=lambda instructions: dspy.Predict(signature.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=is_right,
        answer_text=solution_text,
        comparable=True,
        source=source,
        splits=tuple(source.files),
        instance=instance,
        group=language_of,
        aspects=lambda example, prediction: {"readable": float(stated_number(prediction, example) is not None)},
        vote_key=vote_key,
        set_aside=loader.set_aside,
    )


def problem(source: Source, *, id: str, question: str, answer: str, language: str = "") -> dspy.Example:
    """An example of a word problem.

    Raises:
        UnreadableAnswer: the right answer is no number.
    """
    if read_number(str(answer)) is None:
        raise UnreadableAnswer(f"the right answer {str(answer)[:60]!r} is no number")
    spoken = {"language": source.languages[language], "language_code": language} if language else {}
    return dspy.Example(id=id, question=question, answer=str(answer), **spoken).with_inputs(
        "question", *(["language"] if language else [])
    )


def language_of(example: dspy.Example) -> str:
    """The code of an example's language; empty where its task has one only."""
    return str(example.get("language_code", ""))


def stated_number(answer: Mapping[str, Any] | dspy.Prediction, example: dspy.Example) -> Fraction | None:
    """The number that an answer to an example states; None where none can be read."""
    return read_number(str(answer.get("answer") or ""), language_of(example) or "en")


def is_right(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """1 where the answer states the right number (to a millionth of it), 0 where it states another or none."""
    stated, right = stated_number(prediction, example), read_number(example.answer)
    return float(stated is not None and right is not None and abs(stated - right) <= _TOLERANCE * max(1, abs(right)))


def vote_key(answer: Any) -> str:
    """What a vote compares: the number, where one can be read."""
    number = read_number(str(answer))
    return " ".join(str(answer).casefold().split()) if number is None else str(number)


def solution_text(outputs: Mapping[str, Any]) -> str:
    """The reasoning, where there is one, and the answer under it."""
    reasoning, answer = str(outputs.get("reasoning") or "").strip(), str(outputs.get("answer") or "").strip()
    return f"{reasoning}\n\nAnswer: {answer}" if reasoning else answer
