"""What the model is to write: the examples' own answers,
or aggregations that a stronger model writes from the proposals.

AFT, arXiv 2501.11877, section 3.1: a stronger model aggregates the proposals under the same prompt as in training and
use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dspy

from dspy_fusion.programs.calls.attempts import Attempt
from dspy_fusion.programs.calls.drawing import Batch, Steps, run
from dspy_fusion.programs.errors import ConfigurationError, FusorFailed
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.signatures import CANDIDATES, candidate_text, plain

from .proposals import is_blank

_REFUSAL = re.compile(
    r"\s*(i('| a)?m sorry|sorry,|i apologi[sz]e|i can(no|')t (help|assist|do|fulfil|comply|provide)|i('| a)m unable|as"
    r" an ai\b|"
    r"i won't (help|assist|do|provide))",
    re.IGNORECASE,
)


class References(Protocol):
    """A way to get the answer that the model is to learn."""

    def about(self) -> dict[str, Any]:
        """What the answers depend on, as plain data."""
        ...

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Raises ``ConfigurationError`` for examples that can have no answer; calls no model."""
        ...

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any]:
        """The output fields to be learned from these proposals, in this order."""
        ...


@dataclass(frozen=True)
class GoldReferences:
    """The examples' own output fields."""

    def about(self) -> dict[str, Any]:
        """That they are the examples' own."""
        return {"references": "gold"}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Counts the examples without an answer and raises ``ConfigurationError`` where there are any."""
        empty = [
            place
            for place, example in enumerate(examples)
            if any(is_blank(example.get(name)) for name in task.output_fields)
        ]
        if empty:
            raise ConfigurationError(
                f"{len(empty)} of {len(examples)} training examples have no answer in {', '.join(task.output_fields)},"
                f" the first is example {empty[0]}; take them out, or have a model write the answers:"
                " references=FusorReferences(lm)"
            )

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any]:
        """The example's answer."""
        return {name: plain(example[name]) for name in fusing.signature.output_fields}


@dataclass(frozen=True)
class FusorReferences:
    """Aggregations by a stronger model, asked as the program asks its fusor.

    Attributes:
        lm: the stronger model.
        temperature: in [0, 2].
        refusal: what counts as a refusal, at the beginning of an answer; such an answer is a failure, not a reference.
    """

    lm: dspy.BaseLM
    temperature: float = 0.0
    refusal: re.Pattern[str] = _REFUSAL

    def about(self) -> dict[str, Any]:
        """The model's name and its temperature."""
        return {"references": {"fusor": self.lm.model, "temperature": self.temperature}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Nothing can be wrong before the model is asked."""

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any]:
        """The aggregation; raises ``FusorFailed`` when the model fails, answers nothing or refuses."""
        texts = [candidate_text(fusing.signature, c.prediction) for c in shown if c.prediction is not None]
        return self._ask(fusing.fusor, {**example.inputs().toDict(), CANDIDATES: texts}, fusing, layer=1)

    def direct(self, example: dspy.Example, fusing: FusingProgram) -> dict[str, Any]:
        """The stronger model's own answer, without proposals: the target of pseudo-aggregation."""
        return self._ask(fusing.program, example.inputs().toDict(), fusing, layer=0)

    def _ask(
        self, module: dspy.Module, inputs: Mapping[str, Any], fusing: FusingProgram, *, layer: int
    ) -> dict[str, Any]:
        made = run(_once(Attempt(module, inputs, fusing.signature, 0, layer, self.lm, self.temperature, fusing.seed)))
        if made.prediction is None:
            raise FusorFailed(f"{self.lm.model} failed: {made.error}")
        outputs = {name: plain(made.prediction[name]) for name in fusing.signature.output_fields}
        for name, value in outputs.items():
            if is_blank(value):
                raise FusorFailed(f"{self.lm.model} left {name!r} empty")
            if isinstance(value, str) and self.refusal.match(value.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
                raise FusorFailed(f"{self.lm.model} refused: {value[:200]!r}")
        return outputs


def _once(attempt: Attempt) -> Steps[Candidate]:
    (made,) = yield Batch([attempt])
    return made
