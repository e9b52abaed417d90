"""An embedded model's sampling options are known ones."""

from __future__ import annotations

import pytest

from dspy_fusion import ConfigurationError, embedded_lm, local_lm
from dspy_fusion.programs.errors import UnknownOption


def test_an_option_that_is_none_is_refused_before_any_call_and_the_right_one_is_named() -> None:
    with pytest.raises(UnknownOption, match=r"embedded_lm sampling has no option 'temprature'.* 'temperature'"):
        embedded_lm("plus", temprature=0.5)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ConfigurationError, match=r"local_lm sampling has no option 'max_token'.* 'max_tokens'"):
        local_lm("nowhere.gguf", max_token=3)  # pyright: ignore[reportCallIssue]


def test_known_options_are_the_defaults_of_every_call() -> None:
    lm = embedded_lm("plus", temperature=0.0, max_tokens=4, seed=1, stop=["("])
    assert {name: lm.kwargs[name] for name in ("temperature", "max_tokens", "seed", "stop")} == {
        "temperature": 0.0,
        "max_tokens": 4,
        "seed": 1,
        "stop": ["("],
    }
