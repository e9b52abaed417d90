"""Any adapter, asking for reasoning before the answer.

What ``dspy.ChainOfThought`` does to a signature, done to every prompt of a program that was written without it.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any, cast

import dspy
from dspy.utils.exceptions import AdapterParseError

from .plain_adapter import PlainAdapter
from .reasoning_room import ROOM, Room

_ANSWER = re.compile(  # what follows is the answer; small models write the second form whatever they are told
    r"^[ \t>#*_]*(?:(?:the |my )?(?:final )?answer[ \t*_]*:|(?:so,? |thus,? )?the (?:final )?answer is:?)[ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_IN_PLAIN = (
    "First think it through step by step, in writing. Then begin a new line with `Answer:` and write your answer, and"
    " nothing but the answer, after it."
)


class _Reasoned:
    """What is mixed into an adapter's class."""

    plain_form: dspy.Adapter

    def bank_identity(self) -> Any:
        """The adapter that it is without."""
        return self.plain_form


class _InAField(_Reasoned):
    """Of an adapter that knows fields: one for reasoning before all others, which nobody hears of afterwards."""

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        wider, name = _with_field(signature)
        answers = super().__call__(lm, lm_kwargs, wider, demos, inputs)  # type: ignore[misc]
        return [_without(answer, name) for answer in answers]

    async def acall(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        wider, name = _with_field(signature)
        answers = await super().acall(lm, lm_kwargs, wider, demos, inputs)  # type: ignore[misc]
        return [_without(answer, name) for answer in answers]


class _InPlainText(_Reasoned, PlainAdapter):
    """Of plain text: the answer is what stands after the last ``Answer:``, or "The answer is", that begins a line."""

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        told = signature.with_instructions("\n\n".join(text for text in (signature.instructions, _IN_PLAIN) if text))
        return super().format(told, demos, inputs)

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """Reads what follows the last mark; a completion without one is not parsed."""
        if not signature.output_fields:
            return super().parse(signature, completion)
        marks = list(_ANSWER.finditer(completion))
        if not marks:
            raise AdapterParseError(
                adapter_name=PlainAdapter.__name__,
                signature=cast("Any", signature),
                lm_response=completion,
                message="the model was to reason first and to begin its answer with 'Answer:', which it did not",
            )
        return super().parse(signature, completion[marks[-1].end() :].strip())


def with_room(adapter: dspy.Adapter | None, room: Room) -> dspy.Adapter | None:
    """The adapter for a room; None leaves it to ``dspy.settings``, where the room has no field."""
    return reasoned(adapter or dspy.settings.adapter or dspy.ChatAdapter()) if room.has_field else adapter


def reasoned(adapter: dspy.Adapter) -> dspy.Adapter:
    """A copy of an adapter that has models reason before they answer; what it returns has the same fields.

    It stays of the adapter's own class, since DSPy tells by that how to stream. In plain text, which has no fields, the
    model is told to write its answer after ``Answer:``; a completion without that is no answer.
    """
    if isinstance(adapter, _Reasoned):
        return adapter
    made = copy.copy(adapter)
    made.__class__ = _class_of(type(adapter))
    cast("Any", made).plain_form = adapter
    return made


@cache
def _class_of(kind: type[dspy.Adapter]) -> type[dspy.Adapter]:
    how = _InPlainText if issubclass(kind, PlainAdapter) else _InAField
    bases = (how,) if how is _InPlainText and kind is PlainAdapter else (how, kind)
    return type(f"Reasoned{kind.__name__}", bases, {"__module__": __name__})


def _with_field(signature: type[dspy.Signature]) -> tuple[type[dspy.Signature], str]:
    """The signature with a field for reasoning, and its name.

    An empty one where it has such a field or no text to write.
    """
    if ROOM in signature.fields or not signature.output_fields:
        return signature, ""
    described = dspy.OutputField(desc="your reasoning, step by step, before anything else is written")
    return signature.prepend(ROOM, described, str), ROOM


def _without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != name} if name else answer
