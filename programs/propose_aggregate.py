"""ProposeAggregate: layers of aggregation over proposals (AFT, arXiv 2501.11877, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import dspy

from .calls.drawing import Steps
from .errors import ConfigurationError
from .fusing_program import FusingProgram
from .options import FusingOptions
from .overflow import fused
from .pools.candidates import Candidate, Pool, Usage, usage_of
from .sampling_program import leave_trace, optional_temperature
from .tasks.hyperparameters import Hyperparameter
from .tasks.instructions import AGGREGATE


class ProposeAggregate(FusingProgram):
    """Draws ``width`` proposals, aggregates them in ``depth`` layers,
    and returns the single aggregation of the last layer.

    Each middle layer draws ``width`` aggregations of the layer below. ``depth=0`` is a single call, ``depth=1`` is
    Fusion with the aggregation prompt, ``width=1`` is sequential revision, several ``lms`` make a mixture of agents
    (arXiv 2406.04692), and ``subset=k`` shows each aggregation a seeded random k of the layer below (recursive
    self-aggregation, arXiv 2509.26626). Calls: ``width * depth + 1``; sequential depth: ``depth + 1``.

    Unlike the paper's code, which shows every aggregator of a layer the same order, each sees its own seeded order
    (``shuffle=False`` for the paper's way), and the last layer's temperature is 0 by default where the paper uses 0.7
    to 0.9.

    Args:
        program: the task program.
        width: candidates per layer, at least 1; 5 in the paper.
        depth: aggregation layers, at least 0; 2 in the paper on open-ended tasks, 1 on closed ones.
        subset: how many candidates each aggregation of a layer above the first sees; None for all.
        aggregation_temperature: of the middle layers, in [0, 2], or None for the model's own.
        instructions: how the aggregators of every layer are told to aggregate; each gets the task's own instructions
            beside it.
        compare: whether each aggregator writes how the candidates compare before it answers; the last one's is kept as
            ``pool.comparison``. Off in the paper.
        **options: see :class:`FusingOptions`.

    Raises:
        QuorumNotMet: too few proposals succeeded.
        FusorFailed: a whole layer failed and ``on_fusor_failure="raise"``.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        width: int = 5,
        depth: int = 2,
        subset: int | None = None,
        aggregation_temperature: float | None = 0.7,
        instructions: str = AGGREGATE,
        compare: bool = False,
        **options: Unpack[FusingOptions],
    ) -> None:
        super().__init__(program, instructions=instructions, compare=compare, **options)
        self.width = Hyperparameter("width", width, low=1, search=(1, 8))
        self.depth = Hyperparameter("depth", depth, low=0, search=(0, 3))
        self.aggregation_temperature = optional_temperature("aggregation_temperature", aggregation_temperature)
        if subset is not None and not 1 <= subset <= width:
            raise ConfigurationError(
                f"subset must be between 1 and width={width}, but got subset={subset!r}; leave it out for all"
            )
        self.subset = None if subset is None else Hyperparameter("subset", subset, low=1, search=(1, 8))
        self.check_quorum_fits("width", width)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws the proposals, goes up the layers, and returns what the last one writes."""
        width, depth = self.width.value, self.depth.value
        draws = yield from self.draw(inputs, width if depth else 1)
        if depth == 0:
            (only,) = draws.candidates
            return self.take(only, Pool(draws.candidates, only.index, usage=draws.usage))
        task = self.task_of(inputs, draws.candidates)
        below, layers = [candidate for candidate in draws.candidates if candidate.ok], []
        sources, usage, notes = list(below), dict(draws.usage), list[str]()
        if (agreed := self.agreed(below)) is not None:
            speaker, reason = agreed
            return self.take(speaker, draws.pool(speaker.index, gated=reason, saved=width * (depth - 1) + 1))
        for layer in range(1, depth):
            made, cut = yield from self._aggregations(inputs, below, layer, width, task)
            notes += [cut] if cut else []
            layers.append(tuple(made))
            usage["aggregations"] = usage.get("aggregations", Usage()) + usage_of(made)
            below = [candidate for candidate in made if candidate.ok]
            if not below:
                pool = Pool(draws.candidates, layers=tuple(layers), usage=usage, depth=layer + 1)
                return self.fall_back(f"all of layer {layer} failed: {made[0].error}", pool, task)
            sources += below
            if (agreed := self.agreed(below)) is not None:
                speaker, reason = agreed
                saved = width * (depth - 1 - layer) + 1
                pool = draws.pool(
                    layers=tuple(layers), usage=usage, depth=layer + 1, gated=f"layer {layer}: {reason}", saved=saved
                )
                leave_trace([*(source for source in sources if source is not speaker), speaker])
                return self.answer(speaker, pool, task)
        shown = self.order(inputs, below, depth * width, self._limit())
        (written,), cut = yield from fused(
            self, inputs, [shown], layer=depth, temperature=self.fusor_temperature, streams=True, task=task
        )
        indexes, shortened = tuple(c.index for c in shown), next(iter([*notes, *([cut] if cut else [])]), None)
        pool = draws.pool(layers=tuple(layers), shown=indexes, usage=usage, depth=depth + 1, shortened=shortened)
        return self.conclude(written, sources, pool, task)

    def _limit(self) -> int | None:
        return None if self.subset is None else self.subset.value

    def _aggregations(
        self, inputs: dict[str, Any], below: Sequence[Candidate], layer: int, width: int, task: type[dspy.Signature]
    ) -> Steps[tuple[list[Candidate], str | None]]:
        orders = [self.order(inputs, below, layer * width + index, self._limit()) for index in range(width)]
        return fused(self, inputs, orders, layer=layer, temperature=self.aggregation_temperature, task=task)
