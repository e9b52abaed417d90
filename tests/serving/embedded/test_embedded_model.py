from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import load_model


def test_a_model_is_loaded_once(weights_path: Path) -> None:
    assert load_model(weights_path) is load_model(str(weights_path))
    lm: Any = embedded_lm(str(weights_path), temperature=0.5)
    assert lm.engine.model is load_model(weights_path)


def test_the_model_string_carries_the_weights_digest(weights_path: Path) -> None:
    assert embedded_lm(str(weights_path)).model == f"embedded/tiny@{load_model(weights_path).digest}"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="'plsu'; choose one of plus, minus, times, sft, solver, aft, judge"):
        embedded_lm("plsu")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no weights at .*gone\.safetensors"):
        embedded_lm(str(tmp_path / "gone.safetensors"))


def test_a_text_beyond_the_context_has_no_likelihood(weights_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"have 402 tokens; tiny@.* takes 320"):
        load_model(weights_path).log_likelihood([1, 2], "x" * 400)


def test_a_file_that_holds_no_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_text("<html>")
    with pytest.raises(ConfigurationError, match=r"bad\.safetensors holds no weights of an embedded model"):
        load_model(tmp_path / "bad.safetensors")
