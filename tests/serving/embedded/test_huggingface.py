from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dspy_fusion.programs import ConfigurationError, PlainAdapter
from dspy_fusion.serving.embedded.caches import PromptCache
from dspy_fusion.serving.embedded.checkpoint import load_checkpoint
from dspy_fusion.serving.embedded.decoder import Decoder
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.huggingface import from_huggingface, huggingface_lm, to_huggingface

SYSTEM, USER, ANSWER = "Answer the question.", "Is (a) 12 + 7 = 19?", "(a) 12 + 7 = 19"


@pytest.fixture
def folder(weights_path: Path, tmp_path: Path) -> Path:
    return to_huggingface(weights_path, tmp_path / "hf")


def logits(path: Path, tokens: list[int]) -> np.ndarray:
    decoder = Decoder(load_checkpoint(path), np.float32)
    return decoder.logits(decoder.hidden([PromptCache.of(tokens, decoder.shape).next_chunk(len(tokens))]))


@pytest.mark.parametrize("int8", [True, False])
def test_there_and_back_gives_the_same_logits(weights_path: Path, folder: Path, tmp_path: Path, int8: bool) -> None:
    back = from_huggingface(folder, tmp_path / "back" / "tiny.safetensors", int8=int8)
    assert np.allclose(logits(weights_path, [1, 2, 3]), logits(back, [1, 2, 3]), atol=1e-4)
    assert load_model(back).tokenizer.prompt(SYSTEM, USER) == load_model(weights_path).tokenizer.prompt(SYSTEM, USER)


def test_float_weights_come_back_as_they_are(folder: Path, tmp_path: Path) -> None:
    weights = {
        name: value + np.float32(0.01) * (value.ndim > 1)
        for name, value in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors")
    back = load_checkpoint(from_huggingface(folder, tmp_path / "f.safetensors", int8=False)).weights
    assert all(np.array_equal(back[name], value) for name, value in weights.items())


def test_transformers_gives_the_same_tokens_and_logits(weights_path: Path, folder: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_model(weights_path).tokenizer
    asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": ANSWER}], return_dict=False)
    assert prompt == ours.prompt(SYSTEM, USER)
    assert whole == [*prompt, *ours.encode(ANSWER), ours.end]
    with torch.no_grad():
        found = transformers.AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([whole])).logits[0].numpy()
    assert np.allclose(found, logits(weights_path, whole), atol=1e-4)


def test_a_checkpoint_answers_as_the_model_it_was_made_of(tmp_path: Path) -> None:
    solve, sheet = dspy.Predict("worksheet -> answers"), "(a) 12 + 7\n(b) 90 - 5\n(c) 3 x 9\n(d) 40 + 8"
    lms = [
        huggingface_lm(to_huggingface("sft", tmp_path / "run" / "model"), temperature=0.0),
        embedded_lm("sft", temperature=0.0),
    ]
    assert lms[0].model.startswith("embedded/run@")
    answers = []
    for lm in lms:
        with dspy.context(lm=lm, adapter=PlainAdapter()):
            answers.append(solve(worksheet=sheet).answers)
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2"}, "has model_type = 'qwen2'; embedded models have 'llama'"),
        ({"num_key_value_heads": 1}, "has num_key_value_heads = 1; embedded models have 2"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "has rope_type = 'llama3'"),
        ({"vocab_size": None}, "does not say vocab_size"),
    ],
)
def test_another_kind_of_checkpoint_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )
    with pytest.raises(ConfigurationError, match=message):
        from_huggingface(folder, tmp_path / "f.safetensors")


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no tokenizer.json"):
        from_huggingface(folder, tmp_path / "f.safetensors")
    with pytest.raises(ConfigurationError, match="give the folder of a Hugging Face checkpoint"):
        from_huggingface(tmp_path / "nowhere", tmp_path / "f.safetensors")


def test_weights_of_another_type_are_refused(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: value.astype(np.float16) for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ConfigurationError, match="holds float16 weights; save the model in float32"):
        from_huggingface(folder, tmp_path / "f.safetensors")
