"""How answers ended, and which fields of one hold nothing: what is no answer, though a model sent it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import dspy
from pydantic_core import PydanticUndefined


@dataclass(frozen=True)
class Ending:
    """How one answer of a model ended.

    Attributes:
        reason: the finish reason, as DSPy's engines give it; empty where there is none.
        refusal: what the model said in place of an answer, in the field that its protocol has for it.
    """

    reason: str = ""
    refusal: str = ""

    @property
    def is_cut_off(self) -> bool:
        """Whether it ended at the token limit."""
        return self.reason in ("length", "max_tokens")

    @property
    def is_filtered(self) -> bool:
        """Whether the provider stopped it."""
        return self.reason in ("content_filter", "content_filtered", "safety", "refusal", "error")


def endings_of(response: Any) -> tuple[Ending, ...]:
    """How the answers of a response ended: of either of DSPy's own engines, or of a custom one."""
    if isinstance(response, Sequence) and not isinstance(response, str):
        return tuple(ending for part in response for ending in endings_of(part))
    choices = _part(response, "choices")
    return tuple(map(_ending, choices)) if choices else (_ending(response),)


def _ending(choice: Any) -> Ending:
    message = _part(choice, "message")
    refusals = [part.text for part in _part(message, "parts") or () if getattr(part, "type", "") == "refusal"]
    said = _part(message, "refusal") or "".join(refusals)
    return Ending(str(_part(choice, "finish_reason") or ""), said if isinstance(said, str) else "")


def _part(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def mean_logprob(reported: Any) -> float | None:
    """The mean log-probability of an answer's tokens from what DSPy reports, or None where the model reported none."""
    tokens = reported.get("content") if isinstance(reported, Mapping) else getattr(reported, "content", reported)
    if not isinstance(tokens, list | tuple) or not tokens:
        return None
    values = [
        token.get("logprob") if isinstance(token, Mapping) else getattr(token, "logprob", None) for token in tokens
    ]
    known = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return sum(known) / len(known) if len(known) == len(values) else None


def empty_field(task: type[dspy.Signature], answer: dspy.Prediction, names: Sequence[str]) -> str:
    """The first text field of an answer that holds nothing, or an empty string.

    A field may be empty where the task says so, by a type that allows None or by a default; so may the reasoning that
    stands before an answer.
    """
    if not names:
        return "of any name"
    for name in names:
        field, value = task.output_fields.get(name), answer.get(name)
        optional = name == "reasoning" and name != names[-1]
        if field is not None:
            optional = optional or field.default is not PydanticUndefined or not _is_text(field.annotation)
        if isinstance(value, str) and not optional and is_blank(value):
            return name
    return ""


def is_blank(text: str) -> bool:
    """Whether a text has no visible character."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def _is_text(annotation: Any) -> bool:
    return annotation is str or (get_origin(annotation) is Annotated and _is_text(get_args(annotation)[0]))
