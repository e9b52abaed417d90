"""An embedded model as it is: its own tokens, its own log-probabilities,
and every sampling argument that it honours.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

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

from dspy_fusion.programs.pools.candidates import Usage

from ..embedded.embedded_model import load_model
from ..embedded.engine import AsyncEmbeddedEngine
from .answers import Answer, Piece, Tell
from .chat import SAMPLING, ChatBody, ChatMessage
from .error_responses import bad_request

Scores: TypeAlias = tuple[TokenLogprob, ...] | None


class ServedModel:
    """An embedded model of the endpoint. Answer i to a request with a seed is drawn with ``seed + i``.

    Args:
        name: what clients call it.
        source: a built-in name, or the path of a ``.safetensors`` file.

    Raises:
        ConfigurationError: there is no such model.
    """

    takes_inputs = False

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.honours: Collection[str] = frozenset(SAMPLING)
        self._engine = AsyncEmbeddedEngine(load_model(source))

    def warm_up(self) -> None:
        """Does nothing: the weights are there."""

    def check(self, body: ChatBody) -> None:
        """The last message must be the user's."""
        if body.messages[-1].role != "user":
            where = f"messages[{len(body.messages) - 1}].role"
            raise bad_request(f"the last message must be the user's, but its role is {body.messages[-1].role!r}", where)

    async def answer(self, body: ChatBody, index: int, tell: Tell | None) -> Answer:
        """Draws an answer; the typed errors of ``dspy.lm15`` say what is wrong with a request."""
        request = _request(self.name, body, index)
        if tell is None:
            response = await self._engine.complete(request)
            return _answer(body, response.message.text or "", response.logprobs, response.finish_reason, response.usage)
        text, scores = "", ()
        async for event in self._engine.stream(request):
            if isinstance(event, StreamDeltaEvent) and isinstance(event.delta, TextDelta):
                text, scores = text + event.delta.text, (*scores, *(event.delta.logprobs or ()))
                if event.delta.text or event.delta.logprobs:
                    tell(Piece(event.delta.text, _logprobs(body, event.delta.logprobs)))
            elif isinstance(event, StreamEndEvent):
                return _answer(body, text, scores, event.finish_reason, event.usage)
        raise StreamAssemblyError("the model's stream had no end")


def _answer(body: ChatBody, text: str, scores: Scores, finish: str | None, usage: TokenUsage | None) -> Answer:
    spent = Usage(1, usage.input_tokens or 0, usage.output_tokens or 0) if usage else Usage(1)
    return Answer(text, "length" if finish == "length" else "stop", {"": spent}, _logprobs(body, scores))


def _request(model: str, body: ChatBody, index: int) -> Request:
    system = "\n\n".join(message.text for message in body.messages if message.role in ("system", "developer"))
    spoken = tuple(_message(message) for message in body.messages if message.role not in ("system", "developer"))
    config = Config(
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=body.stop,
        seed=None if body.seed is None else body.seed + index,
        logprobs=body.logprobs,
    )
    return Request(model=model, messages=spoken, system=system or None, config=config)


def _message(message: ChatMessage) -> Message:
    return Message.user(message.text) if message.role == "user" else Message.assistant(message.text)


def _logprobs(body: ChatBody, scores: Scores) -> list[dict[str, Any]] | None:
    if body.logprobs is None:
        return None
    tops = [[_token(top.token, top.logprob) for top in score.top] for score in scores or ()]
    return [
        {**_token(score.token, score.logprob), "top_logprobs": top}
        for score, top in zip(scores or (), tops, strict=True)
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}
