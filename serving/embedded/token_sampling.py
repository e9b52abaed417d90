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
    return _draw(logits, samplings, np.asarray(uniforms), np.zeros(len(logits)))[0].tolist()


def draw_certain_tokens(
    logits: Floats, samplings: Sequence[Sampling], uniforms: Sequence[float], errors: Floats
) -> list[int | None]:
    """Draws one token a row, or None where another one could be right.

    A row is certain if its token is the same whatever its scores are within ``errors`` of those given, one number a
    row. The odds of a set of tokens are then wrong by no more than a factor of exp(2 * error / temperature).
    """
    tokens, uncertain = _draw(logits, samplings, np.asarray(uniforms), errors)
    return [None if doubt else token for token, doubt in zip(tokens.tolist(), uncertain.tolist(), strict=True)]


def _draw(
    logits: Floats, samplings: Sequence[Sampling], uniforms: Floats, errors: Floats
) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
    """The tokens, and which of them are uncertain."""
    temperatures = np.array([sampling.temperature for sampling in samplings])
    greedy = temperatures == 0
    tokens = logits.argmax(1)
    uncertain = np.zeros(len(logits), bool)
    uncertain[greedy] = _gaps(logits[greedy]) < 2 * errors[greedy]
    if not greedy.all():
        temperatures[greedy] = 1
        weights = np.exp((logits - logits.max(1, keepdims=True)) / temperatures[:, None])
        factors = np.exp(np.minimum(2 * errors / temperatures, 500))
        for row, sampling in enumerate(samplings):
            if not greedy[row] and (sampling.top_k is not None or sampling.top_p < 1):
                weights[row], uncertain[row] = _truncated(weights[row], sampling, factors[row])
        steps = weights.cumsum(1)
        drawn = np.minimum((steps <= uniforms[:, None] * steps[:, -1:]).sum(1), logits.shape[1] - 1)
        uncertain |= ~greedy & _is_close_to_a_step(steps, drawn, uniforms, factors)
        tokens = np.where(greedy, tokens, drawn)
    return tokens, uncertain


def log_probabilities(logits: Floats) -> Floats:
    """The model's own log-probabilities, before temperature and truncation: (..., vocabulary)."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _gaps(logits: Floats) -> Floats:
    """How far each row's best score is from its second best."""
    if logits.shape[1] < 2 or not len(logits):
        return np.full(len(logits), np.inf)
    best = np.partition(logits, -2, axis=1)
    return best[:, -1] - best[:, -2]


def _is_close_to_a_step(steps: Floats, drawn: NDArray[np.int_], uniforms: Floats, factors: Floats) -> NDArray[np.bool_]:
    """Whether odds that are wrong by no more than a factor could have led to the token before or after."""
    rows = np.arange(len(steps))
    below = np.where(drawn > 0, steps[rows, drawn - 1], 0)
    above, total = steps[rows, drawn], steps[:, -1]
    falls = below * (1 - uniforms) * factors > uniforms * (total - below)
    return falls | (above * (1 - uniforms) <= uniforms * (total - above) * factors)


def _truncated(weights: Floats, sampling: Sampling, factor: float) -> tuple[Floats, bool]:
    """The weights of the tokens that may be drawn, and whether a factor could have made them other tokens."""
    order = np.argsort(-weights, kind="stable")
    kept, is_close = len(order) if sampling.top_k is None else min(sampling.top_k, len(order)), False
    if sampling.top_p < 1:
        steps = weights[order[:kept]].cumsum()
        reach, left = steps * (1 - sampling.top_p), sampling.top_p * (steps[-1] - steps)
        is_close = bool(((reach < left * factor) & (left < reach * factor)).any())
        kept = min(kept, 1 + int((steps < sampling.top_p * steps[-1]).sum()))
    if kept < len(order):
        is_close |= bool(weights[order[kept]] * factor > weights[order[kept - 1]])
    truncated = np.zeros_like(weights)
    truncated[order[:kept]] = weights[order[:kept]]
    return truncated, is_close
