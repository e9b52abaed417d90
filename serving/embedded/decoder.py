"""A Llama decoder in numpy with key-value caches; the next tokens of many answers share each product with the weights.

It works in float32, which is more than twice as fast as float64; what rounding may have decided, a decoder in float64
decides again (``batching``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .caches import Floats, PromptCache
from .checkpoint import Architecture, Checkpoint

PROMPT_CHUNK = 256


class Segment(Protocol):
    """Rows of one forward pass that belong together.

    Tokens, their positions, and the caches that they read and write.
    """

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens to be read, one a row."""
        ...

    @property
    def positions(self) -> Sequence[int]:
        """Where they stand, from 0."""
        ...

    def attend(self, layer: int, qkv: Floats) -> Floats:
        """Stores keys and values and returns what the rows attend to, (rows, heads, head width).

        ``qkv`` is (rows, 3, heads, head width).
        """
        ...


@dataclass(frozen=True)
class _Layer:
    """One layer's matrices, input rows first; norm weights and the scale of q are multiplied into them."""

    qkv: Floats
    output: Floats
    gate_and_up: Floats
    down: Floats


class Decoder:
    """The model itself: weights and nothing else, so any number of threads may use it at once."""

    def __init__(self, checkpoint: Checkpoint, precision: type[np.floating] = np.float32) -> None:
        self.precision = precision
        self.shape = shape = checkpoint.architecture
        weights: dict[str, Floats] = {
            name.removeprefix("model."): value.astype(np.float64) for name, value in checkpoint.weights.items()
        }
        embedding = weights["embed_tokens.weight"]  # (vocabulary, hidden)
        self._embedding = embedding.astype(precision)
        self._unembedding = np.ascontiguousarray((embedding * weights["norm.weight"]).T, precision)
        self._layers = [_fold(weights, f"layers.{number}.", shape, precision) for number in range(shape.layers)]
        width = shape.hidden_size // shape.heads
        angles = np.outer(np.arange(shape.max_positions), shape.rope_theta ** (-np.arange(0, width, 2) / width))
        self._turns = np.exp(1j * angles)[:, None, None].astype(np.result_type(precision, np.complex64))

    def hidden(self, segments: Sequence[Segment]) -> Floats:
        """Reads the rows of all segments in one pass and returns their last hidden states, (rows, hidden)."""
        x = self._embedding[[token for segment in segments for token in segment.tokens]]  # (rows, hidden)
        turns = self._turns[[position for segment in segments for position in segment.positions]]
        for number, layer in enumerate(self._layers):
            qkv = (_normalized(x, self.shape.norm_epsilon) @ layer.qkv).reshape(len(x), 3, self.shape.heads, -1)
            turned = qkv[:, :2].view(turns.dtype)  # (rows, q and k, heads, pairs)
            turned *= turns
            x += _attend(number, segments, qkv) @ layer.output
            x += _gated(_normalized(x, self.shape.norm_epsilon) @ layer.gate_and_up) @ layer.down
        return _normalized(x, self.shape.norm_epsilon)

    def read_chunk(self, cache: PromptCache) -> int:
        """Reads the next chunk of a prompt, with the first answer token's scores at its end.

        Returns how many tokens it read.
        """
        chunk = cache.next_chunk(PROMPT_CHUNK)
        hidden = self.hidden([chunk])
        cache.length += chunk.count
        if cache.length == len(cache.prompt):
            cache.logits = self.logits(hidden[-1:])[0].astype(np.float64)
        return chunk.count

    def logits(self, hidden: Floats) -> Floats:
        """Scores over the vocabulary, (rows, vocabulary)."""
        return hidden @ self._unembedding


def _attend(number: int, segments: Sequence[Segment], qkv: Floats) -> Floats:
    mixed, start = [], 0
    for segment in segments:
        mixed.append(segment.attend(number, qkv[start : (start := start + len(segment.tokens))]))
    return (mixed[0] if len(mixed) == 1 else np.concatenate(mixed)).reshape(len(qkv), -1)


def _fold(weights: dict[str, Floats], prefix: str, shape: Architecture, precision: type[np.floating]) -> _Layer:
    before, between = weights[prefix + "input_layernorm.weight"], weights[prefix + "post_attention_layernorm.weight"]
    scale = (shape.hidden_size // shape.heads) ** -0.5
    q, k, v, o = (weights[f"{prefix}self_attn.{name}_proj.weight"] for name in "qkvo")
    gate, up, down = (weights[f"{prefix}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
    qkv = np.concatenate([_paired(q * scale, shape), _paired(k, shape), v]) * before
    matrices = qkv, o, np.concatenate([gate, up]) * between, down
    return _Layer(*(np.ascontiguousarray(matrix.T, precision) for matrix in matrices))


def _paired(matrix: Floats, shape: Architecture) -> Floats:
    """Puts the two numbers that a position turns together side by side, so that they are one complex number."""
    halves = matrix.reshape(shape.heads, 2, -1, shape.hidden_size)
    return halves.swapaxes(1, 2).reshape(matrix.shape)


def _normalized(x: Floats, epsilon: float) -> Floats:
    mean_square = np.einsum("rd,rd->r", x, x) / x.shape[1]
    return x / np.sqrt(mean_square + epsilon)[:, None]


def _gated(gate_and_up: Floats) -> Floats:
    width = gate_and_up.shape[1] // 2
    gate, up = gate_and_up[:, :width], gate_and_up[:, width:]
    gated = np.maximum(gate, -80)
    np.negative(gated, out=gated)
    np.exp(gated, out=gated)
    gated += 1
    np.divide(gate, gated, out=gated)
    gated *= up
    return gated
