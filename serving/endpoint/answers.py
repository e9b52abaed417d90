"""Answers and pieces of answers, what gives them, and what writes them down in a protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dspy_fusion.programs.pools.candidates import Usage

from .chat import ChatBody
from .error_responses import ApiError
from .tools import MadeCall


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
        finish: ``length`` where the token limit ended it, ``tool_calls`` where it calls tools.
        usage: what it cost, by role; one unnamed role for a bare model.
        logprobs: of its tokens, as OpenAI writes them.
        about: what else there is to say, for the key ``dspy_fusion``.
        reasoning_tokens: how many of the completion tokens were thoughts, as far as models reported it; None where
            nothing is known.
        calls: what tools it calls.
    """

    text: str
    finish: Literal["stop", "length", "tool_calls"]
    usage: Mapping[str, Usage]
    logprobs: list[dict[str, Any]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    reasoning_tokens: int | None = None
    calls: tuple[MadeCall, ...] = ()


class Served(Protocol):
    """A model of the endpoint."""

    @property
    def name(self) -> str:
        """What clients call it."""
        ...

    @property
    def honours(self) -> Collection[str]:
        """Which sampling arguments it honours, and whether ``response_format``."""
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


class Writer(Protocol):
    """Writes one response down in a protocol."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the response."""
        ...

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """A whole response."""
        ...

    def begin(self, index: int) -> bytes:
        """The beginning of a streamed answer."""
        ...

    def piece(self, index: int, piece: Piece) -> bytes:
        """A piece of a streamed answer."""
        ...

    def end(self, answers: Sequence[Answer]) -> bytes:
        """The ends of all streamed answers and of the stream."""
        ...

    def error(self, error: ApiError) -> bytes:
        """An error, which ends a stream."""
        ...


def total_usage(answers: Iterable[Answer]) -> tuple[Usage, dict[str, Usage]]:
    """What answers cost together, and by role where roles have names."""
    roles: dict[str, Usage] = {}
    for answer in answers:
        for role, usage in answer.usage.items():
            roles[role] = roles.get(role, Usage()) + usage
    return Usage.total(roles.values()), {role: usage for role, usage in roles.items() if role}


def reasoning_tokens(answers: Iterable[Answer]) -> int | None:
    """How many of the tokens were thoughts, or None where nothing is known."""
    known = [answer.reasoning_tokens for answer in answers if answer.reasoning_tokens is not None]
    return sum(known) if known else None


def about_all(answers: Iterable[Answer]) -> dict[str, Any]:
    """What stands behind the answers, under this library's own key."""
    about = [dict(answer.about) for answer in answers if answer.about]
    return {"dspy_fusion": about[0] if len(about) == 1 else about} if about else {}


def encoded(body: Mapping[str, Any]) -> bytes:
    """JSON in plain ASCII: whatever a model wrote, half characters and line separators included, arrives as it is."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def event(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + encoded(body) + b"\n\n"
