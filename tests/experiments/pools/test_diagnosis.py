"""What a few questions are taken to mean: pools made so that one thing to do is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dspy_fusion.experiments.diagnoses.advice import saturation
from dspy_fusion.experiments.diagnoses.diagnosis import Diagnosis, diagnose, sampled
from dspy_fusion.experiments.diagnoses.diagnosis_tables import diagnosis_tables, sentences, to_json
from dspy_fusion.experiments.diagnoses.live_pool import PartFacts
from dspy_fusion.experiments.diagnoses.prospects import strata
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.statistics.intervals import Interval
from dspy_fusion.programs.errors import ConfigurationError

Pool = Callable[..., RecordedPool]


def look(pool: RecordedPool, **options: object) -> Diagnosis:
    return diagnose("letters", pool.questions, subsets=30, resamples=200, **options)


def independent(pool: Pool, skill: float, count: int = 60, size: int = 9) -> RecordedPool:
    """Sources that are right independently of one another, and wrong each in its own way."""
    rng = np.random.default_rng(1)
    wrong = "bcdefghijkl"
    return pool(
        *["".join("A" if rng.random() < skill else wrong[place] for place in range(size)) for _ in range(count)]
    )


def test_independent_sources_should_vote(pool: Pool) -> None:
    found = look(independent(pool, 0.5))
    assert found.advice.strategy.startswith("vote")
    assert 3 <= found.advice.n <= 9
    assert found.advice.reasons[0].startswith(f"{found.advice.strategy} beats one answer of s")


def test_sources_that_err_together_are_not_worth_a_pool(pool: Pool) -> None:
    found = look(pool(*["AAA"] * 30, *["bbb"] * 30))
    assert (found.advice.strategy, found.advice.n) == ("one answer of s0", 1)
    assert found.advice.reasons == (
        "even a perfect choice among 3 candidates would gain only +0.0 points [+0.0, +0.0]",
    )


def test_where_choosing_fails_but_a_right_answer_is_there_fusing_and_judging_are_compared(pool: Pool) -> None:
    rows = [["A", "b", "c", "d"], ["a", "B", "c", "d"], ["a", "b", "C", "d"], ["a", "b", "c", "D"]]
    found = look(pool(*["".join(row) for row in rows * 15]))
    assert found.advice.strategy.startswith("a comparison of fusion and of best of N by a judge with one answer of s")
    assert found.advice.reasons[1].startswith("a perfect choice would gain +75.0 points")
    assert found.advice.n == 4


def test_parts_that_could_be_put_together_call_for_fusion(pool: Pool) -> None:
    found = look(independent(pool, 0.5), parts=PartFacts(vote=0.9, best=1.1))
    assert found.advice.strategy == "fusion, compared with a vote per part"
    assert found.advice.n <= 7
    assert ("oracle per part", "110.0") in [row[:2] for table in diagnosis_tables(found) for row in table.rows]


def test_what_cannot_be_known_is_said(pool: Pool) -> None:
    said = "\n".join(sentences(look(independent(pool, 0.5))))
    assert "Not known from this:" in said
    assert "what fusion scores: it writes new answers. Had it the success of published fusors" in said
    assert "how close a judge or a reward model comes to the perfect choice" in said


def test_answers_right_by_degrees_give_no_bracket_for_fusion(pool: Pool) -> None:
    found = look(pool("Ab", "aB", "ab", quality=[[0.4, 0.2], [0.1, 0.9], [0.3, 0.3]]))
    assert found.prospects.fusion is None
    assert any("only fusing tells" in text for text in found.advice.unknown)


def test_published_fusors_end_between_all_right_and_any_right(pool: Pool) -> None:
    found = look(pool("AAAA", "AAAA", "abcd", "Abcd"))
    assert found.prospects.fusion == pytest.approx(((2 * 0.99) / 4, (2 + 0.09 + 1) / 4))
    assert found.prospects.right == (0.25, 0.25, 0.0, 0.5)


def test_strata_of_a_few_are_the_mean_over_subsets() -> None:
    assert strata([0, 4], 4, 4) == (0.5, 0.0, 0.0, 0.5)
    assert strata([2], 4, 2) == pytest.approx((1 / 6, 4 / 6, 0, 1 / 6))


def test_candidates_that_add_nothing_are_named(pool: Pool) -> None:
    found = look(pool("Abb", "aBb", "Abb", "aBb"))
    assert [facts.column for facts in found.idle] == ["s2"]
    assert "  one of these could be left out without loss to a perfect choice: s2" in sentences(found)


def test_few_questions_are_called_few(pool: Pool) -> None:
    assert look(pool("Ab", "aB", "ab")).notes[-1] == "3 questions are few: look at 20 or more before relying on this"
    assert not look(independent(pool, 0.5, count=20)).notes


def test_without_correctness_there_is_no_diagnosis(pool: Pool) -> None:
    with pytest.raises(
        ConfigurationError, match="it is known for fewer than 2 of 1 questions which candidates are right"
    ):
        look(pool("Ab"))


def test_a_sample_is_seeded_and_keeps_the_order(pool: Pool) -> None:
    questions = pool(*["Ab"] * 50).questions
    some = sampled(questions, 10, seed=1)
    assert [int(question.id[1:]) for question in some] == sorted(int(question.id[1:]) for question in some)
    assert some == sampled(questions, 10, seed=1) != sampled(questions, 10, seed=2)
    assert sampled(questions, 99) == questions


def test_saturation_is_where_little_more_is_gained() -> None:
    curve = [Interval(value, value, value, 10) for value in (0.5, 0.8, 0.95, 0.99, 1.0)]
    assert saturation(curve) == 3
    assert saturation(curve[:1] * 3) == 1


def test_all_numbers_are_plain_data(pool: Pool) -> None:
    numbers = to_json(look(pool("Ab", "aB", "ab")), {})
    assert numbers["recommended"]["n"] >= 1
    assert numbers["beta"]["share"] == pytest.approx(1 / 3)
