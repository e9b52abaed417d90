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
        ("3/4 parts right, 1/4 wrong", 0.75),
        ("1/4 wrong, 3/4 right", 0.75),
        ("1/4 of the parts are wrong", 0.75),
        ("20% incorrect", 0.8),
        ("\u00be", 0.75),
        ("\u00be of it is right", 0.75),
        ("\\frac{3}{4}", 0.75),
        ("0,25", 0.25),
        ("82,5 %", 0.825),
        ("three out of four", 0.75),
        ("3 of the 4 claims hold", 0.75),
        ("1/2 + 1/4 = 3/4", 0.75),
        ("First 1/4. Final verdict: 3/4", 0.75),
        ("3/4, that is 3/4", 0.75),
        ("Score (0-1): 0.8", 0.8),
        ("Score: 0.8 (80%)", 0.8),
        ('{"score": 0.5}', 0.5),
        ("Of 3 parts most hold: 0.5", 0.5),
    ],
)
def test_shares_are_read(verdict: str, share: float) -> None:
    assert read_share(verdict) == share


@pytest.mark.parametrize(
    "verdict", ["", "good", "7/4", "12", "3/0", "-1", "1/4 or 3/4", "20% ... 80%", "0.2 0.8", "120%", "-5%"]
)
def test_unreadable_shares_raise_with_the_text(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match=re.escape(repr(verdict))):
        read_share(verdict)


def test_ratings_are_the_last_two_numbers() -> None:
    assert read_ratings("of 4 points: 7 4") == (7, 4)
    for verdict in ("the first is better, 8", "11 4", "A: 0, B: 4"):
        with pytest.raises(UnreadableVerdict, match="no two ratings"):
            read_ratings(verdict)


@pytest.mark.parametrize(
    ("verdict", "ratings"),
    [
        ("8 9\n\nResponse 1 has 3 errors, response 2 has 1.", (8, 9)),
        ("Assistant A: 7/10, Assistant B: 4/10", (7, 4)),
        ("B: 4, A: 7", (7, 4)),
        ("Ratings (1-10): 7, 4", (7, 4)),
        ("7,5 4", (7.5, 4)),
        ("7,4", (7, 4)),
        ("**7** | **4**", (7, 4)),
        ("\uff17 \uff14", (7, 4)),
    ],
)
def test_ratings_of_a_pair_are_a_line_or_labelled(verdict: str, ratings: tuple[float, float]) -> None:
    assert read_ratings(verdict) == ratings


@pytest.mark.parametrize(
    ("verdict", "rating"),
    [
        ("7", 7),
        ("Rating: [[8]]", 8),
        ("Two of 3 steps are right. Rating: 6/10", 6),
        ("9 out of 10", 9),
        ("**Score:** 7.5", 7.5),
        ("Rating (1-10): 7", 7),
        ("Rating (1\u201310): 7", 7),
        ("Rating (on a scale of 1 to 10): 7", 7),
        ("On a scale from 1 to 10, I give it a 7.", 7),
        ("Rating (1 = bad, 10 = good): 7", 7),
        ("Rating [1-10]: 7", 7),
        ("**Rating**: 7", 7),
        ("Rating: **7**/10", 7),
        ("7 out of 10", 7),
        ("Score = 7.5", 7.5),
        ("Score: 7,5", 7.5),
        ("Score: 7\u00bd", 7.5),
        ("Bewertung: 8", 8),
        ("\u8bc4\u5206\uff1a\uff18", 8),
        ('{"rating": 7, "reason": "2 of 3 hold"}', 7),
        ('```json\n{"score": 7}\n```', 7),
        ("The rating is 7.", 7),
        ("I would give it a rating of 7", 7),
        ("$\\boxed{7}$", 7),
        ("Rating: 7. So I say rating: 7", 7),
        ("Style score: 4, content score: 6. Overall score: 5", 5),
        ("Rating: 3 at first. Final rating: 7", 7),
    ],
)
def test_a_rating_is_the_number_after_its_name_or_the_only_one(verdict: str, rating: float) -> None:
    assert read_rating(verdict, 1, 10) == rating


@pytest.mark.parametrize(
    "verdict",
    [
        "",
        "3 of the 5 points, so perhaps 6",
        "Rating: 11",
        "Rating: 0",
        "-3",
        "Rating: -3",
        "Rating: 3. Rating: 7",
        "Rating: 4/5",
        "70%",
        "Rating: 7-8",
        "Rating: 100",
        "4 out of 5",
        "Rating (1-10):",
        "Final rating: 3. Final rating: 4",
    ],
)
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
        ("Verdict: A", "A"),
        ("A is better", "A"),
        ("A is better than B", "A"),
        ("Response A", "A"),
        ("Response B is clearly the better answer.", "B"),
        ("Assistant B wins", "B"),
        ("A is worse.", "B"),
        ("The winner is B", "B"),
        ("The better response is A.", "A"),
        ("**Winner:** Assistant A", "A"),
        ("I prefer Response B because it is right.", "B"),
        ('{"winner": "B"}', "B"),
        ("{'verdict': 'A'}", "A"),
        ("Both are equally good", "tie"),
        ("Neither is better.", "tie"),
        ("It's a tie.", "tie"),
        ("It\u2019s a draw", "tie"),
        ("Verdict: a tie", "tie"),
        ("Verdict: equal", "tie"),
        ("\u3010\u3010B\u3011\u3011", "B"),
        ("(A)", "A"),
        ("A > B", "A"),
        ("\\boxed{\\text{B}}", "B"),
        ("A is more concise and A is better. B is longer.\nVerdict: B", "B"),
        ("[[A]] and again [[A]]", "A"),
        ("Verdict: A. On reflection, final verdict: B", "B"),
    ],
)
def test_preferences_are_read_from_marks_or_bare_words(verdict: str, preference: str) -> None:
    assert read_preference(verdict) == preference


@pytest.mark.parametrize(
    "verdict",
    [
        *(
            "",
            "[[D]]",
            "both",
            "1",
            "[[A]] [[B]]",
            "Verdict: A\nVerdict: B",
            "A is better in style, B is better in content",
        ),
        *(
            "I don't think A is better",
            "If A is better, say so",
            "A or B",
            "Verdict: A and B",
            "A is not better",
            "A good answer",
        ),
        *("Verdict: [[A]], winner: B", "A is a letter"),
    ],
)
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
        ("Judgment: 1 ... Final judgment: 2", 2),
        ("Judgment: 2. As I said, judgment: 2", 2),
        ("The best response is response 3, not 1", 3),
    ],
)
def test_a_choice_is_the_number_after_the_word_or_the_only_one(verdict: str, choice: int) -> None:
    assert read_choice(verdict, 4) == choice


@pytest.mark.parametrize(
    "verdict",
    ["", "Judgment: 0", "Judgment: 5", "Response 1 or 2", "the first", "-1", "1.5", "Judgment: 1 ... Judgment: 2"],
)
def test_a_choice_that_is_unclear_or_does_not_exist_is_unreadable(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match="no response from 1 to 4 is named"):
        read_choice(verdict, 4)
