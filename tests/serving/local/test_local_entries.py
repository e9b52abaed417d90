"""GGUF files in a catalogue, and on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.programs import ConfigurationError
from dspy_fusion.serving import load_models


def catalogue(folder: Path, *lines: str) -> Path:
    path = folder / "models.toml"
    path.write_text("\n".join(["[mine]", *lines]) + "\n")
    return path


def test_a_file_is_a_model_of_the_catalogue(gguf: Path, tmp_path: Path) -> None:
    path = catalogue(tmp_path, f'gguf = "{gguf}"', "context = 512", "parallel = 2", "sampling = { max_tokens = 8 }")
    models = load_models(path)
    lm = models.lm("mine", temperature=0.5)
    assert lm.model.startswith("local/sft@")
    assert (lm.kwargs["max_tokens"], lm.kwargs["temperature"]) == (8, 0.5)
    assert lm.engine.server.options.parallel == 2
    assert lm.engine.server.options.context == 512


@pytest.mark.parametrize("name", ["{}", "local/{}"])
def test_the_path_of_a_file_is_a_name(gguf: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gguf.parent)
    entry = load_models().entry(name.format("sft.gguf"))
    assert entry.is_local
    assert entry.where == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['gguf = "a.gguf"', 'address = "http://localhost:1"'], r"\[mine\] is a local model, .*; leave out address"),
        (['model = "openai/x"', "parallel = 2"], r"\[mine\] parallel goes with gguf only"),
        (['gguf = "a.gguf"', "parallel = 0"], r"\[mine\] parallel must be a whole number from 1, but is 0"),
        (['gguf = "a.gguf"', 'lora = "b.gguf"'], r"\[mine\] lora is 'b.gguf'; give a list of files"),
        (["gguf = 3"], r"\[mine\] gguf must be a text, but is 3"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_line(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_models(catalogue(tmp_path, *lines))


def test_known_models_are_listed_and_a_file_is_found(
    gguf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["models", "--available"]) == 0
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("qwen2.5-coder-0.5b", "Apache-2.0", "32,768", "local_lm"))
    monkeypatch.setenv("DSPY_FUSION_MODELS", str(gguf.parent))
    assert main(["models", "--get", "hf:someone/sft-GGUF:sft.gguf"]) == 0
    assert str(gguf) in capsys.readouterr().out
    assert main(["models", "--get", "nothing"]) == 2
    assert "there is no model 'nothing'; give the path of a GGUF file" in capsys.readouterr().err
