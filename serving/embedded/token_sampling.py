"""How the next token is drawn.

Temperature, top-k, top-p, and one uniform number a token from the request's own generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Sampling:
    """How one answer is to be drawn.

    Attributes:
        max_tokens: at most so many tokens, from 1.
        temperature: from 0; 0 takes the likeliest token every time.
        top_p: only the fewest tokens whose probabilities reach ``top_p`` together, in [0, 1]; 0 leaves the likeliest.
        top_k: only the ``top_k`` likeliest tokens, from 1, or None for all.
        seed: any whole number; None draws from fresh entropy. The same seed gives the same text.
        stop: texts before which the answer ends.
        logprobs: None for no log-probabilities, 0 for those of the drawn tokens, n for those of the n likeliest as
            well.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None

    def uniforms(self) -> Floats:
        """One number in [0, 1) for each token that may be drawn; a higher ``max_tokens`` only adds to them."""
        generator = np.random.default_rng(None if self.seed is None else self.seed % 2**64)
        return generator.random(self.max_tokens)


def draw_tokens(logits: Floats, samplings: Sequence[Sampling], uniforms: Sequence[float]) -> list[int]:
    """Draws one token a row.

    Args:
        logits: scores, (rows, vocabulary).
        samplings: one a row.
        uniforms: one number in [0, 1) a row, which decides the draw.
    """
    temperatures = np.array([sampling.temperature for sampling in samplings])
    greedy = temperatures == 0
    tokens = logits.argmax(1)
    if not greedy.all():
        scaled = (logits - logits.max(1, keepdims=True)) / np.where(greedy, 1.0, temperatures)[:, None]
        weights = np.exp(scaled)
        for row, sampling in enumerate(samplings):
            if sampling.top_k is not None or sampling.top_p < 1:
                weights[row] = _truncated(weights[row], sampling)
        steps = weights.cumsum(1)
        passed = steps <= np.asarray(uniforms)[:, None] * steps[:, -1:]
        tokens = np.where(greedy, tokens, np.minimum(passed.sum(1), logits.shape[1] - 1))
    return tokens.tolist()


def log_probabilities(logits: Floats) -> Floats:
    """The model's own log-probabilities, before temperature and truncation: (..., vocabulary)."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _truncated(weights: Floats, sampling: Sampling) -> Floats:
    order = np.argsort(-weights, kind="stable")[: sampling.top_k]
    if sampling.top_p < 1:
        steps = weights[order].cumsum()
        order = order[: 1 + int((steps < sampling.top_p * steps[-1]).sum())]
    truncated = np.zeros_like(weights)
    truncated[order] = weights[order]
    return truncated
