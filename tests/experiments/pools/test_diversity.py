from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from dspy_fusion.experiments.pools.complementarity import error_correlation, source_facts
from dspy_fusion.experiments.pools.diversity import diversity, vendi_scores
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.pools.similarity import medoid_curve, similarities

Pool = Callable[..., RecordedPool]


@pytest.mark.parametrize(
    ("alike", "expected"), [(np.ones((4, 4)), 1), (np.eye(4), 4), (np.kron(np.eye(2), np.ones((2, 2))), 2)]
)
def test_the_vendi_score_counts_what_is_different(alike: np.ndarray, expected: float) -> None:
    assert vendi_scores(alike[None], np.ones((1, 4), dtype=bool))[0] == pytest.approx(expected)


def test_failed_candidates_do_not_count(pool: Pool) -> None:
    counted = np.array([[True, True, False], [False, False, False]])
    assert vendi_scores(np.stack([np.eye(3)] * 2), counted).tolist() == pytest.approx([2, 0])
    found = diversity(pool("Ab-", "AA-", "??A", "bbb"), None)
    assert found.answers == 5 / 4
    assert found.agreement == pytest.approx(2 / 3)  # of the three questions in which two gave an answer
    assert found.answer_vendi == pytest.approx(5 / 4)
    assert math.isnan(found.text_vendi)


def test_texts_are_alike_by_what_they_say(pool: Pool) -> None:
    texts = [["the cat sat on the mat", "The  cat sat on the mat", "42"]]
    (alike,) = similarities(pool("Abc", text=texts))
    assert alike[0, 1] == pytest.approx(1, abs=1e-6)
    assert alike[0, 2] < 0.1
    assert (np.diag(alike) == 1).all()


@pytest.mark.parametrize("text", ["", " ", "\ud800", "日本語のテキスト", "x" * 100_000])
def test_any_text_has_a_place(text: str, pool: Pool) -> None:
    (alike,) = similarities(pool("Ab", text=[[text, "something else"]]))
    assert np.isfinite(alike).all()


def test_the_medoid_is_like_most_others(pool: Pool) -> None:
    letters = pool("bAc", text=[["it is four", "it is four indeed", "so it is four indeed"]])
    found = medoid_curve(letters, similarities(letters), subsets=60, seed=0)
    assert found[0, 0] == pytest.approx(1 / 3)
    assert found[0, 2] == 1


def test_a_missing_text_is_no_medoid(pool: Pool) -> None:
    letters = pool("-Ab", "---", "abc")
    found = medoid_curve(letters, similarities(letters), subsets=3000, seed=0)
    assert found[0, 2] == pytest.approx(0.5, abs=0.03)
    assert not found[1].any()


def test_each_source_is_measured_for_what_it_adds(pool: Pool) -> None:
    facts = source_facts(pool("Ab-", "AB-", "aBc", "AB-"), resamples=50)
    assert [fact.alone for fact in facts] == [1, 1, 0]
    assert [fact.oracle_loss for fact in facts] == [0.25, 0.25, 0]
    assert [fact.answered for fact in facts] == [4, 4, 1]
    assert [fact.score.mean for fact in facts] == [0.75, 0.75, 0]


def test_sources_that_err_apart_correlate_negatively(pool: Pool) -> None:
    found = error_correlation(pool("AbA", "aBa", "AbA", "aBa"))
    assert found[0, 2] == pytest.approx(1)
    assert found[0, 1] == pytest.approx(-1)
    assert math.isnan(error_correlation(pool("Ab", "Ab"))[0, 1])
