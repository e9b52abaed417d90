"""Checkpoints as engines of ``dspy.LM``: a request goes into the model's batch and the caller waits for its answer.

Copies of an LM share the model, and a saved one is loaded again from the same folder, if its weights are still those.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from dspy.lm15 import (
    ContextLengthError,
    InvalidRequestError,
    Message,
    Request,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    Usage,
)

from dspy_fusion.programs.errors import ConfigurationError

from ..embedded.chat_request import refuse_unsupported, sampling_of, system_text, text_of
from ..shared_by_copies import SharedByCopies
from .checkpoint_options import CheckpointOptions

if TYPE_CHECKING:
    from .checkpoint_model import CheckpointModel, Written  # needs torch

_PROVIDER = "checkpoint"


class _SharedEngine(SharedByCopies):
    """What both engines have in common."""

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = False
    supported_params = frozenset({"temperature", "max_tokens", "top_p", "top_k", "seed", "stop", "stream"})

    def __init__(self, model: CheckpointModel) -> None:
        self.model = model

    def dump_state(self) -> dict[str, Any]:
        """Which checkpoint it is, how it is run, and what tells its weights from others."""
        return {"options": asdict(self.model.options), "digest": self.model.options.digest}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """The engine of a saved state.

        Raises:
            ConfigurationError: the checkpoint is gone, or its weights are no longer those it was saved with.
        """
        from .checkpoint_model import shared_model

        try:
            options = CheckpointOptions(**state["options"])
        except (TypeError, KeyError) as error:
            raise ConfigurationError(f"the state of a checkpoint's model is damaged: {error}; save it again") from error
        if options.digest != state["digest"]:
            raise ConfigurationError(
                f"the checkpoint {options.checkpoint!r} was saved with weights {state['digest'] or 'of the Hub'} but"
                f" has {options.digest or 'none'} now; put them back, or set the model again"
            )
        return cls(shared_model(options))

    def _submit(self, request: Request) -> tuple[int, Future[Written]]:
        refuse_unsupported(request, _PROVIDER, ("logprobs",))
        prompt = self.model.prompt(_messages(request))
        room = self.model.context - len(prompt)
        if room < 1:
            raise ContextLengthError(
                f"this model's maximum context length is {self.model.context} tokens, prompt and answer together; the"
                f" prompt has {len(prompt)}",
                provider=_PROVIDER,
            )
        return len(prompt), self.model.submit(prompt, sampling_of(request.config, room))


class CheckpointEngine(_SharedEngine):
    """The synchronous engine. Any number of threads may call it; their requests are batched."""

    def complete(self, request: Request) -> Response:
        """Answers one request; raises the typed errors of ``dspy.lm15``."""
        size, answer = self._submit(request)
        return _response(request, size, answer.result())

    def stream(self, request: Request) -> Iterator[StreamStartEvent | StreamDeltaEvent | StreamEndEvent]:
        """Answers one request; its text comes in one piece."""
        size, answer = self._submit(request)
        yield StreamStartEvent(model=request.model)
        yield from _last_events(size, answer.result())

    def close(self) -> None:
        """Does nothing: the model belongs to the process and is shared by all its engines."""


class AsyncCheckpointEngine(_SharedEngine):
    """The asynchronous engine; it shares the batch with the synchronous one."""

    async def complete(self, request: Request) -> Response:
        """Answers one request."""
        size, answer = await asyncio.to_thread(self._submit, request)
        return _response(request, size, await asyncio.wrap_future(answer))

    async def stream(self, request: Request) -> AsyncIterator[StreamStartEvent | StreamDeltaEvent | StreamEndEvent]:
        """Answers one request; its text comes in one piece."""
        size, answer = await asyncio.to_thread(self._submit, request)
        yield StreamStartEvent(model=request.model)
        for event in _last_events(size, await asyncio.wrap_future(answer)):
            yield event

    async def aclose(self) -> None:
        """Does nothing: the model belongs to the process and is shared by all its engines."""


def _messages(request: Request) -> list[dict[str, str]]:
    system = system_text(request)
    spoken = [
        {"role": message.role, "content": text_of(message.parts, f"{message.role} message")}
        for message in request.messages
        if message.role != "developer"
    ]
    if not spoken or spoken[-1]["role"] != "user":
        raise InvalidRequestError("the last message must be the user's", provider=_PROVIDER)
    return [*([{"role": "system", "content": system}] if system else []), *spoken]


def _response(request: Request, size: int, written: Written) -> Response:
    return Response(
        id=None,
        model=request.model,
        message=Message.assistant(written.text),
        finish_reason=_finish(written),
        usage=Usage(input_tokens=size, output_tokens=written.tokens, total_tokens=size + written.tokens),
    )


def _last_events(size: int, written: Written) -> Iterator[StreamDeltaEvent | StreamEndEvent]:
    yield StreamDeltaEvent(TextDelta(written.text))
    usage = Usage(input_tokens=size, output_tokens=written.tokens, total_tokens=size + written.tokens)
    yield StreamEndEvent(finish_reason=_finish(written), usage=usage)


def _finish(written: Written) -> Any:
    return "stop" if written.ended else "length"
