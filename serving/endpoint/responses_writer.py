"""Answers as OpenAI's responses protocol writes them down: one message of text, and its stream of numbered events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from .answers import Answer, Piece, about_all, encoded, reasoning_tokens, total_usage
from .chat import ChatBody
from .error_responses import ApiError
from .tools import MadeCall, OneTool, ToolSpec


class ResponsesWriter:
    """Writes one response; see ``Writer``."""

    def __init__(self, id: str, created: int, model: str, chat: ChatBody) -> None:
        self.id, self._created, self._model, self._chat = id, created, model, chat
        self._numbers = count()
        self._item = f"msg_{id.partition('_')[2]}"
        self._place = {"item_id": self._item, "output_index": 0, "content_index": 0}

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        return {"x-request-id": self.id}

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """A whole response."""
        (answer,) = answers
        message = self._message(_status(answer), [_part(answer.text)])
        output = [message, *map(_call_item, answer.calls)]
        return self._response(_status(answer), output, answers) | about_all(answers)

    def begin(self, index: int) -> bytes:
        """The events before the first text."""
        response = self._response("in_progress", [], ())
        return b"".join(
            [
                self._event("response.created", response=response),
                self._event("response.in_progress", response=response),
                self._event("response.output_item.added", output_index=0, item=self._message("in_progress", [])),
                self._event("response.content_part.added", **self._place, part=_part("")),
            ]
        )

    def piece(self, index: int, piece: Piece) -> bytes:
        """A piece of the text."""
        return self._event("response.output_text.delta", **self._place, delta=piece.text, logprobs=[])

    def end(self, answers: Sequence[Answer]) -> bytes:
        """The events after the last text."""
        (answer,) = answers
        message = self._message(_status(answer), [_part(answer.text)])
        return b"".join(
            [
                self._event("response.output_text.done", **self._place, text=answer.text, logprobs=[]),
                self._event("response.content_part.done", **self._place, part=_part(answer.text)),
                self._event("response.output_item.done", output_index=0, item=message),
                *(self._called(place, call) for place, call in enumerate(answer.calls, start=1)),
                self._event(f"response.{_status(answer)}", response=self.whole(answers)),
            ]
        )

    def error(self, error: ApiError) -> bytes:
        """The response as one that failed, after what has been told of it."""
        failure = {"code": error.code or "server_error", "message": error.message}
        return self._event("response.failed", response=self._response("failed", [], ()) | {"error": failure})

    def _event(self, kind: str, **about: Any) -> bytes:
        body = encoded({"type": kind, "sequence_number": next(self._numbers), **about})
        return f"event: {kind}\ndata: ".encode() + body + b"\n\n"

    def _called(self, place: int, call: MadeCall) -> bytes:
        """The events of one call of a tool."""
        item, where = _call_item(call), {"item_id": f"fc_{call.id}", "output_index": place}
        begun = {**item, "status": "in_progress", "arguments": ""}
        return b"".join(
            [
                self._event("response.output_item.added", output_index=place, item=begun),
                self._event("response.function_call_arguments.delta", **where, delta=call.arguments),
                self._event("response.function_call_arguments.done", **where, name=call.name, arguments=call.arguments),
                self._event("response.output_item.done", output_index=place, item=item),
            ]
        )

    def _message(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._item, "type": "message", "status": status, "role": "assistant", "content": content}

    def _response(self, status: str, output: list[Any], answers: Sequence[Answer]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None,
            "max_output_tokens": self._chat.most_tokens,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": self._chat.temperature,
            "text": {"format": {"type": "text"} if not self._chat.is_json else {"type": "json_object"}},
            "tool_choice": "auto" if isinstance(self._chat.tool_choice, OneTool) else self._chat.tool_choice or "auto",
            "tools": [{"type": "function", "strict": None, **_flat(tool)} for tool in self._chat.tools],
            "top_p": self._chat.top_p,
            "truncation": "disabled",
            "usage": _usage(answers) if answers else None,
            "metadata": {},
        }


def _usage(answers: Sequence[Answer]) -> dict[str, Any]:
    total, roles = total_usage(answers)
    return {
        "input_tokens": total.tokens_in,
        "input_tokens_details": {"cached_tokens": 0, **{role: usage.tokens_in for role, usage in roles.items()}},
        "output_tokens": total.tokens_out,
        "output_tokens_details": {
            "reasoning_tokens": reasoning_tokens(answers) or 0,
            **{role: usage.tokens_out for role, usage in roles.items()},
        },
        "total_tokens": total.tokens_in + total.tokens_out,
    }


def _flat(tool: ToolSpec) -> dict[str, Any]:
    return {**tool.function.model_dump(exclude_none=True), "parameters": tool.function.parameters or {}}


def _status(answer: Answer) -> str:
    return "incomplete" if answer.finish == "length" else "completed"


def _call_item(call: MadeCall) -> dict[str, Any]:
    about = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", **about}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
