"""Embedded weights on disk.

One safetensors file a model, matrices as int8 with one float32 scale a row, Hugging Face Llama names.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file


@dataclass(frozen=True)
class Architecture:
    """The shape of a small Llama with tied embeddings and as many key heads as query heads."""

    vocabulary_size: int
    hidden_size: int = 128
    intermediate_size: int = 384
    layers: int = 4
    heads: int = 4
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5
    max_positions: int = 1024


@dataclass(frozen=True)
class Checkpoint:
    """Weights as float32 arrays under Hugging Face Llama names, what was said of them when they were written,
    and their digest.
    """

    architecture: Architecture
    weights: dict[str, np.ndarray]
    digest: str


def save_checkpoint(path: Path, architecture: Architecture, weights: dict[str, np.ndarray]) -> None:
    """Writes weights as int8 rows with a float32 scale each (vectors stay float32).

    Reading back is within half a step of a row.
    """
    tensors: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        if value.ndim == 1:
            tensors[name] = value.astype(np.float32)
            continue
        scale = np.maximum(np.abs(value).max(axis=1), 1e-8).astype(np.float32) / 127
        tensors[name] = np.rint(value / scale[:, None]).astype(np.int8)
        tensors[name + ".scale"] = scale
    save_file(tensors, path, metadata={"architecture": json.dumps(asdict(architecture))})


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads what :func:`save_checkpoint` wrote; the digest is the first 16 hexadecimal digits of the file's SHA-256."""
    with safe_open(path, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        architecture = Architecture(**json.loads(file.metadata()["architecture"]))
    weights = {
        name: value * tensors[name + ".scale"][:, None] if value.dtype == np.int8 else value
        for name, value in tensors.items()
        if not name.endswith(".scale")
    }
    return Checkpoint(architecture, weights, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
