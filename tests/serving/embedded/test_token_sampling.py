from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dspy_fusion.serving.embedded.token_sampling import (
    Sampling,
    draw_certain_tokens,
    draw_tokens,
    log_probabilities,
)

LOGITS = np.log([0.1, 0.4, 0.2, 0.3])
GRID = ((np.arange(1000) + 0.5) / 1000).tolist()


def shares(**options: Any) -> list[float]:
    drawn = draw_tokens(np.tile(LOGITS, (1000, 1)), [Sampling(1, **options)] * 1000, GRID)
    return (np.bincount(drawn, minlength=4) / 1000).tolist()


def test_tokens_come_as_often_as_they_are_likely() -> None:
    assert shares() == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=1e-3)


def test_temperature_sharpens_and_flattens() -> None:
    assert shares(temperature=0.5) == pytest.approx(np.array([1, 16, 4, 9]) / 30, abs=1e-3)
    assert shares(temperature=0) == [0, 1, 0, 0]


def test_top_k_keeps_the_likeliest() -> None:
    assert shares(top_k=2) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=1e-3)
    assert shares(top_k=99) == shares()


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    assert shares(top_p=0.65) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=1e-3)
    assert shares(top_p=0) == [0, 1, 0, 0]


def test_rows_of_one_step_are_drawn_by_their_own_options() -> None:
    samplings = [Sampling(1, temperature=0), Sampling(1, top_k=1), Sampling(1)]
    assert draw_tokens(np.tile(LOGITS, (3, 1)), samplings, [0.99, 0.99, 0.99]) == [1, 1, 3]


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.2}, {"temperature": 0}, {"top_k": 3}, {"top_p": 0.7}, {"top_p": 0.9, "top_k": 5}]
)
def test_a_certain_token_is_the_same_with_any_error(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    logits, uniforms, error = rng.normal(size=(2000, 8)), rng.random(2000).tolist(), 0.05
    samplings = [Sampling(1, **options)] * 2000
    certain = draw_certain_tokens(logits, samplings, uniforms, np.full(2000, error))
    for _ in range(100):
        other = draw_tokens(logits + rng.choice([-error, error], logits.shape), samplings, uniforms)
        assert all(token in (None, drawn) for token, drawn in zip(certain, other, strict=True))
    assert 0.3 < np.mean([token is not None for token in certain]) < 1


def test_without_errors_every_token_is_certain() -> None:
    logits, samplings = np.random.default_rng(0).normal(size=(1000, 8)), [Sampling(1, top_p=0.9)] * 1000
    assert draw_certain_tokens(logits, samplings, GRID, np.zeros(1000)) == draw_tokens(logits, samplings, GRID)


def test_equal_scores_are_told_apart_by_their_order_alone() -> None:
    logits, tied = np.zeros((3, 4)), [Sampling(1, temperature=0), Sampling(1, top_k=2), Sampling(1, top_p=0.5)]
    assert draw_certain_tokens(logits, tied, [0.1] * 3, np.full(3, 1e-6)) == [None, None, None]
    assert draw_tokens(logits, tied, [0.1] * 3) == [0, 0, 0]


def test_a_longer_answer_begins_with_the_same_numbers() -> None:
    assert Sampling(20, seed=7).uniforms()[:5].tolist() == Sampling(5, seed=7).uniforms().tolist()


def test_no_seed_draws_afresh() -> None:
    assert Sampling(5).uniforms().tolist() != Sampling(5).uniforms().tolist()


def test_any_whole_number_is_a_seed() -> None:
    assert Sampling(5, seed=-1).uniforms().tolist() != Sampling(5, seed=1).uniforms().tolist()


def test_log_probabilities_sum_to_one() -> None:
    assert np.exp(log_probabilities(LOGITS * 3 + 5)).sum() == pytest.approx(1)
