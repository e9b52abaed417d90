"""A model that gives one prescribed answer, and remembers what it was asked.

Rows are written by calling the program itself with such a model: the prompt of a row is what the program sends, and its
answer is known to be one that the program can read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from dspy_fusion.programs.errors import ConfigurationError

from .files.training_row import Message as PlainMessage


class ForcedAnswer:
    """An engine of ``dspy.LM`` that answers with ``text`` whatever it is asked.

    Attributes:
        text: the answer.
        requests: what was asked, in order.
    """

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = False

    def __init__(self, text: str) -> None:
        self.text = text
        self.requests: list[Request] = []

    def complete(self, request: Request) -> Response:
        """The prescribed answer."""
        self.requests.append(request)
        nothing = Usage(input_tokens=0, output_tokens=0, total_tokens=0)
        answer = Message.assistant(self.text)
        return Response(id=None, model=request.model, message=answer, finish_reason="stop", usage=nothing)

    def close(self) -> None:
        """Does nothing."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def lm(self) -> dspy.LM:
        """A model with this engine; it keeps no cache and tries once."""
        return dspy.LM("forced/answer", engine=self, cache=False, num_retries=0)

    def prompt(self) -> tuple[PlainMessage, ...]:
        """The messages of the first request, as they go to a server.

        Raises:
            ConfigurationError: nothing was asked, or something other than text.
        """
        if not self.requests:
            raise ConfigurationError("the program asked no model, so it cannot be trained")
        request = self.requests[0]
        system = request.system or ""
        first = _message("system", system if isinstance(system, str) else _text(system))
        spoken = [_message(message.role, _text(message.parts)) for message in request.messages]
        return (first, *spoken) if first["content"] else tuple(spoken)


def _message(role: str, content: str) -> PlainMessage:
    return {"role": role, "content": content}


def _text(parts: Sequence[Any]) -> str:
    if not all(isinstance(part, TextPart) for part in parts):
        raise ConfigurationError("a training row has parts other than text; only text can be trained on")
    return "".join(part.text for part in parts)
