"""A request to ``/v1/responses`` as the chat request that it amounts to: text turns, nothing kept on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .error_responses import bad_request

_SAME = ("temperature", "top_p", "stream", "model", "seed", "stop", "inputs", "user", "metadata")
_PASSED_ON = ("parallel_tool_calls", "prompt_cache_key", "safety_identifier", "service_tier")
# Fields that change nothing about an answer of plain text here, with the values that are so.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "store": (True, False),
    "background": (False,),
    "truncation": ("disabled",),
    "include": ([],),
    "top_logprobs": (0,),
    "max_tool_calls": (0,),
    "stream_options": ({}, {"include_obfuscation": False}, {"include_obfuscation": True}),
    "prompt_cache_retention": ("in_memory", "24h"),
}


def chat_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the chat request.

    Raises:
        ApiError: a field asks for what this server does not do, such as a conversation that it keeps.
    """
    chat: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or name in ("input", "instructions"):
            continue
        if name in (*_SAME, *_PASSED_ON):
            chat[name] = value
        elif name == "tools" and isinstance(value, list):
            chat[name] = [_nested(tool, f"tools[{place}]") for place, tool in enumerate(value)]
        elif name in ("tools", "tool_choice"):
            chat[name] = _nested(value, name) if isinstance(value, dict) else value
        elif name == "max_output_tokens":
            chat["max_tokens"] = value
        elif name == "text":
            chat["response_format"] = _format(value)
        elif name == "reasoning" and not any(_object(value, "reasoning").values()):
            continue
        elif value not in _NEUTRAL.get(name, ()):
            raise bad_request(
                f"this server does not know {name}={value!r:.80}; leave it out", name, code="unsupported_parameter"
            )
    messages = _messages(body.get("input"))
    if body.get("instructions") is not None:
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    return {**chat, "messages": messages}


def _messages(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise bad_request(f"input must be a text or a list of messages, but got {value!r:.80}", "input")
    return [_message(item, f"input[{place}]") for place, item in enumerate(value)]


def _message(item: Any, where: str) -> dict[str, Any]:
    kind = _object(item, where).get("type", "message")
    if kind == "function_call":
        called = {"name": item.get("name"), "arguments": item.get("arguments")}
        return {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": called}]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    if kind != "message":
        raise bad_request(
            f"{where} is of the type {kind!r:.80}; this server takes messages of text and calls of functions",
            f"{where}.type",
        )
    return {"role": item.get("role"), "content": item.get("content")}


def _nested(tool: Any, where: str) -> dict[str, Any]:
    """A tool, or the choice of one, as the chat protocol has it: all but its type under ``function``."""
    about = {name: part for name, part in _object(tool, where).items() if name != "type"}
    return {"type": tool.get("type"), "function": about}


def _format(value: Any) -> Any:
    wanted = _object(value, "text").get("format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {name: part for name, part in wanted.items() if name != "type"}}


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad_request(f"{where} must be an object, but got {value!r:.80}", where)
    return value
