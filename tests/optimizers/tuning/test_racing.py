from __future__ import annotations

import numpy as np
import pytest

from dspy_fusion.optimizers.tuning.racing import Race, looks, shortfall
from dspy_fusion.optimizers.tuning.scores.study_store import Outcome


def is_hopeless(trial: np.ndarray, incumbent: np.ndarray, **options: float) -> bool:
    return shortfall(trial, incumbent, **options) is not None


def dropped(trial: np.ndarray, incumbent: np.ndarray, error: float = 0.1) -> bool:
    return any(is_hopeless(trial[:n], incumbent, error=error) for n in looks(len(incumbent)))


def is_lost(race: Race, outcomes: list[Outcome]) -> bool:
    return race.shortfall(outcomes) is not None


def outcomes(scores: np.ndarray, cost: float) -> list[Outcome]:
    return [Outcome(str(i), float(score), cost=cost) for i, score in enumerate(scores)]


@pytest.mark.parametrize("examples", [1, 6, 7, 100])
def test_looks_grow_and_end_with_all_examples(examples: int) -> None:
    lengths = looks(examples)
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == examples
    assert lengths[0] == min(6, examples)


def test_a_trial_that_differs_nowhere_is_kept() -> None:
    assert not dropped(np.full(50, 0.5), np.full(50, 0.5))


def test_a_trial_that_is_always_worse_is_dropped_at_the_first_look() -> None:
    assert is_hopeless(np.zeros(6), np.ones(50))


def test_a_better_trial_is_kept() -> None:
    assert not dropped(np.tile([1.0, 0.0], 25), np.zeros(50))


def test_a_whole_trial_is_not_dropped() -> None:
    assert not is_hopeless(np.zeros(50), np.ones(50))


def test_without_an_error_nothing_is_dropped() -> None:
    assert not dropped(np.zeros(50), np.ones(50), error=0)


def test_a_trial_that_costs_as_much_must_be_better_by_the_tolerance() -> None:
    rival = np.random.default_rng(2).random(100)
    alike = outcomes(rival + 0.01 * (-1) ** np.arange(100), cost=2.0)
    assert is_lost(Race([outcomes(rival, 1.0)], error=0.1, tolerance=0.05, by_cost=True), alike[:40])
    assert is_lost(Race([outcomes(rival, 2.0)], error=0.1, tolerance=0.05, by_cost=True), alike[:40])
    assert not is_lost(Race([outcomes(rival, 1.0)], error=0.1, by_cost=True), alike[:40])
    assert not is_lost(Race([outcomes(rival, 3.0)], error=0.1, tolerance=0.05, by_cost=True), alike[:40])


def test_a_cheaper_trial_may_be_worse_by_the_tolerance_and_without_one_by_any_amount() -> None:
    good, bad = outcomes(np.ones(50), 2.0), outcomes(np.zeros(50), 1.0)
    assert not is_lost(Race([good], error=0.1, by_cost=True), bad[:8])
    assert is_lost(Race([good], error=0.1, tolerance=0.1, by_cost=True), bad[:8])
    assert is_lost(Race([good], error=0.1), bad[:8])


def test_a_trial_that_has_differed_nowhere_is_dropped_only_when_the_rest_cannot_make_the_tolerance() -> None:
    same = np.tile([1.0, 0.5], 50)
    assert not is_hopeless(same[:13], same, margin=0.02)
    assert is_hopeless(same[:90], same, margin=0.02)


@pytest.mark.parametrize("kind", ["binary", "graded"])
def test_of_trials_that_would_have_been_ahead_few_are_dropped(kind: str) -> None:
    rng = np.random.default_rng(0)
    skill = rng.random((600, 100))  # of an example, which both share
    scores = (skill + 0.5 * rng.random((2, 600, 100))) / 1.5
    ours, theirs = (scores > 0.5).astype(float) if kind == "binary" else scores
    ahead = ours.mean(axis=1) >= theirs.mean(axis=1)
    assert 200 < ahead.sum() < 400
    assert np.mean([dropped(a, b) for a, b in zip(ours[ahead], theirs[ahead], strict=True)]) < 0.1


def test_clearly_worse_trials_are_mostly_dropped_early() -> None:
    rng = np.random.default_rng(1)
    pairs = zip(1.0 * (rng.random((200, 100)) < 0.3), 1.0 * (rng.random((200, 100)) < 0.6), strict=True)
    lengths = [next(n for n in looks(100) if n == 100 or is_hopeless(a[:n], b)) for a, b in pairs]
    assert np.mean(np.array(lengths) < 100) > 0.9
    assert np.median(lengths) <= 30


def test_knowing_the_hard_examples_tells_trials_apart_sooner() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random((200, 100))
    ours, theirs, others = (0.5 * hard + 0.2 * rng.random((200, 100)) for _ in range(3))
    ours = ours - 0.05
    alone, together = (
        np.mean(
            [is_hopeless(a[:10], b, common=c if known else None) for a, b, c in zip(ours, theirs, others, strict=True)]
        )
        for known in (False, True)
    )
    assert together > alone


def test_what_was_lost_by_more_has_a_larger_shortfall() -> None:
    rival = np.random.default_rng(3).random(60)
    noise = 0.01 * (-1) ** np.arange(20)
    little, much = (shortfall(rival[:20] - behind + noise, rival) for behind in (0.05, 0.4))
    assert little == pytest.approx(0.05, abs=0.01)
    assert much == pytest.approx(0.4, abs=0.01)
