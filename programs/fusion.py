"""Fusion: draw several candidates and write one new answer from all of them (FusioN, arXiv 2510.00931)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Unpack

import dspy

from .by_field import checked_keys, fused_by_field
from .calls.drawing import Steps
from .errors import ConfigurationError
from .fusing_program import FusingProgram
from .options import FusingOptions
from .overflow import fused
from .sampling_program import value_of
from .stopping import RuleName, Stopping, counted
from .tasks.hyperparameters import Hyperparameter
from .tasks.instructions import FUSE
from .trajectory_reading import Read, checked_reading


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
        n: how many candidates, at least 1; ``"auto"`` draws in rounds until more would hardly change the outcome. The
            paper uses 5 and finds little gain beyond 7.
        max_n: with ``n="auto"``, how many at most; 16 by default.
        stopping: with ``n="auto"``, when to stop: a :class:`Stopping` or the name of its rule.
        by_field: settle by vote what can be, leaf by leaf: closed kinds of values by the most votes, close floats as
            one, lists item by item (aligned by resemblance, in the order most have), records field by field. The fusor
            writes only texts on which candidates disagree (by less than ``gate``, or at all), and is not asked where
            there is none. ``pool.leaves`` has the share behind each leaf.
        keys: with ``by_field``, from the path of a list (``order.items``) to the field that its items are aligned by.
        trajectories: how many tokens (of about four characters) the steps behind all candidates together may take in
            the fusor's prompt: what agents such as ``dspy.ReAct`` thought, called and were told, or what each predictor
            of a pipeline wrote. Long steps are cut in the middle. None (the default) shows answers alone.
        look_ups: with ``trajectories``, in how many rounds the fusor may ask for steps in full where they do not fit,
            at one call each (after AggAgent, arXiv 2604.11753); 0 by default.
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
        n: int | Literal["auto"] = 5,
        max_n: int | None = None,
        stopping: Stopping | RuleName | None = None,
        by_field: bool = False,
        keys: Mapping[str, str] | None = None,
        trajectories: int | None = None,
        look_ups: int = 0,
        instructions: str = FUSE,
        compare: bool = True,
        **options: Unpack[FusingOptions],
    ) -> None:
        super().__init__(program, instructions=instructions, compare=compare, **options)
        self.n, self.stopping = counted(n, max_n, stopping)
        self.check_quorum_fits(self.n.name, self.n.value)
        self.by_field = Hyperparameter("by_field", True, choices=(True, False)) if by_field else None
        if keys and not by_field:
            raise ConfigurationError(f"keys needs by_field=True, but got keys={keys!r} without it")
        self.keys = checked_keys(keys, list(self.signature.output_fields))
        if by_field and trajectories is not None:
            raise ConfigurationError("trajectories are for answers that are fused whole; leave by_field out")
        self.reading = checked_reading(self.signature, trajectories, look_ups)

    @property
    def kept_beside(self) -> str:
        """An agent's trajectory, where it is to be shown."""
        return "" if self.reading is None else "trajectory"

    @property
    def trajectories(self) -> int | None:
        """How many tokens of steps the fusor sees, or None."""
        return None if self.reading is None else self.reading.tokens.value

    @property
    def look_ups(self) -> int:
        """In how many rounds it may ask for more of them."""
        return 0 if self.reading is None else self.reading.look_ups.value

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws the candidates, shows them to the fusor, and returns what it writes."""
        draws = yield from self.draw(inputs, self.n.value)
        if (agreed := self.agreed(draws.candidates)) is not None:
            speaker, reason = agreed
            return self.take(speaker, draws.pool(speaker.index, gated=reason, saved=1))
        if value_of(self.by_field):
            return (yield from fused_by_field(self, inputs, draws))
        task = self.task_of(inputs, draws.candidates)
        shown = self.order(inputs, [candidate for candidate in draws.candidates if candidate.ok], 0)
        read = Read() if self.reading is None else (yield from self.reading.steps(self, inputs, shown, task))
        (written,), cut = yield from fused(
            self,
            inputs,
            [shown],
            layer=1,
            temperature=self.fusor_temperature,
            streams=True,
            told=read.told,
            beside=read.texts,
            task=task,
        )
        depth = draws.rounds + read.rounds + 1
        pool = draws.pool(shown=tuple(c.index for c in shown), depth=depth, notes=read.notes)
        written = replace(written, usage=written.usage + read.usage)
        return self.conclude(written, shown, replace(pool, shortened=cut or read.shortened), task)
