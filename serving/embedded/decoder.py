"""A Llama decoder in numpy with key-value caches; the next tokens of many answers share each product with the weights.

What a row gets must not depend on the rows beside it, and the last bits of a matrix product do. So answers are
continued in float64, where that moves a probability by 1e-15 and no drawn token (float32 would change one answer in
some thousands). Prompts are read alone, in chunks of a fixed size, where float32 is twice as fast and always comes out
the same.
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

    def attend(self, layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        """Stores keys and values and returns what the rows attend to; all arrays are (rows, heads, head width)."""
        ...


@dataclass(frozen=True)
class _Layer:
    """One layer's matrices, input rows first; norm weights and the scale of q are multiplied into them.

    They lie in memory column by column: with few rows beside it, a product then takes two thirds of the time.
    """

    qkv: Floats
    output: Floats
    gate: Floats
    up: Floats
    down: Floats


class Decoder:
    """The model itself: weights and nothing else, so any number of threads may use it at once."""

    def __init__(self, checkpoint: Checkpoint, precision: type[np.floating] = np.float64) -> None:
        self.shape = shape = checkpoint.architecture
        weights: dict[str, Floats] = {
            name.removeprefix("model."): value.astype(np.float64) for name, value in checkpoint.weights.items()
        }
        embedding = weights["embed_tokens.weight"]  # (vocabulary, hidden)
        self._embedding = embedding.astype(precision)
        self._unembedding = np.asfortranarray((embedding * weights["norm.weight"]).T, precision)
        self._layers = [_fold(weights, f"layers.{number}.", shape, precision) for number in range(shape.layers)]
        width = shape.hidden_size // shape.heads
        angles = np.outer(np.arange(shape.max_positions), shape.rope_theta ** (-np.arange(0, width, 2) / width))
        self._cosine, self._sine = (
            np.concatenate([turn, turn], -1)[:, None].astype(precision) for turn in (np.cos(angles), np.sin(angles))
        )

    def hidden(self, segments: Sequence[Segment]) -> Floats:
        """Reads the rows of all segments in one pass and returns their last hidden states, (rows, hidden)."""
        x = self._embedding[[token for segment in segments for token in segment.tokens]]  # (rows, hidden)
        positions = [position for segment in segments for position in segment.positions]
        cosine, sine = self._cosine[positions], self._sine[positions]  # (rows, 1, head width)
        for number, layer in enumerate(self._layers):
            qkv = (_normalized(x, self.shape.norm_epsilon) @ layer.qkv).reshape(len(x), 3 * self.shape.heads, -1)
            qkv[:, : -self.shape.heads] = _rotate(qkv[:, : -self.shape.heads], cosine, sine)
            x += self._attend(number, segments, qkv) @ layer.output
            normalized = _normalized(x, self.shape.norm_epsilon)
            x += _silu(normalized @ layer.gate) * (normalized @ layer.up) @ layer.down
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

    def _attend(self, number: int, segments: Sequence[Segment], qkv: Floats) -> Floats:
        q, k, v = np.split(qkv, 3, 1)  # (rows, heads, head width) each
        mixed, start = np.empty(q.shape, qkv.dtype), 0
        for segment in segments:
            rows = slice(start, start := start + len(segment.tokens))
            mixed[rows] = segment.attend(number, q[rows], k[rows], v[rows])
        return mixed.reshape(len(qkv), -1)


def _fold(weights: dict[str, Floats], prefix: str, shape: Architecture, precision: type[np.floating]) -> _Layer:
    before, between = weights[prefix + "input_layernorm.weight"], weights[prefix + "post_attention_layernorm.weight"]
    scale = (shape.hidden_size // shape.heads) ** -0.5
    q, k, v, o = (weights[f"{prefix}self_attn.{name}_proj.weight"] for name in "qkvo")
    gate, up, down = (weights[f"{prefix}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
    qkv = np.concatenate([q * scale, k, v]) * before
    return _Layer(*(np.asfortranarray(matrix.T, precision) for matrix in (qkv, o, gate * between, up * between, down)))


def _normalized(x: Floats, epsilon: float) -> Floats:
    mean_square = np.einsum("rd,rd->r", x, x) / x.shape[1]
    return x / np.sqrt(mean_square + epsilon)[:, None]


def _rotate(x: Floats, cosine: Floats, sine: Floats) -> Floats:
    half = x.shape[-1] // 2
    return x * cosine + np.concatenate([-x[..., half:], x[..., :half]], -1) * sine


def _silu(x: Floats) -> Floats:
    return x / (1 + np.exp(-np.maximum(x, -80)))
