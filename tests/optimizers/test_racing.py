from __future__ import annotations

import numpy as np
import pytest

from dspy_fusion.optimizers.racing import Race, is_hopeless, looks
from dspy_fusion.optimizers.study_store import Outcome


def dropped(trial: list[float], incumbent: list[float], error: float = 0.1) -> bool:
    return any(is_hopeless(trial[:n], incumbent, total=len(incumbent), error=error) for n in looks(len(incumbent)))


@pytest.mark.parametrize("examples", [1, 7, 8, 9, 100])
def test_looks_grow_and_end_with_all_examples(examples: int) -> None:
    lengths = looks(examples)
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == examples
    assert lengths[0] == min(8, examples)


def test_a_trial_that_differs_nowhere_is_kept() -> None:
    assert not dropped([0.5] * 50, [0.5] * 50)


def test_a_trial_that_is_always_worse_is_dropped_at_the_first_look() -> None:
    assert is_hopeless([0.0] * 8, [1.0] * 50, total=50)


def test_a_better_trial_is_kept() -> None:
    assert not dropped([1.0, 0.0] * 25, [0.0, 0.0] * 25)


def test_a_whole_trial_is_not_dropped() -> None:
    assert not is_hopeless([0.0] * 50, [1.0] * 50, total=50)


def test_a_dearer_trial_must_be_better_by_the_tolerance() -> None:
    rng = np.random.default_rng(2)
    rival = [Outcome(str(i), float(score), cost=1.0) for i, score in enumerate(rng.random(100))]
    alike = [Outcome(o.example, o.score + 0.01 * (-1) ** i, cost=2.0) for i, o in enumerate(rival)]
    race = Race(100, 0.1)
    assert race.is_lost(alike[:40], [rival], tolerance=0.05, by_cost=True)
    assert not race.is_lost(alike[:40], [rival], tolerance=0.0, by_cost=True)
    assert not race.is_lost(rival[:40], [alike], tolerance=0.05, by_cost=True)


def test_a_cheaper_trial_is_not_dropped_for_its_quality_where_cost_counts() -> None:
    good, bad = ([Outcome(str(i), score, cost=cost) for i in range(50)] for score, cost in ((1.0, 2.0), (0.0, 1.0)))
    assert not Race(50, 0.1).is_lost(bad[:8], [good], tolerance=0.0, by_cost=True)
    assert Race(50, 0.1).is_lost(bad[:8], [good], tolerance=0.0, by_cost=False)


def test_without_an_error_nothing_is_dropped() -> None:
    assert not dropped([0.0, 0.1] * 25, [1.0] * 50, error=0)


@pytest.mark.parametrize("kind", ["binary", "graded"])
def test_equals_are_rarely_dropped_over_all_looks(kind: str) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((2, 600, 100))
    ours, theirs = scores < 0.6 if kind == "binary" else scores
    rate = np.mean([dropped(list(map(float, a)), list(map(float, b)), error=0.1) for a, b in zip(ours, theirs, strict=True)])
    assert rate < 0.1 + 2 * (0.1 * 0.9 / 600) ** 0.5


def test_clearly_worse_trials_are_mostly_dropped() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.random((200, 100)) < 0.3, rng.random((200, 100)) < 0.6
    rate = np.mean([dropped(list(map(float, a)), list(map(float, b))) for a, b in zip(ours, theirs, strict=True)])
    assert rate > 0.9
