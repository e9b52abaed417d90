"""Keys and values of prompts and of the answers to them. All answers to one prompt share its cache.

They are kept in float32, and attention is one vector-matrix product a row, so that no row depends on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Architecture

Floats = NDArray[np.floating]
_CACHED = np.float32
_FIRST_CAPACITY = 32


@dataclass(eq=False)
class PromptCache:
    """Keys and values of one prompt, shared by all answers to it: (layers, heads, tokens, head width).

    Attributes:
        length: how many of the prompt's tokens have been read so far.
        logits: scores of the first answer token, (vocabulary,), once the whole prompt has been read.
    """

    prompt: Sequence[int]
    keys: Floats
    values: Floats
    length: int = 0
    logits: Floats | None = None

    @classmethod
    def of(cls, prompt: Sequence[int], shape: Architecture) -> PromptCache:
        """An empty cache with room for ``prompt``."""
        size = (shape.layers, shape.heads, len(prompt), shape.hidden_size // shape.heads)
        return cls(prompt, np.empty(size, _CACHED), np.empty(size, _CACHED))

    @property
    def is_read(self) -> bool:
        """Whether the whole prompt has been read."""
        return self.logits is not None

    def next_chunk(self, limit: int) -> PromptChunk:
        """The next tokens to be read, at most ``limit`` of them."""
        return PromptChunk(self, self.length, min(limit, len(self.prompt) - self.length))


@dataclass(eq=False)
class PromptChunk:
    """Consecutive tokens of a prompt; each sees all before it and itself."""

    cache: PromptCache
    start: int
    count: int
    tokens: Sequence[int] = field(init=False)
    positions: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        self.positions = range(self.start, self.start + self.count)
        self.tokens = self.cache.prompt[self.start : self.start + self.count]
        self._future = np.triu(np.full((self.count, self.count), -np.inf, _CACHED), 1)

    def attend(self, layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        """Stores the chunk's keys and values and attends to the prompt up to each row."""
        end = self.start + self.count
        keys, values = self.cache.keys[layer, :, :end], self.cache.values[layer, :, :end]
        keys[:, self.start :], values[:, self.start :] = k, v
        weights = q @ keys.swapaxes(1, 2)  # (heads, rows, end)
        weights[:, :, self.start :] += self._future
        totals = _exponentiate(weights)
        return weights @ values / totals


@dataclass(eq=False)
class AnswerCache:
    """Keys and values of answers to one prompt that grow in step: (layers, heads, answers, capacity, head width)."""

    prompt: PromptCache
    tokens: Sequence[int]
    length: int = 0

    def __post_init__(self) -> None:
        layers, heads, _, width = self.prompt.keys.shape
        self._keys, self._values = (
            np.empty((layers, heads, len(self.tokens), _FIRST_CAPACITY, width), _CACHED) for _ in range(2)
        )

    @property
    def positions(self) -> Sequence[int]:
        """The position of the tokens that are read next, the same for all answers."""
        return [self.prompt.length + self.length] * len(self.tokens)

    def advance(self, tokens: Sequence[int], kept: Sequence[int]) -> None:
        """Goes on with the answers whose rows are ``kept``, each with its next token."""
        self.tokens = tokens
        self.length += 1
        if len(kept) < self._keys.shape[2]:
            self._keys, self._values = self._keys[:, :, kept], self._values[:, :, kept]
        if self.length == self._keys.shape[3]:
            self._keys, self._values = _doubled(self._keys), _doubled(self._values)

    def attend(self, layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
        """Attends to the prompt and to each answer's own tokens, one vector-matrix product a row."""
        prompt_keys, prompt_values = self.prompt.keys[layer][:, None], self.prompt.values[layer][:, None]
        self._keys[layer, :, :, self.length], self._values[layer, :, :, self.length] = k, v
        keys, values = (own[layer, :, :, : self.length + 1] for own in (self._keys, self._values))
        split = self.prompt.length
        q = q.astype(_CACHED)[:, :, None]
        weights = np.empty((*q.shape[:3], split + self.length + 1), _CACHED)  # (heads, answers, 1, tokens)
        np.matmul(q, prompt_keys.swapaxes(2, 3), out=weights[..., :split])
        np.matmul(q, keys.swapaxes(2, 3), out=weights[..., split:])
        totals = _exponentiate(weights)
        mixed = weights[..., :split] @ prompt_values + weights[..., split:] @ values
        return (mixed / totals)[:, :, 0]


def _exponentiate(weights: Floats) -> Floats:
    """Turns scores into unnormalized weights in place and returns their sums; dividing the mixture by these is less work."""
    weights -= weights.max(-1, keepdims=True)
    np.exp(weights, out=weights)
    return weights.sum(-1, keepdims=True)


def _doubled(cache: Floats) -> Floats:
    larger = np.empty((*cache.shape[:3], 2 * cache.shape[3], cache.shape[4]), cache.dtype)
    larger[:, :, :, : cache.shape[3]] = cache
    return larger
