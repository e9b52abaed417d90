"""Rows of an aggregation fine-tuning, written by the program itself.

Each row is one call of the program with a model that gives the answer to be learned: the prompt is byte for byte what
the program will send, under any adapter and signature, and an answer that the program could not read back is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast

import dspy

from dspy_fusion.programs.calls.attempts import Attempt
from dspy_fusion.programs.calls.drawing import Batch, Steps, run
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.programs.tasks.signatures import comparing, plain, signature_of

from .files.training_row import Message, TrainingRow
from .forced_answer import ForcedAnswer


class RowWriter:
    """Writes rows for one program under the adapter that is set.

    Args:
        fusing: the program whose fusor is trained.

    Raises:
        ConfigurationError: the fusor is no single predictor, or the adapter cannot write answers.
    """

    def __init__(self, fusing: FusingProgram) -> None:
        self.fusing, self.adapter = fusing, present_adapter()
        only_predictor(fusing.fusor, "the fusor")
        self._told = cache(self._fusor_told)  # a new signature takes longer than a row

    def aggregating(
        self,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        outputs: Mapping[str, Any],
        instructions: str | None = None,
    ) -> TrainingRow:
        """A row that shows candidates, in this order, and wants ``outputs``.

        With other instructions than the fusor's own, where they are given.
        """
        attempt = self.fusing.fuse(inputs, shown, layer=1, temperature=None)
        if instructions is not None:
            asked = None if attempt.asked is None else attempt.asked.with_instructions(instructions)
            attempt = replace(attempt, module=self._told(instructions), asked=asked)
        return self._row(attempt, outputs, len(shown))

    def solving(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> TrainingRow:
        """A row with the task program's own prompt, without candidates.

        Raises:
            ConfigurationError: the task program is no single predictor, so it is not clear which of its steps
                ``outputs`` belong to.
        """
        only_predictor(self.fusing.program, "the task program")
        return self._row(Attempt(self.fusing.program, inputs, self.fusing.signature), outputs, 0)

    def prompt(self, inputs: Mapping[str, Any], shown: Sequence[Candidate] | None) -> tuple[Message, ...]:
        """What the program sends to have these candidates aggregated, or, for None, the task program's own prompt."""
        if shown is None:
            only_predictor(self.fusing.program, "the task program")
            attempt = Attempt(self.fusing.program, inputs, self.fusing.signature)
        else:
            attempt = self.fusing.fuse(inputs, shown, layer=1, temperature=None)
        forced = ForcedAnswer("-")  # which need not be one that can be read
        run(_once(replace(attempt, lm=forced.lm(), temperature=None, seed=None, adapter=self.adapter)))
        return forced.prompt()

    def _row(self, attempt: Attempt, outputs: Mapping[str, Any], proposals: int) -> TrainingRow:
        signature = attempt.asked or signature_of(only_predictor(attempt.module, "what is trained"))
        signature = comparing(signature, self.fusing.signature, False)  # no answer to be learned has a comparison
        wanted = {name: outputs.get(name, "") for name in signature.output_fields}
        if missing := [name for name in self.fusing.signature.output_fields if name not in outputs]:
            raise ConfigurationError(
                f"an answer to be learned lacks {missing[0]!r}; it has {', '.join(outputs) or 'nothing'}"
            )
        forced = ForcedAnswer(completion_text(self.adapter, signature, wanted))
        made = run(_once(replace(attempt, lm=forced.lm(), temperature=None, seed=None, adapter=self.adapter)))
        prompt = forced.prompt()
        if made.prediction is None:
            raise ConfigurationError(
                f"the program cannot read the answer to be learned, {forced.text[:200]!r}: {made.error}"
            )
        for name, value in wanted.items():
            _check_read(name, value, made.prediction.get(name))
        return TrainingRow(prompt, forced.text, proposals)

    def _fusor_told(self, instructions: str) -> dspy.Module:
        fusor = self.fusing.fusor.deepcopy()
        predictor = only_predictor(fusor, "the fusor")
        predictor.signature = signature_of(predictor).with_instructions(instructions)
        return fusor


def fusing_program(program: dspy.Module) -> FusingProgram:
    """The one Fusion or ProposeAggregate in a module.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    parts = [part for _, part in program.named_sub_modules(FusingProgram) if isinstance(part, FusingProgram)]
    if len(parts) != 1:
        raise ConfigurationError(
            f"{type(program).__name__} has {len(parts)} programs that fuse, but one fusor can be trained at a time;"
            " give a module with one Fusion or ProposeAggregate in it"
        )
    return parts[0]


def present_adapter() -> dspy.Adapter:
    """The adapter that is set, or the one that DSPy takes where none is."""
    return dspy.settings.adapter or dspy.ChatAdapter()


def only_predictor(module: dspy.Module, what: str) -> dspy.Predict:
    """The one predictor of a module; raises ``ConfigurationError`` where there are none or more."""
    predictors = module.predictors()
    if len(predictors) != 1:
        raise ConfigurationError(
            f"{what} must be one dspy.Predict to be trained, but {type(module).__name__} has {len(predictors)}"
        )
    return predictors[0]


def completion_text(adapter: dspy.Adapter, signature: type[dspy.Signature], outputs: Mapping[str, Any]) -> str:
    """An answer as a model would write it for an adapter.

    Raises:
        ConfigurationError: the adapter cannot write answers.
    """
    if isinstance(adapter, PlainAdapter):
        return adapter.answer_text(signature, outputs)
    try:
        return str(cast("Any", adapter).format_assistant_message_content(signature, dict(outputs)))
    except (NotImplementedError, AttributeError) as error:
        raise ConfigurationError(
            f"{type(adapter).__name__} cannot write an answer as a model would; use PlainAdapter() or"
            " dspy.ChatAdapter()"
        ) from error


def _check_read(name: str, wanted: Any, read: Any) -> None:
    one, other = (value.strip() if isinstance(value, str) else value for value in (plain(wanted), plain(read)))
    if one != other and str(one) != str(other):
        raise ConfigurationError(
            f"the program reads the answer to be learned in {name!r}, {wanted!r}, as {read!r}; take the example out, or"
            " use another adapter"
        )


def _once(attempt: Attempt) -> Steps[Candidate]:
    (made,) = yield Batch([attempt])
    return made
