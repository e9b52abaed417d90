"""Sampling in one batch with each row's own options and seed.

A row has the text that it would have had alone, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria, TopKLogitsWarper, TopPLogitsWarper

from ..embedded.token_sampling import Sampling


class RowSampler(LogitsProcessor):
    """Turns each row's scores so that their highest is a token drawn as the row wants it.

    A number from Gumbel's distribution is added to each log-probability, after which the highest is a draw from the
    softmax; so a search that always takes the highest samples. At temperature 0 nothing is added.

    Args:
        rows: how each row is sampled.
    """

    def __init__(self, rows: Sequence[Sampling]) -> None:
        self.rows = list(rows)
        self._generators = [_generator(row.seed) for row in rows]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores of all rows, (rows, vocabulary)."""
        turned = [
            self._turned(input_ids[place : place + 1], scores[place : place + 1].float(), row, generator)
            for place, (row, generator) in enumerate(zip(self.rows, self._generators, strict=True))
        ]
        return torch.cat(turned)

    def _turned(self, ids: Any, scores: Any, row: Sampling, generator: torch.Generator) -> Any:
        if row.temperature == 0:
            return scores
        scores = scores / row.temperature
        if row.top_k:
            scores = TopKLogitsWarper(min(row.top_k, scores.shape[-1]))(ids, scores)
        if row.top_p < 1:
            scores = TopPLogitsWarper(row.top_p)(ids, scores)
        uniform = torch.rand(scores.shape, generator=generator).clamp_min(1e-20)  # on the CPU: alike on every device
        return scores - torch.log(-torch.log(uniform)).to(scores.device)


class RowLimits(StoppingCriteria):
    """Stops a row at its own number of tokens.

    Args:
        prompt: tokens of the padded prompts.
        limits: tokens of each row's answer, at most.
    """

    def __init__(self, prompt: int, limits: Sequence[int]) -> None:
        self.prompt, self.limits = prompt, list(limits)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Whether each row has ended."""
        written = input_ids.shape[1] - self.prompt
        return torch.tensor([written >= limit for limit in self.limits], device=input_ids.device)


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
