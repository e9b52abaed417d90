"""Sizes of models: told, known, or asked for."""

from __future__ import annotations

import pytest

from dspy_fusion.experiments.analyses.model_sizes import ModelSize, model_sizes, parse_size
from dspy_fusion.programs.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a=8B", ModelSize(8e9)),
        ("a=600m", ModelSize(6e8)),
        ("a=1.5e9", ModelSize(1.5e9)),
        ("a=8B:32x4096", ModelSize(8e9, 32, 4096)),
    ],
)
def test_sizes_are_read(text: str, size: ModelSize) -> None:
    assert parse_size(text) == ("a", size)


@pytest.mark.parametrize("text", ["8B", "a=", "a=big", "a=0", "=8B", "a=8B:32"])
def test_a_size_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be written as MODEL=8B"):
        parse_size(text)


def test_a_token_costs_its_parameters_and_its_context() -> None:
    assert ModelSize(8e9).flops_per_token(1000) == 16e9
    assert ModelSize(8e9, 32, 4096).flops_per_token(1000) == 2 * (8e9 + 2 * 32 * 4096 * 1000)


def test_embedded_models_are_known() -> None:
    size = model_sizes(["embedded/aft"], {})["embedded/aft"]
    assert 8e5 < size.parameters < 1e6
    assert (size.layers, size.width) == (4, 128)


def test_what_is_told_goes_first() -> None:
    assert model_sizes(["embedded/aft"], {"embedded/aft": ModelSize(1)})["embedded/aft"].parameters == 1


def test_an_unknown_size_is_asked_for() -> None:
    with pytest.raises(
        ConfigurationError, match=r"the size of 'qwen/qwen3' is not known; say it: --parameters qwen/qwen3=8B"
    ):
        model_sizes(["qwen/qwen3"], {})


def test_short_names_of_the_catalogue_are_known() -> None:
    assert model_sizes(["aft"], {})["aft"] == model_sizes(["embedded/aft"], {})["embedded/aft"]
