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

from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.signatures import signature_of

from .chat import ChatBody, ChatMessage
from .error_responses import bad_request

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
    own = [name for name in fields if name != history]
    if body.inputs is not None:
        named, where = dict(body.inputs), "inputs"
        if history is not None:
            named.setdefault(history, {"messages": []})
    else:
        named, where = _from_messages(task, body, own, history, answer_field)
    for name in (*named, *fields):
        if name not in fields or name not in named:
            what = "is missing" if name in fields else "is none of them"
            raise bad_request(f"this model's inputs are {', '.join(fields)}; {name!r:.80} {what}", where)
    return {name: _typed(value, fields[name].annotation, name, where) for name, value in named.items()}


def with_system(program: SamplingProgram, body: ChatBody) -> SamplingProgram:
    """The program as this request's system messages want it: with what they say beyond the task's instructions."""
    texts = [" ".join(message.text.split()) for message in body.messages if message.role in _SYSTEM]
    own = " ".join(program.task_text().split())
    added = [text.removeprefix(own).strip() for text in texts]
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
    place, last = spoken[-1] if spoken else (len(body.messages) - 1, body.messages[-1])
    where = f"messages[{place}]"
    if last.role != "user":
        raise bad_request(
            f"the last message must be the user's, but its role is {last.role!r}; an answer cannot be begun for a"
            " program",
            f"{where}.role",
        )
    earlier = [message for _, message in spoken[:-1]]
    if history is not None:
        return {**_read(last.text, where, own), history: _history(earlier, own, answer_field, where)}, where
    if not earlier:
        return _read(last.text, where, own), where
    if len(own) > 1 or task.input_fields[own[0]].annotation is not str:
        raise bad_request(
            "this model's task takes no earlier turns, which would change its answer; send one user message",
            "messages",
        )
    return {own[0]: _written(earlier, last.text)}, where


def _read(text: str, where: str, names: Sequence[str]) -> dict[str, Any]:
    return {names[0]: text} if len(names) == 1 else dict(_object(text, where, names))


def _written(earlier: Sequence[ChatMessage], text: str) -> str:
    turns = "\n\n".join(f"{message.role.capitalize()}: {message.text}" for message in earlier)
    return f"The conversation so far:\n\n{turns}\n\nThe message to answer now:\n\n{text}"


def _history(
    earlier: Sequence[ChatMessage], own: Sequence[str], answer_field: str | None, where: str
) -> dict[str, list[dict[str, Any]]]:
    """Turns as DSPy writes them: each with what the user said and what was answered."""
    turns: list[dict[str, Any]] = []
    for message in earlier:
        if message.role == "user":
            turns.append(_read(message.text, where, own))
        else:
            if not turns or answer_field is None or answer_field in turns[-1]:
                turns.append({})
            turns[-1] |= {answer_field: message.text} if answer_field else _object(message.text, where, ["its outputs"])
    return {"messages": turns}


def _object(text: str, where: str, names: Sequence[str]) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
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
        json.dumps(value, ensure_ascii=False).encode()
        return parse_value(value, annotation)
    except (ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise bad_request(
            f"the input {name!r} is not of its type: {reason}", where if where != "inputs" else f"inputs.{name}"
        ) from None
