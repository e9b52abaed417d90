from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from dspy_fusion.experiments.statistics.intervals import (
    clopper_pearson_upper,
    macro_difference,
    mean_interval,
    paired_difference,
    pass_at,
    ratio_interval,
)


def one_seed(values: list[float]) -> dict[tuple[str, int], float]:
    return {(str(i), 0): value for i, value in enumerate(values)}


def test_interval_agrees_with_scipy() -> None:
    values = list(np.random.default_rng(1).uniform(size=80))
    ours = mean_interval(one_seed(values), resamples=20_000)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=0).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_repeating_every_seed_narrows_nothing() -> None:
    once = one_seed([0.1, 0.5, 0.9, 0.4, 0.7])
    thrice = {(example, seed): value for (example, _), value in once.items() for seed in range(3)}
    assert vars(mean_interval(thrice)) == pytest.approx(vars(mean_interval(once)))


def test_mean_counts_every_answer_once() -> None:
    assert mean_interval({("a", 0): 1.0, ("a", 1): 0.0, ("b", 0): 0.5}).mean == pytest.approx(0.5)


def test_one_example_has_no_interval() -> None:
    assert math.isnan(mean_interval({("a", 0): 0.5}).low)


def test_all_right_is_not_certainty() -> None:
    estimate = mean_interval(one_seed([1.0] * 20))
    assert (estimate.low, estimate.high) == pytest.approx((binomtest(20, 20).proportion_ci().low, 1.0))


def test_same_seed_gives_same_interval() -> None:
    values = one_seed([0.2, 0.4, 0.9])
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        mean_interval({})


def test_pairing_removes_what_examples_share() -> None:
    hard = list(np.linspace(0, 0.8, 40))
    better = paired_difference(one_seed([value + 0.1 for value in hard]), one_seed(hard))
    assert (better.mean, better.low, better.high) == pytest.approx((0.1, 0.1, 0.1))


def test_difference_uses_shared_pairs_only() -> None:
    assert paired_difference({("a", 0): 1.0, ("b", 0): 0.0}, {("a", 0): 0.5}).mean == 0.5


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 60), (59, 60)])
def test_clopper_pearson_agrees_with_scipy(hits: int, trials: int) -> None:
    exact = binomtest(hits, trials, alternative="less").proportion_ci(0.95).high
    assert clopper_pearson_upper(hits, trials) == pytest.approx(exact)


def test_clopper_pearson_of_all_hits_is_one() -> None:
    assert clopper_pearson_upper(5, 5) == 1.0


def test_pass_at_averages_over_all_subsets() -> None:
    pools = [[True, False, False, True], [False, False, False, False], [False, True, False, False]]
    for k, value in enumerate(pass_at(pools), 1):
        subsets = [any(pool[i] for i in chosen) for pool in pools for chosen in itertools.combinations(range(4), k)]
        assert value == pytest.approx(np.mean(subsets))


def test_intervals_do_not_depend_on_the_order_of_records() -> None:
    scores = {(f"e{i}", 0): float(i % 3) / 2 for i in range(20)}
    backwards = dict(reversed(scores.items()))
    assert mean_interval(scores) == mean_interval(backwards)


def test_strata_that_explain_everything_leave_no_width() -> None:
    scores = {(f"{group}{i}", 0): float(group == "a") for group in "ab" for i in range(10)}
    whole, within = mean_interval(scores), mean_interval(scores, strata={example: example[0] for example, _ in scores})
    assert whole.low < 0.4
    assert (within.mean, within.low, within.high) == (0.5, 0.5, 0.5)


def test_an_example_alone_in_its_stratum_dissolves_the_strata() -> None:
    scores = one_seed([0.1, 0.9, 0.3, 0.4])
    assert mean_interval(scores, strata={"0": "alone"}) == mean_interval(scores)


def test_every_stratum_counts_the_same_in_a_macro_difference() -> None:
    scores = {(f"{group}{i}", 0): float(group == "a") for group, n in (("a", 2), ("b", 8)) for i in range(n)}
    found = macro_difference(scores, dict.fromkeys(scores, 0.0), {example: example[0] for example, _ in scores})
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 10)


def test_macro_difference_agrees_with_scipy_within_strata() -> None:
    values = np.random.default_rng(2).uniform(size=(2, 60))
    scores = {(f"{group}{i}", 0): values[group, i] for group in range(2) for i in range(60)}
    ours = macro_difference(scores, dict.fromkeys(scores, 0.0), {example: example[0] for example, _ in scores})
    theirs = bootstrap(
        values, lambda a, b, axis: (a.mean(axis) + b.mean(axis)) / 2, method="percentile", rng=0
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_a_ratio_is_of_sums_and_has_no_width_where_it_is_constant() -> None:
    base = one_seed([1.0, 2.0, 5.0])
    found = ratio_interval({key: 3 * value for key, value in base.items()}, base)
    assert (found.mean, found.low, found.high) == pytest.approx((3, 3, 3))


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must not add up to 0"):
        ratio_interval(one_seed([1.0]), one_seed([0.0]))
