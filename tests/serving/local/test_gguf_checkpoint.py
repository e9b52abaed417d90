"""A GGUF file as a checkpoint has the weights that llama.cpp computes with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import BestOfN, ConfigurationError, Likelihood, PlainAdapter
from dspy_fusion.serving.local.gguf_checkpoint import gguf_checkpoint
from dspy_fusion.serving.local.local_lm import local_lm
from dspy_fusion.serving.local.model_files import model_file


@pytest.fixture(scope="module")
def smollm() -> Path:
    """The file of SmolLM2, where there is one."""
    for name in ("xllamacpp", "torch", "transformers", "gguf"):
        pytest.importorskip(name)
    try:
        return model_file("smollm2-135m")
    except ConfigurationError as error:
        pytest.skip(f"the file of SmolLM2 is not on this machine: {error}")


@pytest.mark.long
def test_a_checkpoint_finds_an_answer_as_likely_as_llama_cpp_did(smollm: Path, tmp_path: Path) -> None:
    from dspy_fusion.experiments.analyses.likelihoods import likelihood_of
    from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow
    from dspy_fusion.serving.catalogue.models import ModelCatalogue

    folder = gguf_checkpoint(smollm, tmp_path / "checkpoint")
    assert gguf_checkpoint(smollm, folder) == folder
    lm = local_lm(smollm, context=512, parallel=1, threads=1, max_tokens=24, temperature=0)
    ask = dspy.Predict(dspy.Signature("question -> answer", "Answer in a few words."))
    with dspy.context(adapter=PlainAdapter(), lm=lm):
        (candidate,) = BestOfN(ask, n=1, scorer=Likelihood(), temperature=0.0)(
            question="What is the capital of France?"
        ).pool.candidates
    prompt: Any = [
        {"role": "system", "content": "Answer in a few words."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    found = likelihood_of(str(folder), ModelCatalogue.builtin()).of(TrainingRow(prompt, candidate.prediction.answer))
    assert found.mean == pytest.approx(candidate.logprob, abs=0.15)
    lm.engine.server.close()


def test_what_cannot_be_written_is_said(tmp_path: Path, gguf: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"is not empty and holds no checkpoint of sft\.gguf"):
        gguf_checkpoint(gguf, tmp_path / "full")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "gguf.json").write_text(json.dumps({"sha256": "0"}))
    with pytest.raises(ConfigurationError, match="holds the checkpoint of another file"):
        gguf_checkpoint(gguf, tmp_path / "other")
    with pytest.raises(ConfigurationError, match="there is no model"):
        gguf_checkpoint(tmp_path / "none.gguf")
