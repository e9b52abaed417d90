from __future__ import annotations

import pytest

from dspy_fusion.experiments.readers.choice_letters import chosen, letter_in

CITIES = ("Paris", "London", "C", "New York")


@pytest.mark.parametrize(
    "answer",
    [
        *("B\n\nBecause it is the capital of the United Kingdom.", "B London", "option b", "Option B", "ANSWER: B"),
        *(
            "Die Antwort ist B",
            "La respuesta es B.",
            "La réponse est (B)",
            "Ответ: B",
            "答案是B。",
            "答案\uff1aB",
            "正解はBです",
        ),
        *('{"answer": "B"}', "<answer>B</answer>", "\\boxed{\\textbf{B}}", "$\\boxed{\\text{(B)}}$", "**Answer:** B"),
        *(
            "The answer is London",
            "The answer is London.",
            "So the correct answer is: **London**, of course.",
            "london",
        ),
        *("\uff22", "\uff08\uff22\uff09", "(b)", "b.", "b) London", "B: London", "B - London", "[B]", "\u3010B\u3011"),
        *("A. Paris is wrong. The answer is B.", "Final answer: B", "The correct option is B", "I choose B"),
        *("(B) is correct", "B is the right answer", "The correct choice is (B).", "Answer: (B)"),
        *("The answer is not A. The answer is B", "My answer is option B", "answer=B", "```\nB\n```", "`B`"),
        *(
            "Respuesta: B",
            "Antwort: B) London",
            "B, because it rhymes",
            "The answer is B) London",
            "उत्तर: B",
            "คำตอบคือ B",
        ),
    ],
)
def test_the_choice_is_read(answer: str) -> None:
    assert chosen(answer, CITIES) == "B"


@pytest.mark.parametrize("answer", ["A. Paris is wrong. B. London is right.", "A) no\nB) yes"])
def test_a_walk_through_the_choices_is_not_its_first_one(answer: str) -> None:
    assert chosen(answer, CITIES) in ("B", None)


@pytest.mark.parametrize(
    "answer",
    [
        *("I think A cat did it", "A cat", "a city", "A", "A or B", "Paris or London", "C++ is a language", "", None),
        *("The answer is unclear", "The answer is a city", "Not B", "(A) and (B)", "The answer is A/B", "Bees", "E"),
        *("The answer is A-B", "A. Paris\nB. London\nC. C\nD. New York"),
    ],
)
def test_an_unclear_answer_is_unread(answer: str | None) -> None:
    assert chosen(answer, CITIES) == ("A" if answer == "A" else None)


def test_letters_without_choices() -> None:
    assert [letter_in(text) for text in ("I think A cat", "answer: d", "H", "I", "Option C", "z")] == [
        None, "D", "H", None, "C", None,
    ]  # fmt: skip


def test_choices_with_letters_in_their_text() -> None:
    options = ("vitamin A", "vitamin B", "A and B", "hepatitis C")
    assert chosen("vitamin B", options) == "B"
    assert chosen("The answer is vitamin A", options) == "A"
    assert chosen("A and B", options) == "C"
    assert chosen("D. hepatitis C", options) == "D"
    assert chosen("The answer is hepatitis C", options) == "D"
    assert chosen("The answer is New York City", ("New York", "New York City")) == "B"


def test_a_choices_text_comes_before_letters_in_it() -> None:
    assert chosen("The answer is A tree removes a gas.", ("A tiger hunts", "A tree removes a gas", "Rain")) == "B"
    assert chosen("The answer is A and B only", ("one", "two", "neither", "A and B only")) == "D"
    assert chosen("The answer is \u22121", ("1", "-1", "0", "2")) == "B"
    assert chosen("The answer is B-cells", ("T-cells", "phagocytes", "B-cells")) == "C"
    assert chosen("(B) H_{2}O", ("H_{2}", "H_{2}O")) == "B"
