"""Fusion: draw several candidates and write one new answer from all of them (FusioN, arXiv 2510.00931)."""

from __future__ import annotations

from typing import Any, Unpack

import dspy

from .calls.drawing import Steps
from .fusing_program import FusingProgram
from .options import FusingOptions
from .pools.candidates import Pool
from .tasks.hyperparameters import Hyperparameter
from .tasks.instructions import FUSE


class Fusion(FusingProgram):
    """Draws ``n`` candidates side by side and has a fusor write one answer from them.

    A drop-in for the program it wraps: the same inputs, the same output fields with the same types. The fusor sees
    every candidate that succeeded, whole, as one item of a ``list[str]``; the answer need not be one of them. Calls:
    ``n + 1``; sequential depth: 2.

    Like the paper's fusor, the default one first writes how the candidates compare and then the answer, and it is told
    the task: its instructions as they are at the moment of the call, and the language where that is not English. Unlike
    there, the answer comes in the task's own fields and the candidates' order is shuffled with a seed (the paper does
    not say how it orders them).

    Args:
        program: the task program: any ``dspy.Module`` that returns a ``dspy.Prediction``.
        n: how many candidates, at least 1. The paper uses 5 and finds little gain beyond 7.
        instructions: how the fusor is told to fuse.
        compare: whether it writes the comparison, which is kept as ``pool.comparison``; a choice that can be tuned.
        **options: see :class:`FusingOptions`.

    Raises:
        QuorumNotMet: too few candidates succeeded.
        FusorFailed: the fusor failed and ``on_fusor_failure="raise"``.

    Example:
        >>> fused = Fusion(dspy.ChainOfThought("question -> answer"), n=5)
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        n: int = 5,
        instructions: str = FUSE,
        compare: bool = True,
        **options: Unpack[FusingOptions],
    ) -> None:
        super().__init__(program, instructions=instructions, compare=compare, **options)
        self.n = Hyperparameter("n", n, low=1, search=(1, 16))
        self.check_quorum_fits("n", n)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws the candidates, shows them to the fusor, and returns what it writes."""
        drawn = yield from self.draw(inputs, self.n.value)
        shown = self.order(inputs, [candidate for candidate in drawn.candidates if candidate.ok], 0)
        attempt = self.fuse(inputs, shown, layer=1, temperature=self.fusor_temperature, streams=True)
        (written,) = yield self.side_by_side([attempt])
        pool = Pool(drawn.candidates, shown=tuple(c.index for c in shown), usage=drawn.usage, depth=2)
        return self.conclude(written, shown, pool)
