"""From a DSPy request to prompt tokens and sampling.

What an embedded model cannot do is refused by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dspy.lm15 import Config, ContextLengthError, InvalidRequestError, Request, TextPart, UnsupportedFeatureError

from .token_sampling import Sampling
from .tokenizer import ChatTokenizer

DEFAULT_MAX_TOKENS = 512
_PROVIDER = "embedded"
_REFUSED = (
    "response_format",
    "tool_choice",
    "reasoning",
    "cache",
    "frequency_penalty",
    "presence_penalty",
    "service_tier",
    "user_id",
    "store",
    "probabilities",
)


@dataclass(frozen=True)
class ChatRequest:
    """A request as the batch takes it."""

    prompt: tuple[int, ...]
    sampling: Sampling


def read_request(request: Request, tokenizer: ChatTokenizer, context: int) -> ChatRequest:
    """Reads a request for a model that takes ``context`` tokens, prompt and answer together.

    ``max_tokens`` is cut to what the context leaves; without one it is ``DEFAULT_MAX_TOKENS``. Temperature is 1 unless
    given.

    Raises:
        UnsupportedFeatureError: it asks for something that embedded models cannot do; the message names it.
        InvalidRequestError: the last message is not the user's.
        ContextLengthError: the prompt leaves no room for an answer.
    """
    refuse_unsupported(request)
    prompt = read_prompt(request, tokenizer)
    room = context - len(prompt)
    if room < 1:
        raise ContextLengthError(
            # in OpenAI's words, by which litellm and others know it
            f"this model's maximum context length is {context} tokens, prompt and answer together; the prompt has"
            f" {len(prompt)}",
            provider=_PROVIDER,
        )
    return ChatRequest(prompt, sampling_of(request.config, room))


def read_prompt(request: Request, tokenizer: ChatTokenizer) -> tuple[int, ...]:
    """The tokens of the system text and the conversation, up to the one after which the model answers.

    Earlier answers end with the end token, as in training; messages of one role in a row are joined by a blank line.
    """
    if request.messages[-1].role != "user":
        raise InvalidRequestError(
            f"the last message is of role {request.messages[-1].role!r}; an embedded model answers a user's message",
            provider=_PROVIDER,
        )
    return tuple(_prompt_tokens(request, tokenizer))


def _prompt_tokens(request: Request, tokenizer: ChatTokenizer) -> Iterator[int]:
    yield tokenizer.begin
    yield from tokenizer.encode(system_text(request))
    spoken = [message for message in request.messages if message.role != "developer"]
    for role, messages in groupby(spoken, lambda message: message.role):
        text = "\n\n".join(text_of(message.parts, f"{role} message") for message in messages)
        yield tokenizer.user if role == "user" else tokenizer.assistant
        yield from tokenizer.encode(text)
        if role == "assistant":
            yield tokenizer.end
    yield tokenizer.assistant


def system_text(request: Request) -> str:
    """The system text of a request, with what its developer messages say."""
    system = request.system or ""
    texts = [system if isinstance(system, str) else text_of(system, "system text")]
    texts += [
        text_of(message.parts, "developer message") for message in request.messages if message.role == "developer"
    ]
    return "\n\n".join(text for text in texts if text)


def text_of(parts: Sequence[Any], where: str) -> str:
    """Parts of a message as one text; raises ``UnsupportedFeatureError`` for what is none."""
    for part in parts:
        if not isinstance(part, TextPart):
            raise _unsupported(f"a {part.type} in a {where}", "messages")
    return "\n".join(part.text for part in parts)


def refuse_unsupported(request: Request, provider: str = _PROVIDER, further: Sequence[str] = ()) -> None:
    """Raises ``UnsupportedFeatureError`` where a request has tools or options that a model of this process lacks.

    ``further`` options are refused too.
    """
    if request.tools:
        raise _unsupported("tools", "tools", provider)
    present = [name for name in _REFUSED if getattr(request.config, name)]
    for name in (*present, *further):
        if getattr(request.config, name) is not None:
            raise _unsupported(name, f"config.{name}", provider)
    for name in request.config.extensions or {}:
        raise _unsupported(name, f"config.extensions.{name}", provider)
    for message in request.messages:
        if message.role == "tool":
            raise _unsupported("tool messages", "messages", provider)


def _unsupported(what: str, feature: str, provider: str = _PROVIDER) -> UnsupportedFeatureError:
    return UnsupportedFeatureError(
        f"{provider} models do not support {what}; leave it out", feature=feature, provider=provider
    )


def sampling_of(config: Config, room: int) -> Sampling:
    """How a request wants its answer sampled, in at most so many tokens."""
    return Sampling(
        max_tokens=min(config.max_tokens or DEFAULT_MAX_TOKENS, room),
        temperature=1.0 if config.temperature is None else config.temperature,
        top_p=1.0 if config.top_p is None else config.top_p,
        top_k=config.top_k,
        seed=config.seed,
        stop=config.stop,
        logprobs=config.logprobs,
    )
