"""Judges: scorers that ask a model. What all of them share, and the one that grades each candidate by itself.

A judge's predictor is made when the judge is bound to a task, so that its prompt is found, saved and tuned like any
other.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError
from ..pools.candidates import Candidate, Usage
from ..tasks.hyperparameters import Hyperparameter
from ..tasks.instructions import JUDGE, RATE
from ..tasks.own_fields import free_name, with_input
from ..tasks.own_predict import OwnPredict
from ..tasks.signatures import candidate_text, judge_signature, signature_of
from .scorer import Scorer, Scores, with_score
from .verdicts import read_rating, read_share


class Judge(Scorer):
    """Base of judges: a predictor that is made for the task once the task is known, and the attempt that asks it.

    Args:
        lm: the judging model; None takes the one in ``dspy.settings``.
        instructions: how the judge is told to judge; what the task asks for comes in an input of its own.
        verdict: what the judge is to write, as the description of the field ``verdict``.
        temperature: of the judge, in [0, 2], or None for the model's own.
        seed: base of the judge's seeds, where the temperature is not 0, and of the orders in which it sees candidates.
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None,
        *,
        instructions: str,
        verdict: str,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__()
        if temperature is not None and not 0 <= temperature <= 2:
            raise ConfigurationError(f"temperature must be between 0 and 2, but got temperature={temperature!r}")
        self.lm, self.instructions, self.verdict, self.temperature, self.seed = (
            lm,
            instructions,
            verdict,
            temperature,
            seed,
        )
        self.judge: dspy.Predict | None = None
        self.task: type[dspy.Signature] | None = None
        self.task_text = ""

    def bound(self, task: type[dspy.Signature]) -> Scorer:
        """A copy for a task's signature; instructions that were tuned for another task go with it."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Hyperparameter):
                setattr(made, name, copy.deepcopy(value))
        made.instructions = self.instructions if self.judge is None else signature_of(self.judge).instructions
        made.task = task
        made.judge = OwnPredict(made.asked_signature(task))
        return made

    def told(self, task_text: str) -> Scorer:
        """A copy with the same predictor and these instructions of the task."""
        made = copy.copy(self)
        made.task_text = task_text
        return made

    def asked_signature(self, task: type[dspy.Signature]) -> type[dspy.Signature]:
        """The judge's signature for a task."""
        return judge_signature(task, self.instructions, self.verdict)

    def shown(self, candidate: Candidate) -> str:
        """A candidate as the judge sees it.

        Raises:
            ConfigurationError: the judge is not bound to a task.
        """
        return candidate_text(self._bound()[1], candidate.prediction or dspy.Prediction())

    def ask(self, inputs: Mapping[str, Any], texts: Sequence[str], index: int, **further: Any) -> Attempt:
        """The attempt that has the judge look at these texts, in this order.

        ``further`` are inputs of the judge's own.
        """
        judge, task = self._bound()
        told = {free_name(task, "task"): self.task_text or task.instructions}
        asked = {name: inputs[name] for name in task.input_fields if name in inputs}
        asked = {**told, **asked, **further, free_name(task, "candidates"): list(texts)}
        signature = signature_of(judge)
        return Attempt(judge, asked, signature, index, lm=self.lm, temperature=self.temperature, seed=self.seed)

    def said(self, verdict: dspy.Prediction) -> str:
        """What the judge wrote as its verdict."""
        return verdict[free_name(self._bound()[1], "verdict")]

    def _bound(self) -> tuple[dspy.Predict, type[dspy.Signature]]:
        if self.judge is None or self.task is None:
            raise ConfigurationError(f"{type(self).__name__} is not bound to a task; give it to a program as scorer=")
        return self.judge, self.task


class LMJudge(Judge):
    """Has a model grade each candidate by itself; the score is in [0, 1]. One call per candidate.

    Without ``scale`` the verdict is the share of the task that is right: a fraction (``3/4``, ``7 of 10``), a
    percentage or a number in [0, 1]; the last one in the judge's answer counts. With a scale such as ``(1, 10)`` it is
    a rating, and the score says where on the scale it lies. Ratings saturate: many answers get the highest one (arXiv
    2603.04304), where pairs still tell them apart.

    Args:
        lm: the judging model; None takes the one in ``dspy.settings``.
        rubric: what counts and for how much, shown to the judge as a field of its own (so it stays when instructions
            are tuned).
        scale: lowest and highest rating, or None to grade by the share that is right.
        instructions: what the judge is told; None takes the library's text for grading with or without a scale.
        temperature: of the judge, in [0, 2], or None for the model's own.
        seed: base of the judge's seeds, where the temperature is not 0.

    Raises:
        ConfigurationError: a scale whose ends are not in order.
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        rubric: str = "",
        scale: tuple[float, float] | None = None,
        instructions: str | None = None,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        if scale is not None and not (len(scale) == 2 and scale[0] < scale[1]):
            raise ConfigurationError(
                f"scale must be the lowest and the highest rating, such as (1, 10), but got scale={scale!r}"
            )
        verdict = "how many points of the task are right out of how many, as a fraction such as 3/4"
        if scale is not None:
            verdict = f"a short reason, then the rating from {scale[0]:g} to {scale[1]:g}, as in: Rating: {scale[1]:g}"
        told = instructions or (JUDGE if scale is None else RATE)
        super().__init__(lm, instructions=told, verdict=verdict, temperature=temperature, seed=seed)
        self.rubric, self.scale = rubric, scale

    def told(self, task_text: str) -> Scorer:
        """A copy with the same predictor and these instructions of the task."""
        made = copy.copy(self)
        made.task_text = task_text
        return made

    def asked_signature(self, task: type[dspy.Signature]) -> type[dspy.Signature]:
        """The judge's signature for a task, with the rubric as an input where there is one."""
        asked = super().asked_signature(task)
        return with_input(asked, task, "rubric") if self.rubric else asked

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Asks for every candidate at once."""
        further = {free_name(self._bound()[1], "rubric"): self.rubric} if self.rubric else {}
        verdicts = yield Batch([self.ask(inputs, [self.shown(c)], c.index, **further) for c in candidates])
        marked = [
            with_score(c, v, lambda p: self.read(self.said(p))) for c, v in zip(candidates, verdicts, strict=True)
        ]
        return Scores(tuple(marked), Usage.total(verdict.usage for verdict in verdicts), 1)

    def read(self, verdict: str) -> float:
        """A verdict as a score in [0, 1]; raises ``UnreadableVerdict``."""
        if self.scale is None:
            return read_share(verdict)
        low, high = self.scale
        return (read_rating(verdict, low, high) - low) / (high - low)
