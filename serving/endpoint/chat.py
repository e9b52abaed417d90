"""The body of a chat request, read and checked.

What a model does not honour is refused by name where it would change the answer, and never dropped; a value that
changes nothing is as good as none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from .error_responses import ApiError, bad_request
from .messages import ChatMessage, Checked
from .tools import ToolChoice, ToolSpec, check_tools

SAMPLING = ("temperature", "top_p", "top_k", "seed", "max_tokens", "logprobs")
"""What a model may honour, apart from ``n``, ``stop`` and ``stream``, which all do."""
_LONGEST_STOP, _MOST_STOPS = 1000, 16
# Allowed with these values only, which change nothing; false, [] and {} change nothing in any field.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "min_p": (0,),
    "typical_p": (1,),
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "best_of": (1,),
    "skip_special_tokens": (True,),
    "add_generation_prompt": (True,),
}
_WITHOUT_MEANING = frozenset(
    (
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prediction",
        "service_tier",
        "store",
        "rollout_id",
    )
)
_OFF: dict[str, tuple[Any, ...]] = {"top_p": (1,), "top_k": (-1, 0)}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _StreamOptions(Checked):
    include_usage: bool = False


class _JsonSchema(Checked):
    name: str = ""
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(Checked):
    """What form the answer is to have: free text, any JSON object, or one that meets a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema = _JsonSchema()


class ChatBody(Checked):
    """A checked request.

    Attributes:
        messages: at least one, unless ``inputs`` are given.
        inputs: a program's inputs by name, or None where they are to be read from the messages.
        n: how many answers.
        stop: texts before which an answer ends; at most 16 of at most 1000 characters.
        stream: whether the answer is to come piece by piece.
        temperature: in [0, 2], or None for the model's own; the following likewise.
        top_p: in [0, 1].
        top_k: from 1.
        seed: any whole number; answer i has ``seed + i`` or what the model makes of it.
        max_tokens: from 1; also where the request calls it ``max_completion_tokens``.
        logprobs: whether the answer's tokens are to be named with their log-probabilities.
        top_logprobs: how many of the likeliest tokens to name with each.
        response_format: the form of the answer, or None for free text.
        tools: what the answer may call.
        tool_choice: which of them, or whether any; None is as ``"auto"``.
        parallel_tool_calls: False for at most one call in an answer.
    """

    messages: list[ChatMessage] = Field(default_factory=list)
    inputs: dict[str, Any] | None = None
    n: int = Field(1, ge=1)
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=_LONGEST_STOP)]],
        BeforeValidator(_as_list),
        Field(max_length=_MOST_STOPS, default_factory=list),
    ]
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[ToolSpec] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options.include_usage

    @property
    def most_tokens(self) -> int | None:
        """How many tokens the answer may have, or None."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens to name beside each token, from 0; None names no tokens."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def is_json(self) -> bool:
        """Whether the answer is to be a JSON object."""
        return self.response_format is not None and self.response_format.type != "text"


def read_chat(body: Mapping[str, Any], *, honours: Collection[str], takes_inputs: bool, max_n: int) -> ChatBody:
    """Reads a request.

    Args:
        body: its JSON object.
        honours: which of ``SAMPLING`` the model honours, and whether ``response_format``.
        takes_inputs: whether it takes ``inputs``.
        max_n: how many answers may be asked for.

    Raises:
        ApiError: a field is of the wrong type or out of range, or asks for what the model does not do; it names the
            field.
    """
    known = {name: value for name, value in body.items() if value is not None and name != "model"}
    known = {name: value for name, value in known.items() if not _is_off(name, value)}
    for name in [name for name in known if name not in ChatBody.model_fields]:
        value = known.pop(name)
        if name not in _WITHOUT_MEANING and value not in _NEUTRAL.get(name, ()) and not _is_empty(value):
            raise _unsupported(f"this server does not know {name}={value!r:.80}; leave it out", name)
    try:
        chat = ChatBody.model_validate(known)
    except ValidationError as error:
        raise _refused(error) from None
    check_tools(chat.tools, chat.tool_choice)
    if chat.top_logprobs and not chat.logprobs:
        raise bad_request("top_logprobs needs logprobs=true", "top_logprobs")
    for name, wanted in _wanted(chat).items():
        if wanted and name not in honours:
            raise _unsupported(f"this model does not honour {name}; leave it out", name)
    if chat.inputs is not None and not takes_inputs:
        raise bad_request("this model takes messages, not inputs; leave inputs out", "inputs")
    if not chat.messages and chat.inputs is None:
        raise bad_request("messages must hold at least one message", "messages")
    if chat.n > max_n:
        raise bad_request(f"n must be at most {max_n}, but got n={chat.n}", "n")
    return chat


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


def _wanted(chat: ChatBody) -> dict[str, bool]:
    """Which of the fields that not every model honours a request asks for."""
    numbers = {name: getattr(chat, name) is not None for name in ("temperature", "top_p", "top_k", "seed")}
    return {
        **numbers,
        "max_tokens": chat.most_tokens is not None,
        "logprobs": chat.logprobs,
        "response_format": chat.is_json,
        "tools": bool(chat.tools) or any(message.is_of_tools for message in chat.messages),
    }


def _is_off(name: str, value: Any) -> bool:
    return not isinstance(value, bool) and value in _OFF.get(name, ())


def _is_empty(value: Any) -> bool:
    return value is False or (isinstance(value, list | dict) and not value)


def _refused(failures: ValidationError) -> ApiError:
    """The first thing that is wrong, by its place in the request."""
    first = failures.errors(include_url=False, include_context=False)[0]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
    reason = first["msg"].removeprefix("Value error, ")
    shown = f"{first['input']!r:.80}"
    return bad_request(f"{place}: {reason[:1].lower()}{reason[1:]}, but got {shown}".replace("\n", " "), place)


def _unsupported(message: str, name: str) -> ApiError:
    return bad_request(message, name, code="unsupported_parameter")
