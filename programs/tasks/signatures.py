"""From a task's signature to the fusor's and the judge's,
and from a prediction to the text that a candidate is shown as.

The fusor's signature is the task's text, its inputs, ``candidates: list[str]``, where it compares first ``comparison``,
and the task's outputs, whatever N is, so that instructions and demos learned at one N hold at any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import dspy
from pydantic import ConfigDict, TypeAdapter
from pydantic_core import PydanticSerializationError

from ..errors import ConfigurationError
from .inert_text import without_fields
from .own_fields import ROLES, free_name, marked_field, with_input, with_output

_RESERVED_OUTPUTS = {"pool": "the pool of candidates is returned under that name"}

_ANYTHING = TypeAdapter(Any)  # building one takes longer than using it
_ANY_BYTES = TypeAdapter(Any, config=ConfigDict(ser_json_bytes="base64"))


def task_signature(program: dspy.Module, signature: str | type[dspy.Signature] | None = None) -> type[dspy.Signature]:
    """The signature of the task that a program does: the given one, its own, or that of its only predictor.

    Raises:
        ConfigurationError: the program has no predictor or more than one and ``signature`` is not given, or a field has
            a reserved name.
    """
    if not isinstance(program, dspy.Module):
        raise ConfigurationError(
            f"program must be a dspy.Module, but got {program!r}; pass an instance such as dspy.Predict(...)"
        )
    own = (
        _find_signature(program)
        if signature is None
        else cast("type[dspy.Signature]", dspy.ensure_signature(signature))
    )
    for name in own.output_fields:
        if name in _RESERVED_OUTPUTS:
            raise ConfigurationError(
                f"the task has an output called {name!r}, but {_RESERVED_OUTPUTS[name]}; rename that field"
            )
    return own


def fusor_signature(task: type[dspy.Signature], instructions: str, *, compare: bool = False) -> type[dspy.Signature]:
    """The signature of the step that writes one answer from many.

    The task's, with the task's text and the candidates as further inputs.

    Args:
        task: the task's signature; its instructions do not go in, since they travel in the input ``task``.
        instructions: how to fuse.
        compare: whether the candidates are compared in writing before the answer, in the output ``comparison``.
    """
    fusing = with_input(with_input(task, task, "candidates"), task, "task", first=True)
    return (with_output(fusing, task, "comparison") if compare else fusing).with_instructions(instructions)


def comparing(fusing: type[dspy.Signature], task: type[dspy.Signature], compare: bool) -> type[dspy.Signature]:
    """A fusor's signature with or without the comparison, whatever it had."""
    return (
        fusing
        if (marked_field(fusing, "comparison") is not None) == compare
        else _turned(cast("Any", fusing), cast("Any", task))
    )


@lru_cache(maxsize=256)
def _turned(fusing: Any, task: Any) -> type[dspy.Signature]:
    name = marked_field(fusing, "comparison")
    return with_output(fusing, task, "comparison") if name is None else fusing.delete(name)


def judge_signature(task: type[dspy.Signature], instructions: str, verdict: str) -> type[dspy.Signature]:
    """The signature of a judge.

    The task's text and inputs, the candidates to be judged, and a verdict in words (described by ``verdict``).
    """
    judging = task
    for name in task.output_fields:
        judging = judging.delete(name)
    judging = with_input(with_input(judging, task, "candidates"), task, "task", first=True)
    return with_output(judging, task, "verdict", verdict).with_instructions(instructions)


def candidate_text(task: type[dspy.Signature], prediction: dspy.Prediction) -> str:
    """A prediction as the text that fusors and judges see: all output fields, whole.

    A single text field is shown as it is; anything else as one JSON value. What the protocols of DSPy's adapters mark
    fields with is broken up, so that a candidate can neither close the list it stands in nor pass for a field of the
    fusor's own answer; see :mod:`inert_text`.
    """
    names = list(task.output_fields)
    if not names or any(name not in prediction for name in names):
        names = list(prediction.keys())  # a task of which only its answers show the fields
    values = {name: prediction.get(name) for name in names}
    only = next(iter(values.values())) if len(values) == 1 else None
    text = (
        only if isinstance(only, str) else json.dumps(plain(only if len(values) == 1 else values), ensure_ascii=False)
    )
    return inert(task, text)


def inert(task: type[dspy.Signature], text: str) -> str:
    """A text in which nothing passes for a field of a prompt about this task."""
    return without_fields(encodable(text), (*task.fields, *(free_name(task, role) for role in ROLES)))


def encodable(value: Any) -> Any:
    """Text with U+FFFD for halves of characters (lone surrogates, which JSON can hold and UTF-8 cannot).

    Other values as they are.

    No server takes a request that holds one, and no file an answer.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def plain(value: Any) -> Any:
    """A typed value as plain JSON data (pydantic models, enums and dataclasses included).

    Bytes that are no text in base64.
    """
    try:
        return _ANYTHING.dump_python(value, mode="json", fallback=str)
    except (PydanticSerializationError, UnicodeDecodeError):
        return _ANY_BYTES.dump_python(value, mode="json", fallback=str)


def typed(task: type[dspy.Signature], values: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON data as the signature's types say: the inverse of :func:`plain` for output fields."""
    return {
        name: None if values[name] is None else kind.validate_python(values[name])
        for name, kind in _output_types(task).items()  # type: ignore[arg-type]  (a class, which is hashed as such)
    }


@lru_cache(maxsize=256)
def _output_types(task: type[dspy.Signature]) -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(cast("Any", field.annotation)) for name, field in task.output_fields.items()}


def signature_of(predictor: dspy.Predict) -> type[dspy.Signature]:
    """A predictor's signature, which DSPy's annotations leave open."""
    return cast("type[dspy.Signature]", predictor.signature)


def _find_signature(program: dspy.Module) -> type[dspy.Signature]:
    own = getattr(program, "signature", None)
    if isinstance(own, type) and issubclass(own, dspy.Signature):
        return own
    predictors = program.named_predictors()
    if len(predictors) == 1:
        return signature_of(predictors[0][1])
    names = ", ".join(name for name, _ in predictors) or "none"
    raise ConfigurationError(
        f"{type(program).__name__} has {len(predictors)} predictors ({names}), so its task is not clear; "
        "pass signature='inputs -> outputs' for the task as a whole"
    )


def input_digest(inputs: Mapping[str, Any]) -> str:
    """A short digest of a task's inputs."""
    return hashlib.sha256(json.dumps(plain(dict(inputs)), sort_keys=True).encode()).hexdigest()[:16]
