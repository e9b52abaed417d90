"""Answers as OpenAI's chat protocol writes them down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .answers import Answer, Piece, about_all, event, reasoning_tokens, total_usage
from .error_responses import ApiError


@dataclass(frozen=True)
class ChatWriter:
    """What all parts of one response have in common.

    ``include_usage`` is whether a stream ends with the usage, and says so until then.
    """

    id: str
    created: int
    model: str
    include_usage: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Of the response; the openai SDK hands the id on as ``_request_id``."""
        return {"x-request-id": self.id}

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """A whole response."""
        choices = [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": _logprobs(answer.logprobs),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        body = {**self._common("chat.completion"), "choices": choices, "usage": usage_body(answers)}
        return body | about_all(answers)

    def begin(self, index: int) -> bytes:
        """The beginning of a streamed answer."""
        return event(self._chunk(index, {"role": "assistant", "content": ""}))

    def piece(self, index: int, piece: Piece) -> bytes:
        """A piece of a streamed answer."""
        return event(self._chunk(index, {"content": piece.text}, _logprobs(piece.logprobs)))

    def end(self, answers: Sequence[Answer]) -> bytes:
        """The ends of all streamed answers, the usage where it was asked for, and the end of the stream."""
        ends = []
        for index, answer in enumerate(answers):
            calls = [{"index": place, **call.body} for place, call in enumerate(answer.calls)]
            ends += [event(self._chunk(index, {"tool_calls": calls}))] if calls else []
            ends.append(event(self._chunk(index, {}, finish=answer.finish) | about_all([answer])))
        if self.include_usage:
            usage = {**self._common("chat.completion.chunk"), "choices": [], "usage": usage_body(answers)}
            ends.append(event(usage))
        return b"".join([*ends, b"data: [DONE]\n\n"])

    def error(self, error: ApiError) -> bytes:
        """An error, which ends a stream."""
        return event(error.body)

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


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.calls:
        message |= {"content": answer.text or None, "tool_calls": [call.body for call in answer.calls]}
    return message


def usage_body(answers: Iterable[Answer]) -> dict[str, Any]:
    """What answers cost together, with the completion and prompt tokens of each role in the details."""
    answers = list(answers)
    total, roles = total_usage(answers)
    body: dict[str, Any] = {
        "prompt_tokens": total.tokens_in,
        "completion_tokens": total.tokens_out,
        "total_tokens": total.tokens_in + total.tokens_out,
    }
    if roles:
        body["prompt_tokens_details"] = {role: usage.tokens_in for role, usage in roles.items()}
    thoughts = reasoning_tokens(answers)
    details = {role: usage.tokens_out for role, usage in roles.items()}
    details |= {} if thoughts is None else {"reasoning_tokens": thoughts}
    return body | ({"completion_tokens_details": details} if details else {})


def _logprobs(content: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if content is None else {"content": content, "refusal": None}
