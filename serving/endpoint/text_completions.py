"""The older protocol of text completions: each prompt is a user's turn, and its answer the completion.

Models here speak in turns, so a prompt is not continued but answered; what only a continuation could have (its own
prompt again, a suffix, the log-probabilities of a prompt) is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .answers import Answer, Piece, about_all, event
from .chat_writer import usage_body
from .error_responses import ApiError, bad_request

_MOST_LOGPROBS = 20
_NOT_HERE = ("messages", "inputs", "tools", "functions", "top_logprobs", "max_completion_tokens")  # the chat has them
_OTHERWISE = {
    "echo": "echo=true asks for the prompt and its log-probabilities, which this server does not give; leave it out",
    "suffix": "suffix asks for what stands between two texts, which this server does not write; leave it out",
}


def chats_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The bodies of the chat requests that a request for completions amounts to, one a prompt.

    Raises:
        ApiError: a field asks for what only a continuation of the prompt could have, or is none of this protocol.
    """
    chat = {name: value for name, value in body.items() if name not in ("prompt", "best_of", "logprobs")}
    for name, why in _OTHERWISE.items():
        if chat.pop(name, None) not in (None, False, ""):
            raise bad_request(why, name, code="unsupported_parameter")
    if wrong := next((name for name in _NOT_HERE if chat.get(name) is not None), None):
        raise bad_request(
            f"{wrong} is a field of /v1/chat/completions; this protocol has prompt, max_tokens and logprobs", wrong
        )
    if body.get("best_of") not in (None, 1, body.get("n")):
        raise bad_request("best_of must be n, for every answer is given; leave it out", "best_of")
    chat |= _logprobs_asked(body.get("logprobs"))
    return [{**chat, "messages": [{"role": "user", "content": prompt}]} for prompt in _prompts(body.get("prompt"))]


class CompletionWriter:
    """Writes completions; see ``Writer``.

    Args:
        id: of the response.
        created: when, in seconds.
        model: what clients call it.
        include_usage: whether a stream ends with the usage.
    """

    def __init__(self, id: str, created: int, model: str, include_usage: bool = False) -> None:
        self.id, self._include_usage = id, include_usage
        self._common = {"id": id, "object": "text_completion", "created": created, "model": model}
        self._offsets: dict[int, int] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        return {"x-request-id": self.id}

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """A whole response."""
        choices = [
            _choice(index, answer.text, _listed(answer.logprobs, 0), answer.finish)
            for index, answer in enumerate(answers)
        ]
        return {**self._common, "choices": choices, "usage": usage_body(answers)} | about_all(answers)

    def begin(self, index: int) -> bytes:
        """Nothing: a streamed completion begins with its text."""
        return b""

    def piece(self, index: int, piece: Piece) -> bytes:
        """A piece of a streamed answer."""
        offset = self._offsets.get(index, 0)
        self._offsets[index] = offset + len(piece.text)
        return self._chunk([_choice(index, piece.text, _listed(piece.logprobs, offset), None)])

    def end(self, answers: Sequence[Answer]) -> bytes:
        """The ends of all streamed answers, the usage where it was asked for, and the end of the stream."""
        ends = [
            self._chunk([_choice(index, "", None, answer.finish)], about_all([answer]))
            for index, answer in enumerate(answers)
        ]
        if self._include_usage:
            ends.append(self._chunk([], {"usage": usage_body(answers)}))
        return b"".join([*ends, b"data: [DONE]\n\n"])

    def error(self, error: ApiError) -> bytes:
        """An error, which ends a stream."""
        return event(error.body)

    def _chunk(self, choices: list[dict[str, Any]], more: Mapping[str, Any] | None = None) -> bytes:
        usage = {"usage": None} if self._include_usage else {}
        return event({**self._common, "choices": choices, **usage, **(more or {})})


def _prompts(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return value
    if isinstance(value, list) and value and all(isinstance(item, int | list) for item in value):
        raise bad_request("prompt must be text, but got numbers of tokens; send the text itself", "prompt")
    raise bad_request(f"prompt must be a text or a list of texts, but got {value!r:.80}", "prompt")


def _logprobs_asked(value: Any) -> dict[str, Any]:
    if value is None or value is False:
        return {}
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_LOGPROBS:
        raise bad_request(
            f"logprobs must be a number of tokens from 0 to {_MOST_LOGPROBS}, but got {value!r:.80}", "logprobs"
        )
    return {"logprobs": True, "top_logprobs": value}


def _choice(index: int, text: str, logprobs: Any, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def _listed(tokens: Iterable[Mapping[str, Any]] | None, offset: int) -> dict[str, list[Any]] | None:
    """Log-probabilities as lists side by side; offsets are characters from the beginning of the completion."""
    if tokens is None:
        return None
    lists: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        lists["tokens"].append(token["token"])
        lists["token_logprobs"].append(token["logprob"])
        lists["top_logprobs"].append({top["token"]: top["logprob"] for top in token["top_logprobs"]} or None)
        lists["text_offset"].append(offset)
        offset += len(token["token"])
    return lists
