from __future__ import annotations

import dspy
import pytest

from dspy_fusion.experiments.tasks.loading import UnreadableAnswer
from dspy_fusion.experiments.tasks.multiple_choice import choice_question, chosen, is_right

OPTIONS = ("red", "green", "E. coli", "I and II only")


@pytest.mark.parametrize(
    "answer",
    [
        *("B", "b", "(B)", "B.", "**B**", "$B$", "\\boxed{B}", "\\boxed{\\text{B}}"),
        *("B) green", "B: green", "green", "Green.", "Answer: B", "choice B"),
    ],
)
def test_a_letter_or_the_text_names_the_choice(answer: str) -> None:
    assert chosen(answer, OPTIONS) == "B"


@pytest.mark.parametrize(
    "answer",
    [
        "(A) is wrong. The answer is B.",
        "Neither (A) nor (C): the correct answer is **B**",
        "Option B, since it is green",
    ],
)
def test_reasoning_may_surround_the_choice(answer: str) -> None:
    assert chosen(answer, OPTIONS) == "B"


@pytest.mark.parametrize(
    "answer", ["", None, "B and C", "(A) or (B)", "(a) 1 + 1\n(b) 2", "A planet", "E", "purple", "red green"]
)
def test_an_unclear_answer_is_none(answer: str | None) -> None:
    assert chosen(answer, OPTIONS) is None


def test_a_choices_own_text_comes_before_a_letter_in_it() -> None:
    assert (chosen("E. coli", OPTIONS), chosen("I and II only", OPTIONS)) == ("C", "D")


def test_a_letter_alone_comes_before_a_choices_text() -> None:
    assert chosen("B", ("AB", "A", "B", "O")) == "B"


def test_choices_are_lettered_and_graded() -> None:
    example = choice_question(id="q", question="Which?", options=["3", "4"], answer=1)
    assert (example.choices, example.answer) == ("(A) 3\n(B) 4", "B")
    assert [is_right(example, dspy.Prediction(answer=text)) for text in ("B", "4", "A", "C", "")] == [1, 1, 0, 0, 0]


def test_a_right_answer_that_is_no_choice_is_unreadable() -> None:
    with pytest.raises(UnreadableAnswer, match="the right answer is choice 3 of 2"):
        choice_question(id="q", question="Which?", options=["3", "4"], answer=2)
