"""A certificate names the mode, and is false no more often than it says, whenever one stops."""

from __future__ import annotations

import random

import pytest

from dspy_fusion.programs import ConfigurationError
from dspy_fusion.programs.pools.certificate import certified_after, is_certified


def test_a_clear_lead_is_certified_and_a_narrow_one_is_not() -> None:
    assert is_certified(20, [], 0.05)
    assert is_certified(30, [3, 2], 0.05)
    assert not is_certified(10, [9], 0.05)
    assert not is_certified(2, [], 0.05)


def test_a_smaller_alpha_asks_for_more() -> None:
    draws = ["a"] * 60
    stops = [certified_after(draws, alpha) for alpha in (0.2, 0.05, 0.001)]
    counts = [stop[1] for stop in stops if stop is not None]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


@pytest.mark.parametrize("alpha", [0.2, 0.05])
def test_false_certificates_are_as_rare_as_promised_at_any_time(alpha: float) -> None:
    rng, false = random.Random(1), 0
    for _ in range(1500):
        stop = certified_after(rng.choices("ab", (0.5001, 0.4999), k=60), alpha)
        false += stop is not None and stop[0] == "b"
    assert false / 1500 <= alpha


def test_alpha_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="alpha must be between 0 and 1, but got alpha=0"):
        is_certified(5, [1], 0)
