"""A model of this machine as it is, embedded or local.

Its own tokens, its own log-probabilities, and every sampling argument that it honours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import dspy
from dspy.clients._litellm import get_litellm
from dspy.lm15 import (
    Config,
    Message,
    Request,
    StreamAssemblyError,
    StreamDeltaEvent,
    StreamEndEvent,
    TextDelta,
    TokenLogprob,
    Usage as TokenUsage,
)

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.pools.candidates import Usage

from ..checkpoints.checkpoint_engine import AsyncCheckpointEngine, CheckpointEngine
from ..embedded.embedded_lm import embedded_lm
from ..embedded.engine import AsyncEmbeddedEngine, EmbeddedEngine
from ..local.local_engine import AsyncLocalEngine, LocalEngine
from .answers import Answer, Piece, Tell
from .chat import SAMPLING, ChatBody, ChatMessage
from .error_responses import bad_request

_MOST_CHARACTERS = 100  # of a token
Scores: TypeAlias = tuple[TokenLogprob, ...] | None


_OWN: dict[type, tuple[str, ...]] = {EmbeddedEngine: (), LocalEngine: ("response_format",), CheckpointEngine: ()}
"""The engines of this machine's models, and what each honours beside the sampling arguments."""


_IN_PROCESS = (AsyncEmbeddedEngine, AsyncCheckpointEngine)


class ServedModel:
    """A model of this machine on the endpoint. Answer i to a request with a seed is drawn with ``seed + i``.

    Args:
        name: what clients call it.
        model: an embedded model by its built-in name or the path of a ``.safetensors`` file, or the ``dspy.LM`` of an
            embedded or a local model; what that has set, such as a temperature, holds where a request says nothing.

    Raises:
        ConfigurationError: there is no such model, or it answers elsewhere.
    """

    takes_inputs = False

    def __init__(self, name: str, model: str | dspy.LM) -> None:
        lm = embedded_lm(model) if isinstance(model, str) else model
        kind = next((kind for kind in _OWN if isinstance(lm.engine, kind)), None)
        if kind is None:
            raise ConfigurationError(f"{name!r} is no model of this machine: it answers elsewhere; ask it there")
        self.name, self._lm = name, lm
        lacks = ("logprobs", "top_logprobs") if kind is CheckpointEngine else ()
        self.honours: Collection[str] = frozenset((*SAMPLING, *_OWN[kind])) - frozenset(lacks)
        engine: Any = lm.engine
        self._engine: Any = _asynchronous(engine)

    def warm_up(self) -> None:
        """Imports litellm, which takes seconds, where the model is reached through it.

        A local server starts with the first request.
        """
        if isinstance(self._engine, AsyncLocalEngine):
            get_litellm(feature="dspy-fusion serve")

    def check(self, body: ChatBody) -> None:
        """The last message must be the user's."""
        if body.messages[-1].role != "user":
            where = f"messages[{len(body.messages) - 1}].role"
            raise bad_request(f"the last message must be the user's, but its role is {body.messages[-1].role!r}", where)
        size = sum(len(message.text) for message in body.messages)
        context = self._engine.model.context if isinstance(self._engine, _IN_PROCESS) else None
        if context is not None and size > _MOST_CHARACTERS * context:  # reading it would keep everybody waiting
            raise bad_request(
                f"this model's maximum context length is {context} tokens, prompt and answer together; the prompt has"
                f" {size} characters",
                "messages",
                code="context_length_exceeded",
            )

    async def answer(self, body: ChatBody, index: int, tell: Tell | None) -> Answer:
        """Draws an answer; the typed errors of ``dspy.lm15`` say what is wrong with a request."""
        request = _request(self.name, body, index, self._lm.kwargs)
        if tell is None:
            response = await self._engine.complete(request)
            return _answer(body, response.message.text or "", response.logprobs, response.finish_reason, response.usage)
        if isinstance(self._engine, AsyncLocalEngine):
            await asyncio.to_thread(self._engine.server.address)  # which starts it where it does not run
        text, scores = "", ()
        async for event in self._engine.stream(request):
            if isinstance(event, StreamDeltaEvent) and isinstance(event.delta, TextDelta):
                text, scores = text + event.delta.text, (*scores, *(event.delta.logprobs or ()))
                if event.delta.text or event.delta.logprobs:
                    tell(Piece(event.delta.text, _logprobs(body, event.delta.logprobs)))
            elif isinstance(event, StreamEndEvent):
                return _answer(body, text, scores, event.finish_reason, event.usage)
        raise StreamAssemblyError("the model's stream had no end")


def _asynchronous(
    engine: EmbeddedEngine | LocalEngine | CheckpointEngine,
) -> AsyncEmbeddedEngine | AsyncLocalEngine | AsyncCheckpointEngine:
    if isinstance(engine, CheckpointEngine):
        return AsyncCheckpointEngine(engine.model)
    if isinstance(engine, LocalEngine):
        return AsyncLocalEngine(engine.server, engine.gathering)
    return AsyncEmbeddedEngine(engine.model)


def _answer(body: ChatBody, text: str, scores: Scores, finish: str | None, usage: TokenUsage | None) -> Answer:
    spent = Usage(1, usage.input_tokens or 0, usage.output_tokens or 0) if usage else Usage(1)
    thoughts = usage.reasoning_tokens if usage else None
    ended = "length" if finish == "length" else "stop"
    return Answer(text, ended, {"": spent}, _logprobs(body, scores), reasoning_tokens=thoughts)


def _request(model: str, body: ChatBody, index: int, own: Mapping[str, Any]) -> Request:
    system = "\n\n".join(message.text for message in body.messages if message.role in ("system", "developer"))
    spoken = tuple(_message(message) for message in body.messages if message.role not in ("system", "developer"))

    def value(name: str, wanted: Any) -> Any:
        return own.get(name) if wanted is None else wanted

    seed = value("seed", body.seed)
    config = Config(
        max_tokens=value("max_tokens", body.most_tokens),
        temperature=value("temperature", body.temperature),
        top_p=value("top_p", body.top_p),
        top_k=value("top_k", body.top_k),
        stop=tuple(body.stop) or tuple(own.get("stop") or ()),
        seed=None if seed is None else seed + index,
        logprobs=body.likeliest,
        response_format=_format(body),
    )
    return Request(model=model, messages=spoken, system=system or None, config=config)


def _format(body: ChatBody) -> dict[str, Any] | None:
    if body.response_format is None or not body.is_json:
        return None
    if body.response_format.type == "json_object":
        return {"type": "json_object"}
    wanted = body.response_format.json_schema
    return {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema_}


def _message(message: ChatMessage) -> Message:
    return Message.user(message.text) if message.role == "user" else Message.assistant(message.text)


def _logprobs(body: ChatBody, scores: Scores) -> list[dict[str, Any]] | None:
    if not body.logprobs:
        return None
    tops = [[_token(top.token, top.logprob) for top in score.top] for score in scores or ()]
    return [
        {**_token(score.token, score.logprob), "top_logprobs": top}
        for score, top in zip(scores or (), tops, strict=True)
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}
