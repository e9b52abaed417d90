"""Keys and values of prompts and of answers under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Architecture

Floats = NDArray[np.floating]
_CACHED = np.float32  # of answers
_FEWEST_PLACES = 128


@dataclass(eq=False)
class PromptCache:
    """Keys and values of one prompt: (layers, heads, tokens, head width).

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
    def of(cls, prompt: Sequence[int], shape: Architecture, precision: type[np.floating] = np.float32) -> PromptCache:
        """An empty cache with room for ``prompt``."""
        size = (shape.layers, shape.heads, len(prompt), shape.hidden_size // shape.heads)
        return cls(prompt, np.empty(size, precision), np.empty(size, precision))

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
        self._future = np.triu(np.full((self.count, self.count), -np.inf, self.cache.keys.dtype), 1)

    def attend(self, layer: int, qkv: Floats) -> Floats:
        """Stores the chunk's keys and values and attends to the prompt up to each row."""
        q, k, v = qkv.swapaxes(0, 1)
        end = self.start + self.count
        keys, values = self.cache.keys[layer, :, :end], self.cache.values[layer, :, :end]
        keys[:, self.start :], values[:, self.start :] = k.swapaxes(0, 1), v.swapaxes(0, 1)
        weights = q.swapaxes(0, 1) @ keys.swapaxes(1, 2)  # (heads, rows, end)
        weights[:, :, self.start :] += self._future
        totals = _exponentiate(weights)
        return (weights @ values / totals).swapaxes(0, 1)


class AnswerCaches:
    """Keys and values of answers under way, one row each with its prompt before it, in ``capacity`` places.

    Attributes:
        tokens: each row's next token to be read.
        positions: where it stands, which is how many places of the row are filled.
    """

    def __init__(self, shape: Architecture, capacity: int) -> None:
        self.capacity = capacity
        self.tokens: list[int] = []
        self.positions: list[int] = []
        size = (2, shape.layers, 4, shape.heads, capacity, shape.hidden_size // shape.heads)
        self._filled = np.zeros(size, _CACHED)  # (keys and values, layers, rows, heads, places, head width)

    def begin(self, prompt: PromptCache, token: int) -> None:
        """Appends a row for an answer that begins with ``token``."""
        row = self._append(token, prompt.length)
        self._filled[0, :, row, :, : prompt.length] = prompt.keys
        self._filled[1, :, row, :, : prompt.length] = prompt.values

    def move(self, row: int, smaller: AnswerCaches) -> None:
        """Appends another's row, which is left for it to remove."""
        new = self._append(smaller.tokens[row], smaller.positions[row])
        self._filled[:, :, new, :, : smaller.capacity] = smaller._filled[:, :, row]

    def advance(self, row: int, token: int) -> None:
        """Goes on in a row whose last token has been read."""
        self.tokens[row] = token
        self.positions[row] += 1

    def remove(self, row: int) -> None:
        """Drops a row; the last one takes its place."""
        token, position = self.tokens.pop(), self.positions.pop()
        if row < len(self.tokens):
            self.tokens[row], self.positions[row] = token, position
            self._filled[:, :, row, :, : position + 1] = self._filled[:, :, len(self.tokens), :, : position + 1]

    def attend(self, layer: int, qkv: Floats) -> Floats:
        """Stores the rows' keys and values and lets each row attend to its own places; layers come in order."""
        if layer == 0:
            self._rows, self._at = np.arange(len(qkv)), np.array(self.positions)
            empty = np.arange(self._at.max() + 1) > self._at[:, None]
            self._empty = np.where(empty, _CACHED(-np.inf), _CACHED(0))[:, None, None]
        self._filled[:, layer, self._rows, :, self._at] = qkv[:, 1:]
        keys, values = self._filled[:, layer, : len(qkv), :, : self._empty.shape[-1]]
        weights = qkv[:, 0, :, None] @ keys.swapaxes(2, 3)  # (rows, heads, 1, places)
        weights += self._empty
        totals = _exponentiate(weights)
        return (weights @ values / totals)[:, :, 0]

    def _append(self, token: int, position: int) -> int:
        if len(self.tokens) == self._filled.shape[2]:
            self._filled = np.concatenate([self._filled, np.zeros_like(self._filled)], 2)
        self.tokens.append(token)
        self.positions.append(position)
        return len(self.tokens) - 1


def capacity_for(position: int) -> int:
    """The places of a row whose next token stands at ``position``."""
    return max(_FEWEST_PLACES, 1 << position.bit_length())


def _exponentiate(weights: Floats) -> Floats:
    """Turns scores into unnormalized weights in place and returns their sums.

    Dividing the mixture by these is less work.
    """
    weights -= weights.max(-1, keepdims=True)
    np.exp(weights, out=weights)
    return weights.sum(-1, keepdims=True)
