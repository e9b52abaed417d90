"""PartVote: every part of the answer is what most candidates give. The control that fusion has to beat where parts can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from dspy_fusion.programs import Vote
from dspy_fusion.programs.candidates import PooledPrediction


class PartVote(dspy.Module):
    """Votes within the answer, by a rule of the task; the pool is the one that a vote over whole answers has.

    Args:
        vote: draws the pool.
        rule: ``(inputs, candidates)``: the output fields that the candidates vote for.
    """

    def __init__(self, vote: Vote, rule: Callable[[Mapping[str, Any], Sequence[dspy.Prediction]], dict[str, Any]]) -> None:
        super().__init__()
        self.vote = vote
        self.rule = rule

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Draws the pool and puts the answer together."""
        pool = self.vote(**inputs).pool
        good = [candidate.prediction for candidate in pool.good]
        return PooledPrediction.of(self.rule(inputs, good), replace(pool, chosen=None))
