from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test

from dspy_fusion.experiments.statistics.significance import holm, sign_flip_p


def pairs(differences: list[float]) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """Scores that differ by so much from a reference that is the same everywhere."""
    scores = {(f"{i:03}", 0): 0.5 + value for i, value in enumerate(differences)}
    return scores, dict.fromkeys(scores, 0.5)


@pytest.mark.parametrize("n", [6, 12, 60])
def test_p_agrees_with_scipy(n: int) -> None:
    differences = list(np.random.default_rng(n).normal(0.05, 0.2, n))
    theirs = permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=20_000, rng=1).pvalue
    assert sign_flip_p(*pairs(differences)) == pytest.approx(theirs, abs=0.012)


def test_few_examples_are_tried_in_full() -> None:
    assert sign_flip_p(*pairs([0.1] * 5)) == 2 / 2**5


def test_examples_without_a_difference_count_for_nothing() -> None:
    assert sign_flip_p(*pairs([0.1] * 5 + [0.0] * 50)) == 2 / 2**5


def test_no_difference_at_all_is_chance() -> None:
    assert sign_flip_p(*pairs([0.0] * 9)) == 1.0


def test_seeds_of_an_example_are_one_coin() -> None:
    scores = {(f"{i}", seed): 0.6 for i in range(5) for seed in range(10)}
    assert sign_flip_p(scores, dict.fromkeys(scores, 0.5)) == 2 / 2**5


def test_p_does_not_depend_on_the_order_of_records() -> None:
    scores, reference = pairs(list(np.random.default_rng(3).normal(0.02, 0.2, 40)))
    assert sign_flip_p(dict(reversed(scores.items())), reference) == sign_flip_p(scores, reference)


def test_under_chance_p_is_below_a_level_about_that_often() -> None:
    rng = np.random.default_rng(4)
    p_values = [sign_flip_p(*pairs(list(rng.choice([-1.0, 0.0, 1.0], 30))), flips=999) for _ in range(300)]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_nothing_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        sign_flip_p({("a", 0): 1.0}, {("b", 0): 1.0})


def test_holm_steps_down_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_takes_nothing() -> None:
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()
