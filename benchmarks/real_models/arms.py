"""Arms of the study that are programs of their own: a gate by a test, and SLM-MUX's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs import BestOfN, CodeTests, Fusion, Vote


class TestedElseFused(dspy.Module):
    """Takes the candidate that passes the visible test; where none does, fuses them."""

    __test__ = False

    def __init__(
        self,
        program: dspy.Module,
        lm: dspy.BaseLM,
        *,
        n: int,
        tests: Callable[[Mapping[str, Any]], Sequence[str]],
        temperature: float,
    ) -> None:
        super().__init__()
        self.choose = BestOfN(program, n=n, scorer=CodeTests(tests), lms=[lm], temperature=temperature)
        self.fuse = Fusion(program, n=n, lms=[lm], fusor_lm=lm, temperature=temperature)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The chosen answer, or the fused one."""
        chosen = self.choose(**inputs)
        best = max((candidate.score or 0.0 for candidate in chosen.pool.candidates), default=0.0)
        return chosen if best >= 1.0 else self.fuse(**inputs)


class MostConsistentModel(dspy.Module):
    """The answer of the model that agrees most with itself (SLM-MUX, arXiv 2510.05077).

    Several models answer several times each, and the one that agrees most with itself is taken, with the answer that it
    gives most often; ties go to the model named first, which should be the better one.
    """

    def __init__(
        self, program: dspy.Module, lms: Sequence[dspy.BaseLM], *, n: int, normalize: Any = None, **options: Any
    ) -> None:
        super().__init__()
        self.votes = [Vote(program, lms=[lm], n=n, normalize=normalize, **options) for lm in lms]

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The answer of the most consistent model."""
        answers = [vote(**inputs) for vote in self.votes]
        return max(answers, key=lambda answer: answer.pool.confidence or 0.0)
