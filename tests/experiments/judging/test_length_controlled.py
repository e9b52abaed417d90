from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dspy_fusion.experiments.judging.length_controlled import Match, instruction_difficulty, win_rates
from dspy_fusion.programs import ConfigurationError


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def verdicts(
    strength: float,
    length_bias: float,
    *,
    longer_by: float = 0.0,
    n: int = 2000,
    hard: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[list[Match], float]:
    """Verdicts of a judge with a known liking for length, and the win rate without it."""
    rng = np.random.default_rng(seed)
    difference = rng.normal(longer_by, 600, n)
    quality = strength + (0 if hard is None else hard)
    odds = sigmoid(quality + length_bias * np.tanh(difference / difference.std(ddof=1)))
    wins = rng.random(n) < odds
    matches = [Match(f"x{i}", float(wins[i]), 2000 + int(difference[i]), 2000) for i in range(n)]
    return matches, float(np.mean(sigmoid(quality * np.ones(n))))


def swapped(matches: list[Match]) -> list[Match]:
    return [replace(m, win=1 - m.win, length=m.baseline_length, baseline_length=m.length) for m in matches]


@pytest.mark.parametrize("strength", [-0.8, 0.0, 0.6])
@pytest.mark.parametrize("longer_by", [-500, 700])
def test_the_truth_without_length_is_recovered(strength: float, longer_by: float) -> None:
    matches, truth = verdicts(strength, 1.5, longer_by=longer_by)
    found = win_rates(matches, resamples=5)
    assert abs(found.raw.mean - truth) > 0.08
    assert abs(found.controlled.mean - truth) < 0.04
    assert found.length_effect == pytest.approx(1.5, abs=0.4)


def test_a_judge_without_length_bias_is_left_alone() -> None:
    found = win_rates(verdicts(0.4, 0.0, longer_by=300)[0], resamples=5)
    assert found.controlled.mean == pytest.approx(found.raw.mean, abs=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    def covers(seed: int) -> bool:
        matches, truth = verdicts(0.5, 1.5, longer_by=400, n=300, seed=seed)
        rate = win_rates(matches, resamples=50, confidence=0.9).controlled
        return rate.low <= truth <= rate.high

    assert sum(covers(seed) for seed in range(10)) >= 7


def test_swapping_model_and_baseline_gives_one_minus_the_rate() -> None:
    hard = np.random.default_rng(1).normal(0, 1, 400)
    matches, _ = verdicts(0.5, 1.0, longer_by=300, n=400, hard=hard)
    difficulty = {f"x{i}": float(hard[i]) for i in range(400)}
    forth = win_rates(matches, difficulty=difficulty, resamples=20)
    back = win_rates(swapped(matches), difficulty=difficulty, resamples=20)
    assert forth.controlled.mean + back.controlled.mean == pytest.approx(1, abs=1e-6)
    assert forth.controlled.low + back.controlled.high == pytest.approx(1, abs=1e-6)
    assert forth.length_effect == pytest.approx(back.length_effect, abs=1e-4)


def test_a_model_against_itself_has_half() -> None:
    found = win_rates([Match(f"x{i}", 0.5, 100 + i, 100 + i) for i in range(50)], resamples=20)
    assert (found.raw.mean, found.controlled.mean) == (0.5, 0.5)
    assert found.controlled.low == found.controlled.high == 0.5


def test_difficulties_are_found_from_several_models() -> None:
    hard = np.random.default_rng(2).normal(0, 1.2, 800)
    settings: list[tuple[float, float]] = [(0.0, 500), (0.8, -300), (-0.7, 700), (0.3, 0), (1.2, 300), (-0.2, -600)]
    drawn = {f"m{k}": verdicts(s, 1.5, longer_by=d, n=800, hard=hard, seed=k) for k, (s, d) in enumerate(settings)}
    difficulty = instruction_difficulty({name: matches for name, (matches, _) in drawn.items()})
    assert np.corrcoef(list(difficulty.values()), hard)[0, 1] > 0.7
    assert sum(difficulty.values()) == pytest.approx(0, abs=1e-9)
    for matches, truth in drawn.values():
        assert win_rates(matches, difficulty=difficulty, resamples=5).controlled.mean == pytest.approx(truth, abs=0.09)


@pytest.mark.parametrize("win", [0.0, 1.0])
def test_all_or_nothing_stays_finite(win: float) -> None:
    found = win_rates([Match(f"x{i}", win, 100 + 7 * i, 200) for i in range(40)], resamples=20)
    assert abs(found.controlled.mean - win) < 0.05
    assert math.isfinite(found.length_effect)


def test_answers_of_one_instruction_are_resampled_together() -> None:
    one = win_rates([Match("only", win, 100, 90) for win in (1.0, 0.0, 1.0)], resamples=20)
    assert math.isnan(one.controlled.low)
    assert one.controlled.n == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: win_rates([]), "no verdicts to take a win rate of"),
        (lambda: instruction_difficulty({}), "no verdicts to estimate difficulties from"),
        (
            lambda: win_rates([Match("x", 1, 2, 3)], difficulty={"y": 0.0}),
            "no difficulty is given for the instruction 'x'",
        ),
    ],
)
def test_what_is_missing_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        call()
