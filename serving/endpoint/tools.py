"""Tools of a request: what a client offers, what it wants of them, and the calls that a program answers with.

Nothing of a client's tool is run here. A program whose task has an input of the type ``list[dspy.Tool]`` gets the
tools there; any other whose task answers with ``dspy.ToolCalls`` is told of them beside its instructions.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import dspy
from pydantic import BaseModel, ConfigDict, Field, field_validator

from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.pools.equality import alternatives
from dspy_fusion.programs.tasks.signatures import plain

from .error_responses import ApiError, bad_request

MOST_TOOLS = 128
NEEDS_ONE = "required"
_NAME = r"^[a-zA-Z0-9_.-]{1,64}$"


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Function(_Checked):
    """A tool as its client describes it; ``parameters`` is a JSON schema of an object."""

    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(_Checked):
    """An entry of ``tools``."""

    type: Literal["function"]
    function: Function


class _Named(_Checked):
    name: str


class OneTool(_Checked):
    """A ``tool_choice`` that names a tool."""

    type: Literal["function"]
    function: _Named


ToolChoice = Literal["auto", "none", "required"] | OneTool


class CalledFunction(_Checked):
    """What an assistant's turn called; its arguments are the text that the model wrote."""

    name: str
    arguments: str = "{}"

    @field_validator("arguments")
    @classmethod
    def _are_an_object(cls, text: str) -> str:
        try:
            if isinstance(read_json(text or "{}"), dict):
                return text or "{}"
        except (ValueError, RecursionError):
            pass
        raise ValueError("must be a JSON object as text")


class CallInTurn(_Checked):
    """A call in an assistant's turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


@dataclass(frozen=True)
class MadeCall:
    """A call that an answer makes.

    Attributes:
        name: of the tool.
        arguments: a JSON object as text.
        id: by which the client sends its result back.
    """

    name: str
    arguments: str
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's chat protocol writes it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class ClientTool(dspy.Tool):
    """A client's tool as a program's input: shown to models, never run here."""

    spec: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, function: Function) -> None:
        schema = function.parameters or {}
        super().__init__(_elsewhere, function.name, function.description or "", dict(schema.get("properties") or {}))
        self.spec = {"type": "function", "function": function.model_dump(exclude_none=True)}

    def format_as_litellm_function_call(self) -> dict[str, Any]:
        """The tool as its client described it."""
        return self.spec

    def __str__(self) -> str:
        """What a prompt says of it."""
        about = self.spec["function"]
        takes = json.dumps(about.get("parameters") or {"type": "object", "properties": {}}, ensure_ascii=False)
        described = f": {about['description']}" if about.get("description") else ""
        return f"{self.name}{described} (arguments by this JSON schema: {takes})"


def _elsewhere(**arguments: Any) -> Any:
    raise ApiError(500, "a client's tool is run by the client")


def check_tools(tools: Sequence[ToolSpec], choice: ToolChoice | None) -> None:
    """Raises ``ApiError`` where two tools have one name, or the choice names none of them."""
    names = [tool.function.name for tool in tools]
    if len(names) > MOST_TOOLS:
        raise bad_request(f"tools may hold at most {MOST_TOOLS} tools, but has {len(names)}", "tools")
    if double := next((name for name in names if names.count(name) > 1), None):
        raise bad_request(f"two tools are called {double!r}; rename one", "tools")
    if isinstance(choice, OneTool) and choice.function.name not in names:
        raise bad_request(f"tool_choice names {choice.function.name!r:.80}, which is none of {names}", "tool_choice")
    if choice == NEEDS_ONE and not names:
        raise bad_request("tool_choice='required' needs tools", "tool_choice")


def calls_field(task: type[dspy.Signature]) -> str | None:
    """The output in which a task answers with tool calls, or None."""
    outputs = task.output_fields.items()
    return next((name for name, about in outputs if dspy.ToolCalls in alternatives(about.annotation)), None)


def tools_field(task: type[dspy.Signature]) -> str | None:
    """The input in which a task gets tools, or None."""
    for name, about in task.input_fields.items():
        for kind in alternatives(about.annotation):
            if kind is dspy.Tool or (get_origin(kind) is list and get_args(kind) == (dspy.Tool,)):
                return name
    return None


def offered(tools: Sequence[ToolSpec], choice: ToolChoice | None) -> list[ClientTool]:
    """The tools that may be called."""
    if choice == "none":
        return []
    only = choice.function.name if isinstance(choice, OneTool) else None
    return [ClientTool(tool.function) for tool in tools if only in (None, tool.function.name)]


def told_of(tools: Sequence[ToolSpec], choice: ToolChoice | None, *, one: bool, listed: bool) -> str:
    """What models are told beside the task's instructions.

    Args:
        tools: the client's.
        choice: which of them.
        one: at most one call at a time.
        listed: whether the tools themselves are to be named here.
    """
    parts = []
    if listed and (may := offered(tools, choice)):
        parts.append("\n".join(["The tools that can be called:", *(f"- {tool}" for tool in may)]))
    if isinstance(choice, OneTool) or choice == NEEDS_ONE:
        parts.append("Answer with at least one call of a tool.")
    if choice == "none":
        parts.append("Call no tool.")
    if one:
        parts.append("Call at most one tool at a time.")
    return "\n\n".join(parts)


def calls_in_turn(calls: Sequence[CallInTurn], results: Mapping[str | None, str]) -> dspy.ToolCalls:
    """An assistant's calls as DSPy's history has them, with their results where all of them are known."""
    made = [{"id": call.id, "name": call.function.name, "args": read_json(call.function.arguments)} for call in calls]
    known = [
        {"call_id": call.id, "name": call.function.name, "value": results[call.id]}
        for call in calls
        if call.id in results
    ]
    came = {"tool_call_results": {"tool_call_results": known}} if len(known) == len(calls) else {}
    return dspy.ToolCalls.model_validate({"tool_calls": made, **came})


def made_calls(value: Any, tools: Sequence[ToolSpec], choice: ToolChoice | None, *, one: bool) -> tuple[MadeCall, ...]:
    """The calls of an answer.

    Raises:
        ApiError: one names a tool that was not offered, or there is none where one was required.
    """
    if choice == "none":
        return ()
    names = [tool.name for tool in offered(tools, choice)]
    calls = [] if value is None else list(value.tool_calls)
    if unknown := next((call.name for call in calls if call.name not in names), None):
        raise ApiError(
            502, f"the answer calls {unknown!r:.80}, which is none of the tools {names}", code="unknown_tool"
        )
    if not calls and (choice == NEEDS_ONE or isinstance(choice, OneTool)):
        raise ApiError(502, "the answer calls no tool, although tool_choice requires it", code="no_tool_call")
    return tuple(
        MadeCall(call.name, json.dumps(plain(call.args), ensure_ascii=False)) for call in calls[: 1 if one else None]
    )
