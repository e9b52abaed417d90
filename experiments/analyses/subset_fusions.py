"""SubsetFusions: one pool a question, and a fused answer of each of many of its subsets (AFT, arXiv 2501.11877,
section 6.2).
"""

from __future__ import annotations

import math
import random
from itertools import combinations
from typing import Any, Unpack

import dspy

from dspy_fusion.programs.calls.drawing import Steps
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.options import FusingOptions
from dspy_fusion.programs.pools.candidates import Pool, PooledPrediction
from dspy_fusion.programs.tasks.signatures import input_digest


class SubsetFusions(FusingProgram):
    """Draws ``count`` candidates and fuses subsets of ``size`` of them; ``pool.layers[0]`` has the fused answers.

    A subset is in the order of :meth:`subsets`, so the fused answer with index i is of subset i. With a bank, every
    answer is kept as soon as it is there.

    Args:
        program: the task program.
        instructions: what the fusor is told.
        count: candidates drawn; 10 in the paper.
        size: of a subset; 5 in the paper.
        limit: how many subsets are fused, a seeded sample for each input; None for all, as in the paper (252 of 10
            candidates).
        **options: see :class:`FusingOptions`.

    Raises:
        ConfigurationError: a number is out of its range.
        QuorumNotMet: a candidate failed; every subset must be complete.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        instructions: str,
        count: int = 10,
        size: int = 5,
        limit: int | None = None,
        **options: Unpack[FusingOptions],
    ) -> None:
        if not 2 <= size < count:
            raise ConfigurationError(
                f"a subset must have from 2 to one less than all {count} candidates, but got size={size}"
            )
        if limit is not None and limit < 2:
            raise ConfigurationError(f"at least 2 subsets a question are needed to compare them, but got {limit}")
        if options.setdefault("quorum", count) != count:
            raise ConfigurationError(f"quorum must be count={count}, since every subset must be complete; leave it out")
        super().__init__(program, instructions=instructions, **options)
        self.count, self.size = count, size
        self.limit = min(limit or math.comb(count, size), math.comb(count, size))

    def subsets(self, inputs: dict[str, Any]) -> list[tuple[int, ...]]:
        """The subsets that are fused for an input, as places in its pool, always the same ones."""
        everything = list(combinations(range(self.count), self.size))
        rng = random.Random(f"{self.seed} {input_digest(inputs)}")
        return sorted(rng.sample(everything, self.limit))

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws the pool, then fuses all subsets side by side."""
        candidates = yield from self.draw(inputs, self.count)
        task = self.task_of(inputs, candidates.candidates)
        attempts = [
            self.fuse(
                inputs,
                self.order(inputs, [candidates.candidates[place] for place in subset], index),
                layer=1,
                index=index,
                temperature=self.fusor_temperature,
                task=task,
            )
            for index, subset in enumerate(self.subsets(inputs))
        ]
        fusions = yield self.side_by_side(attempts)
        return PooledPrediction.of({}, Pool(candidates.candidates, layers=(tuple(fusions),), depth=2))
