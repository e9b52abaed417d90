"""A small embedded model with random weights: it writes nonsense,
but writes it by the same code as the trained ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dspy_fusion.serving.embedded.checkpoint import Architecture, Checkpoint, load_checkpoint, save_checkpoint
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel, load_model
from dspy_fusion.serving.embedded.tokenizer import build_tokenizer


def random_weights(shape: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    width, inner = shape.hidden_size, shape.intermediate_size
    sizes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (shape.vocabulary_size, width),
        "model.norm.weight": (width,),
    }
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        sizes |= {f"{prefix}self_attn.{name}_proj.weight": (width, width) for name in "qkvo"}
        sizes |= {f"{prefix}mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
        sizes |= {f"{prefix}mlp.down_proj.weight": (width, inner)}
        sizes |= {f"{prefix}{name}_layernorm.weight": (width,) for name in ("input", "post_attention")}
    return {name: (rng.normal(size=size) * 0.25 + (len(size) == 1)).astype(np.float32) for name, size in sizes.items()}


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    tokenizer = build_tokenizer(("Answer the question.",))
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = Architecture(
        tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=64, layers=2, heads=2, max_positions=320
    )
    save_checkpoint(folder / "tiny.safetensors", shape, random_weights(shape))
    return folder / "tiny.safetensors"


@pytest.fixture
def checkpoint(weights_path: Path) -> Checkpoint:
    return load_checkpoint(weights_path)


@pytest.fixture
def model(weights_path: Path) -> EmbeddedModel:
    return load_model(weights_path)
