from __future__ import annotations

import re

import pytest

from dspy_fusion.programs import UnreadableVerdict
from dspy_fusion.programs.scorers.verdicts import read_choice, read_preference, read_rating, read_ratings, read_share


@pytest.mark.parametrize(
    ("verdict", "share"),
    [
        ("3/4", 0.75),
        ("+-++ 3/4", 0.75),
        ("first 1/2, in all 7 of 10", 0.7),
        ("80%", 0.8),
        ("0.25", 0.25),
        ("Score: 1", 1.0),
    ],
)
def test_shares_are_read(verdict: str, share: float) -> None:
    assert read_share(verdict) == share


@pytest.mark.parametrize("verdict", ["", "good", "7/4", "12", "3/0", "-1"])
def test_unreadable_shares_raise_with_the_text(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match=re.escape(repr(verdict))):
        read_share(verdict)


def test_ratings_are_the_last_two_numbers() -> None:
    assert read_ratings("of 4 points: 7 4") == (7, 4)
    with pytest.raises(UnreadableVerdict, match="no two ratings"):
        read_ratings("the first is better, 8")


@pytest.mark.parametrize(
    ("verdict", "rating"),
    [
        ("7", 7),
        ("Rating: [[8]]", 8),
        ("Two of 3 steps are right. Rating: 6/10", 6),
        ("9 out of 10", 9),
        ("**Score:** 7.5", 7.5),
    ],
)
def test_a_rating_is_the_number_after_its_name_or_the_only_one(verdict: str, rating: float) -> None:
    assert read_rating(verdict, 1, 10) == rating


@pytest.mark.parametrize("verdict", ["", "3 of the 5 points, so perhaps 6", "Rating: 11", "Rating: 0", "-3"])
def test_a_rating_that_is_unclear_or_off_the_scale_is_unreadable(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match="no rating from 1 to 10"):
        read_rating(verdict, 1, 10)


@pytest.mark.parametrize(
    ("verdict", "preference"),
    [
        ("A is longer, but B is right. [[B]]", "B"),
        ("[[A]] at first sight, but no: [[tie]]", "tie"),
        ("[[C]]", "tie"),
        ("[[A>>B]]", "A"),
        ("[[B>A]]", "B"),
        ("[[A=B]]", "tie"),
        (" a. ", "A"),
        ("Response B", "B"),
        ("Tie", "tie"),
    ],
)
def test_preferences_are_read_from_marks_or_bare_words(verdict: str, preference: str) -> None:
    assert read_preference(verdict) == preference


@pytest.mark.parametrize("verdict", ["", "A is better than B", "[[D]]", "both", "1"])
def test_a_preference_that_must_be_guessed_is_unreadable(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match=re.escape(repr(verdict))):
        read_preference(verdict)


@pytest.mark.parametrize(
    ("verdict", "choice"),
    [
        ("Judgment: 3", 3),
        ("1 is wrong, 2 too. Judgement: [[1]]", 1),
        ("Response 2.", 2),
        ("4", 4),
        ("Judgment: 1 ... Judgment: 2", 2),
    ],
)
def test_a_choice_is_the_number_after_the_word_or_the_only_one(verdict: str, choice: int) -> None:
    assert read_choice(verdict, 4) == choice


@pytest.mark.parametrize("verdict", ["", "Judgment: 0", "Judgment: 5", "Response 1 or 2", "the first", "-1", "1.5"])
def test_a_choice_that_is_unclear_or_does_not_exist_is_unreadable(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match="no response from 1 to 4 is named"):
        read_choice(verdict, 4)
