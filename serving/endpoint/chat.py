"""The body of a chat request, read and checked. What a model does not honour is refused by name, never dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .error_responses import ApiError, bad_request

SAMPLING = ("temperature", "top_p", "top_k", "seed", "max_tokens", "logprobs")
"""What a model may honour, apart from ``n``, ``stop`` and ``stream``, which all do."""

_ROLES = ("system", "developer", "user", "assistant")
_MOST_STOPS = 16
# Allowed with these values only, which change nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "functions": ([],),
    "modalities": (["text"],),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "best_of": (1,),
    "echo": (False,),
}
_WITHOUT_MEANING = ("user", "metadata", "safety_identifier", "prompt_cache_key", "parallel_tool_calls", "rollout_id")


@dataclass(frozen=True)
class ChatMessage:
    """One message; its content as text."""

    role: str
    text: str


@dataclass(frozen=True)
class ChatBody:
    """A checked request.

    Attributes:
        messages: at least one, unless ``inputs`` are given.
        inputs: a program's inputs by name, or None where they are to be read from the last message.
        n: how many answers.
        stop: texts before which an answer ends.
        stream: whether the answer is to come piece by piece.
        include_usage: whether a stream ends with the usage.
        temperature: in [0, 2], or None for the model's own; the following likewise.
        top_p: in [0, 1].
        top_k: from 1.
        seed: any whole number; answer i has ``seed + i`` or what the model makes of it.
        max_tokens: from 1.
        logprobs: None for no log-probabilities, else how many of the likeliest tokens to name with each, from 0.
    """

    messages: tuple[ChatMessage, ...]
    inputs: Mapping[str, Any] | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    logprobs: int | None = None


def read_chat(body: Mapping[str, Any], *, honours: Collection[str], takes_inputs: bool, max_n: int) -> ChatBody:
    """Reads a request.

    Args:
        body: its JSON object.
        honours: which of ``SAMPLING`` the model honours.
        takes_inputs: whether it takes ``inputs``.
        max_n: how many answers may be asked for.

    Raises:
        ApiError: a field is of the wrong type or out of range, or asks for what the model does not do; it names the
            field.
    """
    given = {name: value for name, value in body.items() if value is not None and name != "model"}
    read = {name: reader(given.pop(name), name) for name, reader in _READERS.items() if name in given}
    given = {name: value for name, value in given.items() if name not in _WITHOUT_MEANING}
    for name, value in given.items():
        if value not in _NEUTRAL.get(name, ()):
            raise bad_request(
                f"this server does not know {name}={value!r:.80}; leave it out", name, code="unsupported_parameter"
            )
    read["max_tokens"] = read.pop("max_completion_tokens", read.get("max_tokens"))
    top_logprobs, wanted = read.pop("top_logprobs", None), read.get("logprobs")
    if top_logprobs is not None and not wanted:
        raise bad_request("top_logprobs needs logprobs=true", "top_logprobs")
    read["logprobs"] = (top_logprobs or 0) if wanted else None
    for name in SAMPLING:
        if read.get(name) is not None and name not in honours:
            raise bad_request(f"this model does not honour {name}; leave it out", name, code="unsupported_parameter")
    if "inputs" in read and not takes_inputs:
        raise bad_request("this model takes messages, not inputs; leave inputs out", "inputs")
    if not read.get("messages") and "inputs" not in read:
        raise bad_request("messages must hold at least one message", "messages")
    if read.get("n", 1) > max_n:
        raise bad_request(f"n must be at most {max_n}, but got n={read['n']}", "n")
    read["include_usage"] = read.pop("stream_options", False)
    return ChatBody(messages=read.pop("messages", ()), **read)


def _messages(value: Any, name: str) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list):
        raise bad_request(f"messages must be a list, but got {value!r:.80}", name)
    return tuple(_message(message, f"messages[{place}]") for place, message in enumerate(value))


def _message(message: Any, where: str) -> ChatMessage:
    if not isinstance(message, dict):
        raise bad_request(f"{where} must be an object with role and content, but got {message!r:.80}", where)
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise bad_request(f"{where}.role must be one of {', '.join(_ROLES)}, but got {role!r:.80}", f"{where}.role")
    if message.get("tool_calls"):
        raise bad_request(f"{where} holds tool calls, which this server does not take", f"{where}.tool_calls")
    if isinstance(content, list):
        content = "\n".join(_part(part, f"{where}.content") for part in content)
    return ChatMessage(role, _text(content, f"{where}.content"))


def _part(part: Any, where: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise bad_request(f"{where} must be text, or a list of parts of type 'text'", where)
    return _text(part.get("text"), where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise bad_request(f"{where} must be a text, but got {value!r:.80}", where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad_request(f"{where} holds half a character (a lone surrogate), which is no text", where) from None
    return value


def _number(low: float, high: float | None, *, whole: bool = False) -> Callable[[Any, str], Any]:
    kinds = int if whole else int | float

    def read(value: Any, name: str) -> Any:
        if (
            isinstance(value, bool)
            or not isinstance(value, kinds)
            or value < low
            or (high is not None and value > high)
        ):
            kind = "a whole number" if whole else "a number"
            span = f"from {low:g}" if high is None else f"from {low:g} to {high:g}"
            raise bad_request(f"{name} must be {kind} {span}, but got {name}={value!r:.80}", name)
        return value

    return read


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false, but got {value!r:.80}", name)
    return value


def _stops(value: Any, name: str) -> tuple[str, ...]:
    stops = value if isinstance(value, list) else [value]
    if len(stops) > _MOST_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise bad_request(
            f"stop must be a text or a list of at most {_MOST_STOPS} texts, none empty, but got {value!r:.80}", name
        )
    return tuple(_text(stop, name) for stop in stops)


def _stream_options(value: Any, name: str) -> bool:
    if not isinstance(value, dict):
        raise bad_request(f"stream_options must be an object, but got {value!r:.80}", name)
    return _flag(value.get("include_usage", False), "stream_options.include_usage")


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad_request(f"{name} must be an object, but got {value!r:.80}", name)
    return value


def _seed(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise bad_request(f"seed must be a whole number of at most 64 bits, but got {value!r:.80}", name)
    return value


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "messages": _messages,
    "inputs": _object,
    "n": _number(1, None, whole=True),
    "stop": _stops,
    "stream": _flag,
    "stream_options": _stream_options,
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": _number(1, None, whole=True),
    "seed": _seed,
    "max_tokens": _number(1, None, whole=True),
    "max_completion_tokens": _number(1, None, whole=True),
    "logprobs": _flag,
    "top_logprobs": _number(0, 20, whole=True),
}


def model_name(body: Any) -> str:
    """The model that a request asks for.

    Raises:
        ApiError: the body is no object, or names no model.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise bad_request(f"model must name a model of this server, but got {name!r:.80}", "model")
    return name
