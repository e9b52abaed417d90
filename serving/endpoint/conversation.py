"""A program's inputs from a conversation: the last message is the input, and nothing that came before it is dropped.

Earlier turns go into the task's ``dspy.History`` where it has one. A task without one whose only input is text gets
them written down before that text, as the few examples in a benchmark's prompt are. What a client's system message says
beyond the task's own instructions is added to these for the one call.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy.adapters.utils import parse_value

from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.signatures import plain, signature_of

from .chat import ChatBody
from .error_responses import bad_request
from .messages import ChatMessage, named_results
from .tools import ClientTool, calls_field, calls_in_turn, offered, told_of, tools_field

_SYSTEM = ("system", "developer")


def read_inputs(task: type[dspy.Signature], body: ChatBody, answer_field: str | None = None) -> dict[str, Any]:
    """A task's inputs from a request.

    They are the request's ``inputs`` by name where it has them; else the last message, which must be the user's: as it
    is for a single input, as a JSON object for several, with the turns before it. What is not of an input's type is
    parsed from text, as DSPy parses answers.

    Args:
        task: the program's task.
        body: the request.
        answer_field: the output that an assistant's turn is put down to in a ``dspy.History``.

    Raises:
        ApiError: an input is missing, unknown, or not of its type, or there are turns that the task cannot take.
    """
    fields = task.input_fields
    history = next((name for name, field in fields.items() if field.annotation is dspy.History), None)
    tools = tools_field(task)
    own = [name for name in fields if name not in (history, tools)]
    if body.inputs is not None:
        named, where = dict(body.inputs), "inputs"
        if history is not None:
            named.setdefault(history, {"messages": []})
    else:
        named, where = _from_messages(task, body, own, history, answer_field)
    if tools is not None and (body.tools or tools not in named):
        named[tools] = _offered(body, tools)
    for name in (*named, *fields):
        if name not in fields or name not in named:
            what = "is missing" if name in fields else "is none of them"
            raise bad_request(f"this model's inputs are {', '.join(fields)}; {name!r:.80} {what}", where)
    return {
        name: value if name == tools else _typed(value, fields[name].annotation, name, where)
        for name, value in named.items()
    }


def with_system(program: SamplingProgram, body: ChatBody) -> SamplingProgram:
    """The program as this request wants it.

    With what its system messages say beyond the task's instructions, and what is to be said of its tools.
    """
    texts = [" ".join(message.text.split()) for message in body.messages if message.role in _SYSTEM]
    own = " ".join(program.task_text().split())
    added = [text.removeprefix(own).strip() for text in texts]
    listed, one = tools_field(program.signature) is None, body.parallel_tool_calls is False
    if body.tools:
        added.append(told_of(body.tools, body.tool_choice, one=one, listed=listed))
    if not (more := "\n\n".join(text for text in added if text)):
        return program
    program = copy.copy(program)
    program.program = copy.deepcopy(program.program)
    for predictor in program.program.predictors():
        signature = signature_of(predictor)
        predictor.signature = signature.with_instructions(f"{signature.instructions}\n\n{more}")
    return program


def _from_messages(
    task: type[dspy.Signature], body: ChatBody, own: Sequence[str], history: str | None, answer_field: str | None
) -> tuple[dict[str, Any], str]:
    spoken = [(place, message) for place, message in enumerate(body.messages) if message.role not in _SYSTEM]
    if len(spoken) > 1 and spoken[-1][1].role == "assistant" and not spoken[-1][1].text:
        spoken.pop()  # an answer that is yet to be written
    results = named_results(body.messages)
    if history is not None and spoken and spoken[-1][1].role == "tool":
        asked = max((at for at, (_, message) in enumerate(spoken) if message.role == "user"), default=len(spoken) - 1)
        spoken.append(spoken.pop(asked))  # what is to be answered is still what the user said
    place, last = spoken[-1] if spoken else (len(body.messages) - 1, body.messages[-1])
    where = f"messages[{place}]"
    if last.role == "tool" and len(spoken) > 1:
        last = last.model_copy(update={"role": "user", "text": _spoken(last, results)})
    if last.role != "user":
        raise bad_request(
            f"the last message must be the user's, but its role is {last.role!r}; an answer cannot be begun for a"
            " program",
            f"{where}.role",
        )
    earlier = [message for _, message in spoken[:-1]]
    if history is not None:
        return {**_read(last.text, where, own), history: _history(task, earlier, own, answer_field, where)}, where
    if not earlier:
        return _read(last.text, where, own), where
    if len(own) > 1 or task.input_fields[own[0]].annotation is not str:
        raise bad_request(
            "this model's task takes no earlier turns, which would change its answer; send one user message",
            "messages",
        )
    return {own[0]: _written(earlier, last.text, results)}, where


def _read(text: str, where: str, names: Sequence[str]) -> dict[str, Any]:
    return {names[0]: text} if len(names) == 1 else dict(_object(text, where, names))


def _written(earlier: Sequence[ChatMessage], text: str, results: Mapping[str, str]) -> str:
    turns = "\n\n".join(_spoken(message, results) for message in earlier)
    return f"The conversation so far:\n\n{turns}\n\nThe message to answer now:\n\n{text}"


def _spoken(message: ChatMessage, names: Mapping[str, str]) -> str:
    """A turn as text: who said what, what was called, and what came of it."""
    if message.role == "tool":
        return f"Result of {names[message.tool_call_id or '']}: {message.text}"
    calls = [f"Call of {call.function.name}: {call.function.arguments}" for call in message.tool_calls or ()]
    said = [f"{message.role.capitalize()}: {message.text}"] if message.text or not calls else []
    return "\n".join([*said, *calls])


def _history(
    task: type[dspy.Signature], earlier: Sequence[ChatMessage], own: Sequence[str], answer_field: str | None, where: str
) -> dict[str, list[dict[str, Any]]]:
    """Turns as DSPy writes them: each with what the user said, what was answered, what was called and its result."""
    turns: list[dict[str, Any]] = []
    called = calls_field(task)
    results = {message.tool_call_id: message.text for message in earlier if message.role == "tool"}
    for message in earlier:
        if message.role == "user":
            turns.append(_read(message.text, where, own))
        elif message.role == "assistant":
            if not turns or answer_field is None or answer_field in turns[-1] or (called and called in turns[-1]):
                turns.append({})
            if message.tool_calls and called is not None:
                turns[-1][called] = calls_in_turn(message.tool_calls, results)
            if message.text or not message.tool_calls:
                turns[-1] |= (
                    {answer_field: message.text} if answer_field else _object(message.text, where, ["its outputs"])
                )
    return {"messages": turns}


def _offered(body: ChatBody, name: str) -> list[ClientTool]:
    if not body.tools:
        raise bad_request(f"this model's task needs tools, as its input {name!r}; send tools", "tools")
    return offered(body.tools, body.tool_choice)


def _object(text: str, where: str, names: Sequence[str]) -> Mapping[str, Any]:
    try:
        value = read_json(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise bad_request(
            f"this model has several inputs; send a JSON object with {', '.join(names)}, or give them as inputs", where
        )
    return value


def _typed(value: Any, annotation: Any, name: str, where: str) -> Any:
    try:
        if annotation is str and not isinstance(value, str):
            raise ValueError(f"expected a text, but got {value!r:.80}")
        json.dumps(plain(value), ensure_ascii=False).encode()
        return parse_value(value, annotation)
    except (ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise bad_request(
            f"the input {name!r} is not of its type: {reason}", where if where != "inputs" else f"inputs.{name}"
        ) from None
