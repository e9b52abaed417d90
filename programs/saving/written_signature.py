"""A task's signature as text, and back from a closed table of types: nothing in a text is imported or run.

The text is what DSPy writes, ``question: str, words: list[str] -> answer: Literal['a', 'b']``.
"""

from __future__ import annotations

import ast
import datetime
import decimal
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union, cast

import annotated_types
import dspy
from dspy.signatures.signature import make_signature

from ..errors import ConfigurationError

_PLAIN = (str, int, float, bool, bytes, list, dict, tuple, set, frozenset)
_TABLE: dict[str, Any] = {
    **{kind.__name__: kind for kind in _PLAIN},
    **{name: getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta")},
    "Decimal": decimal.Decimal,
    "Any": Any,
    "None": None,
    **{
        f"dspy.{name}": getattr(dspy, name)
        for name in ("Audio", "File", "History", "Image", "Reasoning", "Tool", "ToolCalls")
    },
}
_NAMES = {kind: name for name, kind in _TABLE.items() if kind is not None} | {type(None): "None"}
_SPELLINGS = {
    "NoneType": "None",
    "datetime.datetime": "datetime",
    "datetime.date": "date",
    "decimal.Decimal": "Decimal",
}
_SPELLINGS |= {"datetime.time": "time", "datetime.timedelta": "timedelta"}
_SPELLINGS |= {name.title(): name for name in ("list", "dict", "tuple", "set")}
_GENERIC = (list, dict, tuple, set, frozenset)
_CONSTRAINTS: dict[str, Any] = {
    name: (getattr(annotated_types, kind), name)
    for name, kind in {
        "gt": "Gt", "ge": "Ge", "lt": "Lt", "le": "Le", "multiple_of": "MultipleOf", "min_length": "MinLen",
        "max_length": "MaxLen",
    }.items()
}  # fmt: skip
_LONGEST = 20_000  # characters of a signature
_TAKEN = ("config", "demos", "lm", "self", "signature")  # arguments of DSPy's own
_KNOWN = f"known are {', '.join(_TABLE)}, Literal, Optional, Union and what they make of one another"


def signature_text(signature: type[dspy.Signature]) -> str:
    """The fields of a signature with their types.

    Raises:
        ConfigurationError: a type is not in the table.
    """
    sides = (signature.input_fields, signature.output_fields)
    return " -> ".join(
        ", ".join(f"{name}: {_text(field.annotation, name)}" for name, field in side.items()) for side in sides
    )


def constraints_of(signature: type[dspy.Signature]) -> dict[str, dict[str, float]]:
    """The bounds of fields, such as ``{"score": {"ge": 0, "le": 10}}``.

    Raises:
        ConfigurationError: a field has a constraint of another kind.
    """
    bounds = {name: dict(_bound(name, item) for item in field.metadata) for name, field in signature.fields.items()}
    return {name: held for name, held in bounds.items() if held}


def read_signature(text: object, constraints: object = None) -> type[dspy.Signature]:
    """The signature of a text and of the bounds of its fields.

    Raises:
        ConfigurationError: it is none, or a type or a bound is not known.
    """
    if not isinstance(text, str) or len(text) > _LONGEST or text.count("->") != 1:
        raise ConfigurationError(f"the signature {text!r:.80} is none; write it as 'question -> answer'")
    bounds = constraints or {}
    if not isinstance(bounds, Mapping):
        raise ConfigurationError(f"constraints must be a table of fields, but are {bounds!r:.80}")
    fields: dict[str, Any] = {}
    for side, make in zip(text.split("->"), (dspy.InputField, dspy.OutputField), strict=True):
        for name, kind in _side(side).items():
            if name in fields:
                raise ConfigurationError(f"the signature has the field {name!r} twice")
            if name in _TAKEN or name.startswith("_"):
                raise ConfigurationError(f"the signature has a field {name!r}, which is a name of DSPy's own")
            fields[name] = (kind, cast("Any", make)(**_checked(name, bounds.get(name, {}))))
    if unknown := [name for name in bounds if name not in fields]:
        raise ConfigurationError(f"constraints name the field {unknown[0]!r}, which the signature lacks")
    try:
        return cast("type[dspy.Signature]", make_signature(fields))
    except Exception as error:  # pydantic has many words for what is no type of a field
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"the signature {text!r:.80} cannot be made: {reason:.160}") from error


def _side(text: str) -> dict[str, Any]:
    """The fields of one side, read as the arguments of a function that is never made."""
    try:
        (function,) = ast.parse(f"def fields(\n{text.strip()}\n): pass").body  # a remark ends before the bracket
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
        return {item.arg: str if item.annotation is None else _type(item.annotation) for item in arguments.args}
    except RecursionError:
        raise ConfigurationError(f"the types in {text.strip()!r:.80} are nested too deeply") from None


def _type(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript):
        return _generic(ast.unparse(node.value), node.slice)
    name = "None" if isinstance(node, ast.Constant) and node.value is None else ast.unparse(node)
    name = name.removeprefix("typing.")
    name = _SPELLINGS.get(name, name)
    if name not in _TABLE:
        raise ConfigurationError(f"the type {name:.80} of a field is not known; {_KNOWN}")
    return _TABLE[name]


def _generic(name: str, arguments: ast.expr) -> Any:
    name = name.removeprefix("typing.")
    parts = arguments.elts if isinstance(arguments, ast.Tuple) else [arguments]
    if name == "Literal":
        return cast("Any", Literal)[tuple(map(_value, parts))]
    kinds = tuple(... if isinstance(part, ast.Constant) and part.value is ... else _type(part) for part in parts)
    if name == "Optional":
        return Optional[kinds]  # noqa: UP045 (made of values)
    if name == "Union":
        return Union[kinds]  # noqa: UP007
    kind = _TABLE.get(_SPELLINGS.get(name, name))
    if kind not in _GENERIC:
        raise ConfigurationError(f"the type {name:.80}[...] of a field is not known; {_KNOWN}")
    return cast("Any", kind)[kinds]


def _value(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        value = node
    if not isinstance(value, str | int | bool | bytes | None):
        raise ConfigurationError(f"Literal takes texts and numbers, but got {ast.unparse(node):.80}")
    return value


def _text(annotation: Any, field: str) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None and isinstance(annotation, typing.Hashable) and annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Literal and all(isinstance(part, str | int | bool | bytes | None) for part in parts):
        return f"Literal[{', '.join(map(repr, parts))}]"
    if origin in (Union, types.UnionType):
        return " | ".join(_text(part, field) for part in parts)
    if origin in _GENERIC:
        return f"{origin.__name__}[{', '.join('...' if part is ... else _text(part, field) for part in parts)}]"
    shown = getattr(annotation, "__name__", annotation)
    raise ConfigurationError(f"the type {shown} of a field cannot be written down: {field!r} has it; {_KNOWN}")


def _bound(field: str, item: Any) -> tuple[str, float]:
    for name, (kind, attribute) in _CONSTRAINTS.items():
        if isinstance(item, kind) and isinstance(value := getattr(item, attribute), int | float):
            return name, value
    raise ConfigurationError(f"the field {field!r} has a constraint that cannot be written down: {item!r:.80}")


def _checked(field: str, bounds: object) -> dict[str, Any]:
    if not isinstance(bounds, Mapping):
        raise ConfigurationError(f"the constraints of {field!r} must be a table, but are {bounds!r:.80}")
    for name, value in bounds.items():
        if name not in _CONSTRAINTS or isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(
                f"the field {field!r} has the constraint {name!r} = {value!r:.40}; known are {', '.join(_CONSTRAINTS)}"
            )
    return dict(bounds)
