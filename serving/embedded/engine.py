"""Embedded models as engines of ``dspy.LM``: a request goes into the model's batch and the caller waits for its answer.

An engine stands for a model of this process, so copies of an LM share it, and a saved one is loaded again by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Self, TypeAlias

from dspy.lm15 import (
    Message,
    Request,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    TokenLogprob,
    TopLogprob,
    Usage,
)

from dspy_fusion.programs.errors import ConfigurationError

from ..shared_by_copies import SharedByCopies
from .chat_request import read_prompt, read_request
from .embedded_model import EmbeddedModel, LogLikelihood, load_model
from .jobs import Answer, Job, TokenScore
from .tokenizer import ChatTokenizer

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # the first bytes of a longer character


class TokenStream:
    """Cuts one job's text into deltas; belongs to one reader."""

    def __init__(self, job: Job, tokenizer: ChatTokenizer) -> None:
        self._job, self._tokenizer = job, tokenizer
        self._shown = ""
        self._shown_tokens = 0

    def delta(self, tokens: int) -> TextDelta | None:
        """What the first ``tokens`` tokens add, or None while that could still change."""
        text = self._tokenizer.decode(self._job.tokens[:tokens])
        if text == self._shown or text.endswith(_UNFINISHED) or self._may_stop(text):
            return None
        return self._advance(text, tuple(self._job.scores[self._shown_tokens : tokens]), tokens)

    def last_delta(self, answer: Answer) -> TextDelta:
        """What the finished answer adds to the pieces so far; the text may be empty."""
        return self._advance(answer.text, answer.scores[self._shown_tokens :], len(answer.tokens))

    def _advance(self, text: str, scores: tuple[TokenScore, ...], tokens: int) -> TextDelta:
        added = text[len(self._shown) :]
        self._shown, self._shown_tokens = text, tokens
        return TextDelta(added, logprobs=tuple(token_logprob(score, self._tokenizer) for score in scores))

    def _may_stop(self, text: str) -> bool:
        return any(text.endswith(stop[:size]) for stop in self._job.sampling.stop for size in range(1, len(stop)))


def token_logprob(score: TokenScore, tokenizer: ChatTokenizer) -> TokenLogprob:
    """A token's log-probability as DSPy's responses carry it."""
    top = tuple(TopLogprob(tokenizer.decode([token]), logprob, token_id=token) for token, logprob in score.likeliest)
    return TokenLogprob(tokenizer.decode([score.token]), score.logprob, token_id=score.token, top=top)


StreamEvent: TypeAlias = StreamStartEvent | StreamDeltaEvent | StreamEndEvent


class _SharedEngine(SharedByCopies):
    """What both engines have in common: the model, its capabilities, and how an engine is copied and saved."""

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = False
    supported_params = frozenset(
        {"temperature", "max_tokens", "top_p", "top_k", "seed", "stop", "logprobs", "top_logprobs", "stream"}
    )

    def __init__(self, model: EmbeddedModel) -> None:
        self.model = model

    def dump_state(self) -> dict[str, Any]:
        """The model's name and the digest of its weights."""
        return {"source": self.model.source, "digest": self.model.digest}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """The engine of a saved state.

        Raises:
            ConfigurationError: the model is gone, or its weights are no longer those it was saved with.
        """
        model = load_model(state["source"])
        if model.digest != state["digest"]:
            raise ConfigurationError(
                f"embedded model {state['source']!r} was saved with weights {state['digest']} but has {model.digest}"
                " now; set the LM again to use the new ones"
            )
        return cls(model)

    def _submit(self, request: Request, on_token: Callable[[int], None] | None = None) -> Job:
        read = read_request(request, self.model.tokenizer, self.model.context)
        return self.model.submit(read.prompt, read.sampling, on_token)

    def _response(self, request: Request, job: Job, answer: Answer) -> Response:
        logprobs = tuple(token_logprob(score, self.model.tokenizer) for score in answer.scores)
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant(answer.text),
            finish_reason=answer.finish,
            usage=_usage(job, answer),
            logprobs=None if job.sampling.logprobs is None else logprobs,
        )

    def _last_events(self, job: Job, stream: TokenStream) -> Iterator[StreamEvent]:
        answer = job.answer.result()
        yield StreamDeltaEvent(stream.last_delta(answer))
        yield StreamEndEvent(finish_reason=answer.finish, usage=_usage(job, answer))


class EmbeddedEngine(_SharedEngine):
    """The synchronous engine. Any number of threads may call it; their requests are batched."""

    def complete(self, request: Request) -> Response:
        """Answers one request; raises the typed errors of ``dspy.lm15``."""
        job = self._submit(request)
        try:
            return self._response(request, job, job.answer.result())
        finally:
            job.cancel()

    def stream(self, request: Request) -> Iterator[StreamEvent]:
        """Answers one request token by token; closing the iterator ends the work on it."""
        counts: SimpleQueue[int | None] = SimpleQueue()
        job = self._submit(request, counts.put)
        job.answer.add_done_callback(lambda _: counts.put(None))
        stream = TokenStream(job, self.model.tokenizer)
        try:
            yield StreamStartEvent(model=request.model)
            while (count := counts.get()) is not None:
                if (delta := stream.delta(count)) is not None:
                    yield StreamDeltaEvent(delta)
            yield from self._last_events(job, stream)
        finally:
            job.cancel()

    def log_likelihood(self, request: Request, completion: str, *, ended: bool = False) -> LogLikelihood:
        """How likely the model finds ``completion`` as the answer to a request, whatever its sampling options say.

        With ``ended``, the token that ends the answer counts as well.
        """
        prompt = read_prompt(request, self.model.tokenizer)
        return self.model.log_likelihood(prompt, completion, ended=ended)

    def close(self) -> None:
        """Does nothing: the model belongs to the process and is shared by all its engines."""


class AsyncEmbeddedEngine(_SharedEngine):
    """The asynchronous engine; it shares the batch with the synchronous one."""

    async def complete(self, request: Request) -> Response:
        """Answers one request; cancelling the task ends the work on it."""
        job = self._submit(request)
        try:
            return self._response(request, job, await asyncio.wrap_future(job.answer))
        finally:
            job.cancel()

    async def stream(self, request: Request) -> AsyncIterator[StreamEvent]:
        """Answers one request token by token; closing the iterator ends the work on it."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()
        job = self._submit(request, lambda _: _notify(loop, changed))
        job.answer.add_done_callback(lambda _: _notify(loop, changed))
        stream = TokenStream(job, self.model.tokenizer)
        try:
            yield StreamStartEvent(model=request.model)
            while not job.answer.done():
                await changed.wait()
                changed.clear()
                if not job.answer.done() and (delta := stream.delta(len(job.tokens))) is not None:
                    yield StreamDeltaEvent(delta)
            for event in self._last_events(job, stream):
                yield event
        finally:
            job.cancel()

    async def aclose(self) -> None:
        """Does nothing: the model belongs to the process and is shared by all its engines."""


def _usage(job: Job, answer: Answer) -> Usage:
    return Usage(input_tokens=len(job.prompt), output_tokens=answer.tokens_drawn)


def _notify(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop may be closed by now; its reader is gone then
        loop.call_soon_threadsafe(changed.set)
