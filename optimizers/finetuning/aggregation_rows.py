"""Training rows: messages exactly as the program's own predictors will send them,
with the answer to be learned as the completion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.programs.tasks.signatures import CANDIDATES, candidate_text, signature_of

Message = dict[str, str]


@dataclass(frozen=True)
class Row:
    """A prompt and the answer that is learned.

    Attributes:
        prompt: messages, the last one the user's.
        completion: the model's answer.
        proposals: how many proposals the prompt shows.
    """

    prompt: tuple[Message, ...]
    completion: str
    proposals: int = 0

    def as_messages(self) -> dict[str, list[Message]]:
        """The prompt-completion format that TRL trains on, with the loss on the completion."""
        return {"prompt": list(self.prompt), "completion": [{"role": "assistant", "content": self.completion}]}


class RowWriter:
    """Writes rows for one program under the adapter that is set.

    Args:
        fusing: the program whose fusor is trained.

    Raises:
        ConfigurationError: the fusor is no single predictor, or the adapter cannot write answers.
    """

    def __init__(self, fusing: FusingProgram) -> None:
        self.task = fusing.signature
        self.adapter: dspy.Adapter = dspy.settings.adapter or dspy.ChatAdapter()
        self._fusor = _only_predictor(fusing.fusor, "the fusor")
        self._program = fusing.program
        self._told = cache(signature_of(self._fusor).with_instructions)  # a new signature takes longer than a row

    def aggregating(
        self,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        outputs: Mapping[str, Any],
        instructions: str | None = None,
    ) -> Row:
        """A row that shows candidates, in this order, and wants ``outputs``;
        with other instructions than the fusor's own, where given.
        """
        texts = [
            candidate_text(self.task, candidate.prediction) for candidate in shown if candidate.prediction is not None
        ]
        return self._row(self._fusor, {**inputs, CANDIDATES: texts}, outputs, len(texts), instructions)

    def solving(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Row:
        """A row with the task program's own prompt, without candidates.

        Raises:
            ConfigurationError: the task program is no single predictor, so it is not clear which of its steps
                ``outputs`` belong to.
        """
        return self._row(_only_predictor(self._program, "the task program"), inputs, outputs, 0)

    def _row(
        self,
        predictor: dspy.Predict,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        proposals: int,
        instructions: str | None = None,
    ) -> Row:
        signature = signature_of(predictor) if instructions is None else self._told(instructions)
        if missing := [name for name in signature.output_fields if name not in outputs]:
            raise ConfigurationError(
                f"an answer to be learned lacks {missing[0]!r}; it has {', '.join(outputs) or 'nothing'}"
            )
        messages = self.adapter.format(signature, [dict(demo) for demo in predictor.demos], dict(inputs))
        prompt = tuple({"role": str(message["role"]), "content": _text(message["content"])} for message in messages)
        return Row(prompt, _completion(self.adapter, signature, dict(inputs), dict(outputs)), proposals)


def _only_predictor(module: dspy.Module, what: str) -> dspy.Predict:
    predictors = module.predictors()
    if len(predictors) != 1:
        raise ConfigurationError(
            f"{what} must be one dspy.Predict to be trained, but {type(module).__name__} has {len(predictors)}"
        )
    return predictors[0]


def _completion(
    adapter: dspy.Adapter, signature: type[dspy.Signature], inputs: dict[str, Any], outputs: dict[str, Any]
) -> str:
    if isinstance(adapter, PlainAdapter):
        (name,) = signature.output_fields
        return outputs[name] if isinstance(outputs[name], str) else str(outputs[name])
    try:
        return str(cast("Any", adapter).format_finetune_data(signature, [], inputs, outputs)["messages"][-1]["content"])
    except (NotImplementedError, AttributeError) as error:
        raise ConfigurationError(
            f"{type(adapter).__name__} cannot write an answer as a model would; use PlainAdapter() or"
            " dspy.ChatAdapter()"
        ) from error


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return "".join(part["text"] for part in content)
    raise ConfigurationError("a training row has parts other than text; only text can be trained on")
