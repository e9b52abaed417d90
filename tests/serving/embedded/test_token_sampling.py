from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dspy_fusion.serving.embedded.token_sampling import Sampling, draw_tokens, log_probabilities

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


def test_a_longer_answer_begins_with_the_same_numbers() -> None:
    assert Sampling(20, seed=7).uniforms()[:5].tolist() == Sampling(5, seed=7).uniforms().tolist()


def test_no_seed_draws_afresh() -> None:
    assert Sampling(5).uniforms().tolist() != Sampling(5).uniforms().tolist()


def test_any_whole_number_is_a_seed() -> None:
    assert Sampling(5, seed=-1).uniforms().tolist() != Sampling(5, seed=1).uniforms().tolist()


def test_log_probabilities_sum_to_one() -> None:
    assert np.exp(log_probabilities(LOGITS * 3 + 5)).sum() == pytest.approx(1)
