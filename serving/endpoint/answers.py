"""Answers and pieces of answers, and how OpenAI's chat protocol writes them down."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dspy_fusion.programs.pools.candidates import Usage

from .chat import ChatBody


@dataclass(frozen=True)
class Piece:
    """What a stream adds to an answer: text, and the log-probabilities of its tokens where they were asked for."""

    text: str
    logprobs: list[dict[str, Any]] | None = None


Tell = Callable[[Piece], None]


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    Attributes:
        text: all of it.
        finish: ``length`` where the token limit ended it.
        usage: what it cost, by role; one unnamed role for a bare model.
        logprobs: of its tokens, as OpenAI writes them.
        about: what else there is to say, for the key ``dspy_fusion``.
    """

    text: str
    finish: Literal["stop", "length"]
    usage: Mapping[str, Usage]
    logprobs: list[dict[str, Any]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


class Served(Protocol):
    """A model of the endpoint."""

    @property
    def name(self) -> str:
        """What clients call it."""
        ...

    @property
    def honours(self) -> Collection[str]:
        """Which sampling arguments it honours."""
        ...

    @property
    def takes_inputs(self) -> bool:
        """Whether a request may give ``inputs`` by name."""
        ...

    def warm_up(self) -> None:
        """Loads what the first answer would have to wait for."""
        ...

    def check(self, body: ChatBody) -> None:
        """Raises ``ApiError`` where the request is wrong; nothing was called yet."""
        ...

    async def answer(self, body: ChatBody, index: int, tell: Tell | None) -> Answer:
        """Answer number ``index`` to a request.

        With ``tell``, pieces of it are told as they come; they are the beginning of its text.
        """
        ...


@dataclass(frozen=True)
class Head:
    """What all parts of one response have in common; ``include_usage`` is whether a stream ends with the usage,
    and says so until then.
    """

    id: str
    created: int
    model: str
    include_usage: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Of the response; the openai SDK hands the id on as ``_request_id``."""
        return {"x-request-id": self.id}

    def completion(self, answers: Iterable[Answer]) -> dict[str, Any]:
        """A whole response."""
        answers = list(answers)
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": _logprobs(answer.logprobs),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        body = {**self._common("chat.completion"), "choices": choices, "usage": usage_body(answers)}
        return body | _about(answers)

    def first(self, index: int) -> dict[str, Any]:
        """The beginning of a streamed answer."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        """A piece of a streamed answer."""
        return self._chunk(index, {"content": piece.text}, _logprobs(piece.logprobs))

    def last(self, index: int, answer: Answer) -> dict[str, Any]:
        """The end of a streamed answer."""
        return self._chunk(index, {}, finish=answer.finish) | _about([answer])

    def usage(self, answers: Iterable[Answer]) -> dict[str, Any]:
        """What a stream ends with, where it was asked for."""
        return {**self._common("chat.completion.chunk"), "choices": [], "usage": usage_body(answers)}

    def _chunk(
        self, index: int, delta: dict[str, Any], logprobs: Any = None, finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {
            **self._common("chat.completion.chunk"),
            "choices": [choice],
            **({"usage": None} if self.include_usage else {}),
        }

    def _common(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage_body(answers: Iterable[Answer]) -> dict[str, Any]:
    """What answers cost together, with the completion and prompt tokens of each role in the details."""
    roles: dict[str, Usage] = {}
    for answer in answers:
        for role, usage in answer.usage.items():
            roles[role] = roles.get(role, Usage()) + usage
    total = Usage.total(roles.values())
    named = {role: usage for role, usage in roles.items() if role}
    body: dict[str, Any] = {
        "prompt_tokens": total.tokens_in,
        "completion_tokens": total.tokens_out,
        "total_tokens": total.tokens_in + total.tokens_out,
    }
    if named:
        body["prompt_tokens_details"] = {role: usage.tokens_in for role, usage in named.items()}
        body["completion_tokens_details"] = {role: usage.tokens_out for role, usage in named.items()}
    return body


def encoded(body: Mapping[str, Any]) -> bytes:
    """JSON in plain ASCII: whatever a model wrote, half characters and line separators included, arrives as it is."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def event(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + encoded(body) + b"\n\n"


def _logprobs(content: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if content is None else {"content": content, "refusal": None}


def _about(answers: list[Answer]) -> dict[str, Any]:
    about = [dict(answer.about) for answer in answers if answer.about]
    return {"dspy_fusion": about[0] if len(about) == 1 else about} if about else {}
