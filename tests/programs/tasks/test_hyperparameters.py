from __future__ import annotations

import pytest

from dspy_fusion.programs import ConfigurationError, Hyperparameter


def test_value_is_checked_when_it_is_set() -> None:
    n = Hyperparameter("n", 5, low=1, high=16)
    n.value = 16
    for bad in (0, 17, 2.5, "3", True, float("nan")):
        with pytest.raises(ConfigurationError, match="n must be"):
            n.value = bad
    assert n.value == 16


def test_a_float_stays_a_float() -> None:
    temperature = Hyperparameter("temperature", 1, low=0.0, high=2.0)
    assert isinstance(temperature.value, float)


def test_choices_are_kept_to() -> None:
    shuffle = Hyperparameter("shuffle", True, choices=(True, False))
    with pytest.raises(ConfigurationError, match=r"shuffle must be one of \[True, False\], but got shuffle='yes'"):
        shuffle.value = "yes"


def test_state_travels_and_reset_goes_back() -> None:
    n = Hyperparameter("n", 5, low=1)
    n.value = 9
    loaded = Hyperparameter("n", 5, low=1).load_state(n.dump_state())
    assert loaded.value == 9
    loaded.reset()
    assert loaded.value == 5


def test_a_saved_value_out_of_bounds_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="n must be at least 1, but got n=-3"):
        Hyperparameter("n", 5, low=1).load_state({"value": -3})
