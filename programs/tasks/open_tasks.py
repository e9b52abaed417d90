"""The task of a program that does not say what it answers with: a pipeline, or a module written by hand.

What is known of it before a call are the inputs of its ``forward``; its outputs are the fields of its first answer.
Until then the signature is *open*: it has no output field.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy
from dspy.signatures.signature import make_signature

from ..errors import ConfigurationError
from .signatures import signature_of, task_signature

_NO_OUTPUT = ("logprobs",)  # DSPy puts them beside the fields
_PLAIN = (bool, int, float, str, list, dict)


def program_task(
    program: dspy.Module, signature: str | type[dspy.Signature] | None = None
) -> tuple[type[dspy.Signature], bool]:
    """The signature of the task a program does, and whether its answers may have other fields.

    It is the given one, its own, or that of its only predictor (which a module that was written by hand may answer
    beside); otherwise open.

    Raises:
        ConfigurationError: the program is no module, or a field has a reserved name.
    """
    own = getattr(program, "signature", None)
    if signature is not None or not isinstance(program, dspy.Module) or isinstance(own, type):
        return task_signature(program, signature), False
    predictors = program.named_predictors()
    if len(predictors) == 1:
        return task_signature(program), not type(program).__module__.startswith("dspy.")
    return _open_task(program), True


def output_names(task: type[dspy.Signature], answer: dspy.Prediction, *, loose: bool) -> list[str]:
    """The fields of an answer: the task's, or its own where they may be others."""
    return [name for name in answer.keys() if name not in _NO_OUTPUT] if loose else list(task.output_fields)


def closed_task(
    task: type[dspy.Signature], program: dspy.Module, inputs: Mapping[str, Any], answers: Sequence[dspy.Prediction]
) -> type[dspy.Signature]:
    """The task as its first answer shows it.

    The inputs of the call and the fields of the answer, with the types that the program's predictors have for them.

    Raises:
        ConfigurationError: the answers have different fields, or none.
    """
    by_names: dict[frozenset[str], tuple[str, ...]] = {}
    for answer in answers:
        names = tuple(output_names(task, answer, loose=True))
        by_names.setdefault(frozenset(names), names)
    kinds = list(by_names.values())
    if len(kinds) > 1 and task.output_fields and all(set(task.output_fields) <= set(kind) for kind in kinds):
        kinds = [tuple(task.output_fields)]  # what they have in common is what the only predictor answers with
    if len(kinds) != 1 or not kinds[0]:
        shown = " and ".join(str(list(kind)) for kind in kinds) or "none"
        raise ConfigurationError(
            f"{type(program).__name__} answers with different fields ({shown}), so its task is not clear; "
            "pass signature='inputs -> outputs' for the task as a whole"
        )
    if set(kinds[0]) == set(task.output_fields) and set(inputs) <= set(task.input_fields):
        return task
    known = _annotations(program)
    fields: dict[str, tuple[Any, Any]] = {
        name: (known.get(name) or _type_of(value), dspy.InputField()) for name, value in inputs.items()
    }
    for name in kinds[0]:
        fields[name] = (known.get(name) or _type_of(answers[0][name]), dspy.OutputField())
    return make_signature(fields, _purpose(program))


def _open_task(program: dspy.Module) -> type[dspy.Signature]:
    known = _annotations(program)
    fields = {name: (known.get(name) or str, dspy.InputField()) for name in forward_inputs(program)}
    return make_signature(cast("dict[str, Any]", fields), _purpose(program) or "Do the task.")


def thawed(program: dspy.Module) -> dspy.Module:
    """The program itself, or a copy when an optimizer has marked it as compiled:
    DSPy would leave a compiled child out of saved state.
    """
    if not getattr(program, "_compiled", False):
        return program
    copied = program.deepcopy()
    copied._compiled = False
    return copied


def forward_inputs(program: dspy.Module) -> list[str]:
    """The inputs that a module's ``forward`` (or ``aforward``) names."""
    forward = getattr(type(program), "forward", None) or getattr(type(program), "aforward", None)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(forward).parameters.values())[1:] if forward else ()
    return [parameter.name for parameter in parameters if parameter.kind in named]


def _annotations(program: dspy.Module) -> dict[str, Any]:
    """What the predictors of a program say of the types of fields, where they agree."""
    known: dict[str, list[Any]] = {}
    for predictor in program.predictors():
        for name, field in signature_of(predictor).fields.items():
            known.setdefault(name, []).append(field.annotation)
    return {name: types[0] for name, types in known.items() if all(kind == types[0] for kind in types)}


def _type_of(value: Any) -> Any:
    kind = type(value)
    return kind if kind in _PLAIN or hasattr(kind, "model_fields") else Any


def _purpose(program: dspy.Module) -> str | None:
    """What a module's docstring says it does, where it has one of its own."""
    own = vars(type(program)).get("__doc__")
    return inspect.cleandoc(own) if own else None
