from __future__ import annotations

import random

import pytest

from dspy_fusion.experiments.evidence.provenance import shared_in_order, spans_of, words_of


def test_spans_put_together_are_the_text() -> None:
    text = "  One fish,\ttwo fish.\n\nRed fish  "
    assert "".join(span.text for span in spans_of(text, ["one fish, two", "fish red"])) == text


def test_words_belong_to_the_text_that_has_them_in_a_run() -> None:
    spans = spans_of("the cat sat down. A dog barked loudly today", ["The cat sat down.", "yes a dog barked loudly"])
    assert [(span.text, span.sources) for span in spans] == [
        ("the cat sat down. ", (0,)),
        ("A dog barked loudly ", (1,)),
        ("today", ()),
    ]


def test_the_longer_run_wins_and_equal_runs_share() -> None:
    (whole,) = spans_of("a b c d", ["a b c d", "b c d x", "a b c d"])[:1]
    assert (whole.text, whole.sources) == ("a ", (0, 2))
    assert [span.sources for span in spans_of("a b c d", ["a b c", "a b c d", "z"])] == [(1,)]


def test_what_all_have_belongs_to_all_however_long_their_runs() -> None:
    assert [span.sources for span in spans_of("a b c", ["a b c d e", "x a b c"])] == [(0, 1)]


def test_two_words_in_passing_are_no_source() -> None:
    assert [span.sources for span in spans_of("of the new kind", ["of the old sort", "else"])] == [()]


def test_a_short_answer_is_compared_as_a_whole() -> None:
    assert [span.sources for span in spans_of("42", ["the answer is 42", "41"])] == [(0,)]


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_comes_from_nowhere(text: str) -> None:
    assert [span.words for span in spans_of(text, ["a b c"])] == [0] * bool(text)


def test_scripts_without_spaces_are_cut_into_characters() -> None:
    assert words_of("今日は good ไทย") == ("今", "日", "は", "good", "ไ", "ท", "ย")


def test_a_capital_that_grows_in_lower_case_shifts_nothing() -> None:
    assert [span.sources for span in spans_of("İstanbul büyük bir kent", ["İSTANBUL büyük bir kent"])] == [(0,)]


@pytest.mark.parametrize("seed", range(5))
def test_shared_in_order_is_the_longest_common_subsequence(seed: int) -> None:
    rng = random.Random(seed)
    one, other = ([rng.choice("abcd") for _ in range(rng.randint(5, 30))] for _ in range(2))
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if a == b else max(lengths[i][j + 1], lengths[i + 1][j])
    assert shared_in_order(" ".join(one), " ".join(other)) == pytest.approx(lengths[-1][-1] / len(one))


def test_a_copy_shares_all_and_an_empty_text_nothing() -> None:
    assert (shared_in_order("a b c", "x a b y c"), shared_in_order("", "a"), shared_in_order("a", "")) == (
        1.0,
        0.0,
        0.0,
    )
