"""The messages of a chat request, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .error_responses import bad_request
from .tools import CallInTurn


class Checked(BaseModel):
    """A part of a request: of exactly its types, and never changed."""

    model_config = ConfigDict(strict=True, frozen=True)


class _TextPart(Checked):
    type: Literal["text", "input_text", "output_text"]
    text: str


def _text_of(content: Any) -> Any:
    """A message's content as one text; parts of it are lines."""
    if not isinstance(content, list):
        return "" if content is None else _whole(content)
    if any(not isinstance(part, dict) or "text" not in str(part.get("type")) for part in content):
        raise ValueError("must be text, or a list of parts of type 'text'")
    return _whole("\n".join(_TextPart.model_validate(part).text for part in content))


def _whole(text: Any) -> Any:
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half a character (a lone surrogate), which is no text") from None
    return text


def _nothing(value: Any) -> None:
    if value:
        raise ValueError("holds what this server does not take; leave it out")


class ChatMessage(Checked):
    """One message; its content as text, which is empty where there is none.

    Attributes:
        role: whose it is; ``tool`` for the result of a call.
        text: its content.
        tool_calls: what an assistant called in it.
        tool_call_id: the call whose result it is.
        function_call: the form of calls before there were tools, which is not taken.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    text: Annotated[str, BeforeValidator(_text_of)] = Field("", alias="content", validate_default=True)
    tool_calls: list[CallInTurn] | None = None
    tool_call_id: str | None = None
    function_call: Annotated[None, BeforeValidator(_nothing)] = None

    @model_validator(mode="before")
    @classmethod
    def _users_say_something(cls, message: Any) -> Any:
        if isinstance(message, dict) and message.get("role") == "user" and message.get("content") is None:
            raise ValueError("a user's message needs a content")
        return message

    @property
    def is_of_tools(self) -> bool:
        """Whether it calls tools or is the result of a call."""
        return self.role == "tool" or bool(self.tool_calls)


def named_results(messages: Sequence[ChatMessage]) -> dict[str, str]:
    """The name of the tool that each result of a call is of, by the call's id.

    Raises:
        ApiError: a ``tool_call_id`` is that of no call before it.
    """
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        names |= {call.id: call.function.name for call in message.tool_calls or ()}
        if message.role == "tool" and message.tool_call_id not in names:
            raise bad_request(
                f"tool_call_id must be that of an earlier call, but is {message.tool_call_id!r:.80}",
                f"messages[{place}].tool_call_id",
            )
    return names
