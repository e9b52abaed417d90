"""A task's signature as text, and back from a closed table of types: nothing in a text is imported or run.

The text is what DSPy writes, ``question: str, words: list[str] -> answer: Literal['a', 'b']``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, cast

import dspy
from dspy.signatures.signature import make_signature

from ..errors import ConfigurationError
from ..syntax import parsed
from .own_types import WrittenTypes, made_types
from .written_types import bound_of, checked_bounds, read_type

_LONGEST = 20_000  # characters of a signature
_TAKEN = ("config", "demos", "lm", "self", "signature")  # arguments of DSPy's own


def signature_text(signature: type[dspy.Signature], names: WrittenTypes) -> str:
    """The fields of a signature with their types; ``names`` then has those of the user's own.

    Raises:
        ConfigurationError: a type is not in the table.
    """
    sides = (signature.input_fields, signature.output_fields)
    return " -> ".join(
        ", ".join(f"{name}: {names.text(field.annotation, name)}" for name, field in side.items()) for side in sides
    )


def constraints_of(signature: type[dspy.Signature]) -> dict[str, dict[str, float]]:
    """The bounds of fields, such as ``{"score": {"ge": 0, "le": 10}}``.

    Raises:
        ConfigurationError: a field has a constraint of another kind.
    """
    bounds = {name: dict(bound_of(name, item) for item in field.metadata) for name, field in signature.fields.items()}
    return {name: held for name, held in bounds.items() if held}


def read_signature(text: object, constraints: object = None, own: object = None) -> type[dspy.Signature]:
    """The signature of a text, of the bounds of its fields, and of the types that are described beside it.

    Raises:
        ConfigurationError: it is none, or a type or a bound is not known.
    """
    if not isinstance(text, str) or len(text) > _LONGEST or text.count("->") != 1:
        raise ConfigurationError(f"the signature {text!r:.80} is none; write it as 'question -> answer'")
    bounds = constraints or {}
    if not isinstance(bounds, Mapping):
        raise ConfigurationError(f"constraints must be a table of fields, but are {bounds!r:.80}")
    fields: dict[str, Any] = {}
    kinds = made_types(own or {})
    for side, make in zip(text.split("->"), (dspy.InputField, dspy.OutputField), strict=True):
        for name, kind in _side(side, kinds).items():
            if name in fields:
                raise ConfigurationError(f"the signature has the field {name!r} twice")
            if name in _TAKEN or name.startswith("_"):
                raise ConfigurationError(f"the signature has a field {name!r}, which is a name of DSPy's own")
            fields[name] = (kind, cast("Any", make)(**checked_bounds(name, bounds.get(name, {}))))
    if unknown := [name for name in bounds if name not in fields]:
        raise ConfigurationError(f"constraints name the field {unknown[0]!r}, which the signature lacks")
    try:
        return cast("type[dspy.Signature]", make_signature(fields))
    except Exception as error:  # pydantic has many words for what is no type of a field
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"the signature {text!r:.80} cannot be made: {reason:.160}") from error


def _side(text: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one side, read as the arguments of a function that is never made."""
    try:
        (function,) = parsed(f"def fields(\n{text.strip()}\n): pass").body  # a remark ends before the bracket
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigurationError(f"the signature's part {text.strip()!r:.120} cannot be read") from None
    arguments = function.args if isinstance(function, ast.FunctionDef) else None
    if (
        arguments is None
        or not isinstance(cast("Any", function).body[0], ast.Pass)
        or any((arguments.posonlyargs, arguments.kwonlyargs, arguments.vararg, arguments.kwarg, arguments.defaults))
    ):
        raise ConfigurationError(f"the signature's part {text.strip()!r:.120} cannot be read")
    try:
        return {
            item.arg: str if item.annotation is None else read_type(item.annotation, own) for item in arguments.args
        }
    except RecursionError:
        raise ConfigurationError(f"the types in {text.strip()!r:.80} are nested too deeply") from None
