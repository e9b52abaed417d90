"""The room that a model's reasoning gets before its answer: a field of its own, an effort, a number of tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from ..errors import ConfigurationError
from .hyperparameters import Hyperparameter, Value
from .signatures import signature_of

ROOM = "reasoning"  # what the hyperparameter is called in every program
FIELD, EFFORTS = "field", ("none", "minimal", "low", "medium", "high", "xhigh")
_TOKENS = re.compile(r"([1-9]\d{0,8}) tokens")


@dataclass(frozen=True)
class Room:
    """What a text such as ``"field + 512 tokens"`` stands for.

    Attributes:
        has_field: whether the model writes its reasoning into an output field before all others.
        effort: the ``reasoning_effort`` that is sent, or None for the model's own.
        tokens: how many tokens the reasoning and the answer may take together, or None for the model's own.
    """

    has_field: bool = False
    effort: str | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, text: str | None) -> Room:
        """Reads a text; None is no room of its own.

        Raises:
            ConfigurationError: a part of it is none of ``field``, an effort and ``N tokens``, or says again what
                another part says.
        """
        parts: dict[str, Any] = {}
        for part in [] if text is None else str(text).split("+"):
            name, value = _read(part.strip(), text)
            if name in parts:
                raise ConfigurationError(f"{ROOM}={text!r} says twice what it means by {part.strip()!r}; leave one out")
            parts[name] = value
        return cls(**parts)

    def sampling(self, lm: dspy.BaseLM) -> dict[str, Any]:
        """What is laid over a model's own settings, by the names that it has for them."""
        own = getattr(lm, "kwargs", None) or {}
        named = "max_completion_tokens" if "max_completion_tokens" in own else "max_tokens"
        options: Mapping[str, Any] = {"reasoning_effort": self.effort, named: self.tokens}
        return {name: value for name, value in options.items() if value is not None}


NO_ROOM = Room()


class ReasoningRoom(Hyperparameter):
    """The room as a hyperparameter of a program: a text as :meth:`Room.of` reads it, or None."""

    def __init__(self, text: str | None) -> None:
        super().__init__(ROOM, text, choices=(None,))

    @property
    def room(self) -> Room:
        """What the present value stands for."""
        return Room.of(self.value)

    def _checked(self, value: Value) -> Value:
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{ROOM} must be a text or None, but got {ROOM}={value!r}; {_HELP}")
        Room.of(value)
        return value


def has_room_for_field(module: dspy.Module) -> bool:
    """Whether a field for reasoning would be new to any predictor of a module: ``dspy.ChainOfThought`` has one."""
    return any(ROOM not in signature_of(predictor).fields for predictor in module.predictors())


_HELP = f"it is made of {FIELD!r}, one of {', '.join(EFFORTS)}, and such as '1024 tokens', joined by ' + '"


def _read(part: str, text: str | None) -> tuple[str, Any]:
    if part == FIELD:
        return "has_field", True
    if part in EFFORTS:
        return "effort", part
    if (tokens := _TOKENS.fullmatch(part)) is not None:
        return "tokens", int(tokens[1])
    raise ConfigurationError(f"{ROOM}={text!r} has the part {part!r}, which means nothing; {_HELP}")
