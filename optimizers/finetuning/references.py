"""What the model is to write.

The examples' own answers, or aggregations that a stronger model writes from the proposals.

An example's answer seldom holds what led to it, such as the reasoning of ``dspy.ChainOfThought``: that comes from a
proposal that is right, from a stronger model that came to the same answer, or is left out.

AFT, arXiv 2501.11877, section 3.1: a stronger model aggregates the proposals under the same prompt as in training and
use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import dspy

from dspy_fusion.programs.calls.attempts import Attempt
from dspy_fusion.programs.calls.drawing import Batch, Steps, run
from dspy_fusion.programs.errors import ConfigurationError, FusorFailed
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.signatures import plain

from .files.identities import lm_identity
from .proposals import checked_outputs, is_blank

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

    def needs_proposals(self, unsaid: Sequence[str]) -> bool:
        """Whether the answers are made from proposals; ``unsaid`` are the outputs that no example has."""
        ...

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any] | None:
        """The output fields to be learned from these proposals, in this order; None where none can be had."""
        ...


def unsaid_outputs(examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> list[str]:
    """The text outputs that no example has, though it has others: what leads to an answer, such as a reasoning."""
    without = [
        name
        for name, field in task.output_fields.items()
        if field.annotation is str and all(is_blank(example.get(name)) for example in examples)
    ]
    return without if len(without) < len(task.output_fields) else []


@dataclass(frozen=True)
class GoldReferences:
    """The examples' own output fields.

    Attributes:
        reasoning: what is learned for outputs that no example has: that of the best proposal that is right
            (``"proposal"``; examples without one are left out, and counted), that of a stronger model where it comes
            to the example's answer (:class:`FusorReferences`), or nothing, an empty field (``"leave_out"``).
    """

    reasoning: Literal["proposal", "leave_out"] | FusorReferences = "proposal"

    def __post_init__(self) -> None:
        """Checks the option."""
        if self.reasoning not in ("proposal", "leave_out") and not isinstance(self.reasoning, FusorReferences):
            raise ConfigurationError(
                "reasoning must be 'proposal', 'leave_out' or FusorReferences(lm), but got"
                f" reasoning={self.reasoning!r}"
            )

    def about(self) -> dict[str, Any]:
        """That they are the examples' own, and where the reasoning comes from."""
        reasoning = self.reasoning.about() if isinstance(self.reasoning, FusorReferences) else self.reasoning
        return {"references": {"gold": True, "reasoning": reasoning}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Counts the examples without an answer and raises ``ConfigurationError`` where there are any."""
        names = [name for name in task.output_fields if name not in unsaid_outputs(examples, task)]
        empty = [place for place, example in enumerate(examples) if any(is_blank(example.get(name)) for name in names)]
        if empty:
            raise ConfigurationError(
                f"{len(empty)} of {len(examples)} training examples have no answer in {', '.join(names)},"
                f" the first is example {empty[0]}; take them out, or have a model write the answers:"
                " references=FusorReferences(lm)"
            )
        for place, example in enumerate(examples):
            try:
                checked_outputs({name: example.get(name, "") for name in task.output_fields}, task)
            except ConfigurationError as error:
                raise ConfigurationError(f"example {place} of the training set: {error}") from error

    def needs_proposals(self, unsaid: Sequence[str]) -> bool:
        """Where a proposal gives the reasoning, or a stronger model reasons about them."""
        return bool(unsaid) and self.reasoning != "leave_out"

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any] | None:
        """The example's answer, with the reasoning of something that comes to it where the example has none."""
        task = fusing.signature
        gold = checked_outputs({name: example.get(name, "") for name in task.output_fields}, task)
        unsaid = [name for name, value in gold.items() if is_blank(value)]
        if not unsaid or self.reasoning == "leave_out":
            return {name: "" if name in unsaid else value for name, value in gold.items()}
        if isinstance(self.reasoning, FusorReferences):
            answer = self.reasoning.of(example, shown, fusing)
            return {**answer, **_said(gold, unsaid)} if _agrees(answer, gold, unsaid) else None
        right = [one for one in shown if one.prediction is not None and _is_right(one, gold, unsaid)]
        best = max(right, key=lambda one: (one.score if one.score is not None else 0.0, -one.index), default=None)
        if best is None or best.prediction is None:
            return None
        return {name: plain(best.prediction[name]) if name in unsaid else value for name, value in gold.items()}


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
        """The model with its options, its temperature, and what counts as a refusal."""
        asked = {**lm_identity(self.lm), "temperature": self.temperature}
        return {"references": {"fusor": asked, "refusal": self.refusal.pattern}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Nothing can be wrong before the model is asked."""

    def needs_proposals(self, unsaid: Sequence[str]) -> bool:
        """Always: they are what it aggregates."""
        return True

    def of(self, example: dspy.Example, shown: Sequence[Candidate], fusing: FusingProgram) -> dict[str, Any]:
        """The aggregation; raises ``FusorFailed`` when the model fails, answers nothing or refuses."""
        attempt = fusing.fuse(example.inputs().toDict(), shown, layer=1, temperature=None)
        return self._ask(attempt, fusing)

    def direct(self, example: dspy.Example, fusing: FusingProgram) -> dict[str, Any]:
        """The stronger model's own answer, without proposals: the target of pseudo-aggregation."""
        return self._ask(Attempt(fusing.program, example.inputs().toDict(), fusing.signature), fusing)

    def _ask(self, attempt: Attempt, fusing: FusingProgram) -> dict[str, Any]:
        made = run(_once(replace(attempt, lm=self.lm, temperature=self.temperature, seed=fusing.seed, adapter=None)))
        if made.prediction is None:
            raise FusorFailed(f"{self.lm.model} failed: {made.error}")
        outputs = {name: plain(value) for name, value in made.prediction.items() if name != attempt.beside}
        for name in fusing.signature.output_fields:
            value = outputs[name]
            if is_blank(value):
                raise FusorFailed(f"{self.lm.model} left {name!r} empty")
            if isinstance(value, str) and self.refusal.match(value.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
                raise FusorFailed(f"{self.lm.model} refused: {value[:200]!r}")
        return outputs


def _is_right(candidate: Candidate, gold: dict[str, Any], unsaid: Sequence[str]) -> bool:
    """By its score, or because it says what the example says; something must have led to it."""
    outputs = {name: plain(value) for name, value in (candidate.prediction or {}).items()}
    if any(is_blank(outputs.get(name)) for name in unsaid):
        return False
    return (candidate.score is not None and candidate.score >= 1.0) or _agrees(outputs, gold, unsaid)


def _agrees(outputs: dict[str, Any], gold: dict[str, Any], unsaid: Sequence[str]) -> bool:
    return all(_same(outputs.get(name), value) for name, value in _said(gold, unsaid).items())


def _said(gold: dict[str, Any], unsaid: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in gold.items() if name not in unsaid}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
    return one == other


def _once(attempt: Attempt) -> Steps[Candidate]:
    (made,) = yield Batch([attempt])
    return made
