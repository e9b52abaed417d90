from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.answer_keys import answer_key, is_same
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.programs.errors import ConfigurationError


def test_arrays_say_what_was_recorded(pool: Callable[..., RecordedPool]) -> None:
    found = pool("Aa-", "?Bb")
    assert found.shape == (2, 3)
    assert found.present.tolist() == [[True, True, False], [True, True, True]]
    assert found.quality.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert found.answers.tolist() == [[0, 0, -1], [-1, 0, 0]]  # a capital and its small letter are one answer to a vote
    assert found.lengths[0].tolist()[:2] == [3, 3]
    assert found.texts(0) == ["AAA", "aaa", ""]


def test_a_source_may_have_several_columns() -> None:
    drawn = tuple(RecordedCandidate("m", str(i), str(i), 1.0, draw=i) for i in range(3))
    found = RecordedPool.of("set", [RecordedQuestion("q", "?", drawn)])
    assert (found.columns, found.sources) == (("m", "m#2", "m#3"), ("m", "m", "m"))


def test_what_was_made_from_others_is_left_out_unless_named() -> None:
    question = RecordedQuestion("q", "?", (RecordedCandidate("m", "x"), RecordedCandidate("fusion", "y", derived=True)))
    assert RecordedPool.of("set", [question]).columns == ("m",)
    assert RecordedPool.of("set", [question], columns=["fusion"]).columns == ("fusion",)
    assert RecordedPool.of("set", [question], derived=True).columns == ("m", "fusion")


def test_questions_of_unknown_correctness_are_left_out(pool: Callable[..., RecordedPool]) -> None:
    found = pool("Ab", "Ab", quality=[[1.0, 0.0], [1.0, None]])
    assert [question.id for question in found.graded().questions] == ["q0"]
    assert np.isnan(found.quality[1, 1])


def test_columns_and_rows_are_taken_together(pool: Callable[..., RecordedPool]) -> None:
    found = pool("Abc", "aBc").take([2, 0]).rows(np.array([1]))
    assert (found.columns, found.sources, [question.id for question in found.questions]) == (
        ("s2", "s0"),
        ("s2", "s0"),
        ["q1"],
    )
    assert found.quality.tolist() == [[0.0, 0.0]]


def test_a_source_that_is_not_there_is_named(pool: Callable[..., RecordedPool]) -> None:
    with pytest.raises(ConfigurationError, match="the set 'letters' has no source 's9'; it has: s0, s1"):
        RecordedPool.of("letters", pool("Ab").questions, columns=["s9"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200", "$1200.00"),
        ("20", "20.00"),
        ("Paris.", "  paris"),
        ("0", "-0.0"),
        ("50%", "50"),
        ("1e3", "1E3"),
        ("٣", "3"),
    ],
)
def test_answers_are_equal_however_they_are_written(one: str, other: str) -> None:
    assert is_same(one, other)


@pytest.mark.parametrize(("one", "other"), [("1.200", "1200"), ("12", "1 2"), ("", "0"), ("-5", "5")])
def test_different_answers_stay_different(one: str, other: str) -> None:
    assert answer_key(one) != answer_key(other)


def test_a_very_long_number_is_a_text() -> None:
    assert answer_key("9" * 10_000) == "9" * 10_000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": ""}, "a candidate has no source"),
        ({"quality": 1.5}, r"the correctness of 'm' is 1\.5, which is not in \[0, 1\]"),
        ({"score": float("inf")}, "the score of 'm' is inf, which is no finite number"),
        ({"text": None}, "the candidate of 'm' has neither a text nor an answer nor a correctness"),
    ],
)
def test_a_candidate_is_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordedCandidate(**{"source": "m", "text": "x", **values})
