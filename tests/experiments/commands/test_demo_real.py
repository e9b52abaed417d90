"""The demo on a real model: what it needs is said first, and with it there is a table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from shared_data import needs_data

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.programs import ConfigurationError
from dspy_fusion.serving.local.llama_server import close_servers
from dspy_fusion.serving.local.model_files import model_file

CONFIGS = Path(__file__).parents[3] / "experiments" / "configs"


def has_smollm() -> bool:
    """Whether SmolLM2's file is on this machine, and what runs it."""
    try:
        return importlib.util.find_spec("xllamacpp") is not None and model_file("smollm2-135m").is_file()
    except ConfigurationError:
        return False


needs_smollm = pytest.mark.skipif(not has_smollm(), reason="SmolLM2's file or xllamacpp is not on this machine")


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_a_model_that_cannot_be_had_is_said_before_anything_else(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("DSPY_FUSION_MODELS", str(tmp_path))
    assert main(["demo", "--real", name, "--out", str(tmp_path / "run")]) == 2
    assert "put the file into a folder and name that in DSPY_FUSION_MODELS" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_model_that_the_demo_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--real", "gpt-9"]) == 2
    assert "invalid choice: 'gpt-9'" in capsys.readouterr().err


def test_both_demos_can_be_planned() -> None:
    from dspy_fusion.experiments.plans.comparison_config import CompareConfig
    from dspy_fusion.experiments.plans.strategies import model_names, planned
    from dspy_fusion.serving import load_models

    models = load_models(CONFIGS / "demo_real_models.toml")
    for name in ("demo_real_ifeval.toml", "demo_real_mbpp.toml"):
        config = CompareConfig.read(CONFIGS / name)
        assert config.examples == 20
        assert all(models.entry(model).is_local for model in model_names(planned(config)))


@pytest.mark.long
@needs_smollm
@needs_data
def test_it_ends_with_a_table_and_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models.toml"  # one thread: tests run beside others
    models.write_text(
        '[smollm2-135m]\ngguf = "smollm2-135m"\ncontext = 2048\nthreads = 1\nsampling = { max_tokens = 48 }\n'
    )
    command = ["demo", "--real", "--examples", "1", "--no-tracking", "--models", str(models), "--out"]
    command.append(str(tmp_path / "run"))
    try:
        assert main(command) == 0
        assert "fusion of 3" in capsys.readouterr().out
        assert main(command) == 0
        assert "6 of 6 records are there" in capsys.readouterr().err
    finally:
        close_servers()
