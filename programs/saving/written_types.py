"""Types of fields as texts, and back from a closed table: nothing in a text is imported or run."""

from __future__ import annotations

import ast
import datetime
import decimal
import types
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union, cast

import annotated_types
import dspy

from ..errors import ConfigurationError

_PLAIN = (str, int, float, bool, bytes, list, dict, tuple, set, frozenset)
TABLE: dict[str, Any] = {
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
NAMES = {kind: name for name, kind in TABLE.items() if kind is not None} | {type(None): "None"}
_SPELLINGS = {
    "NoneType": "None",
    "datetime.datetime": "datetime",
    "datetime.date": "date",
    "decimal.Decimal": "Decimal",
}
_SPELLINGS |= {"datetime.time": "time", "datetime.timedelta": "timedelta"}
_SPELLINGS |= {name.title(): name for name in ("list", "dict", "tuple", "set")}
GENERIC = (list, dict, tuple, set, frozenset)
_CONSTRAINTS: dict[str, Any] = {
    name: (getattr(annotated_types, kind), name)
    for name, kind in {
        "gt": "Gt", "ge": "Ge", "lt": "Lt", "le": "Le", "multiple_of": "MultipleOf", "min_length": "MinLen",
        "max_length": "MaxLen",
    }.items()
}  # fmt: skip
KNOWN = (
    f"known are {', '.join(TABLE)}, Literal, Optional, Union, models and enumerations of plain data, and what they make"
    " of one another"
)


def read_type(node: ast.expr, own: Mapping[str, Any]) -> Any:
    """The type of an expression; ``own`` has the models and enumerations by name, or what makes them."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[read_type(node.left, own), read_type(node.right, own)]  # noqa: UP007 (a made class knows no |)
    if isinstance(node, ast.Subscript):
        return _generic(ast.unparse(node.value), node.slice, own)
    name = "None" if isinstance(node, ast.Constant) and node.value is None else ast.unparse(node)
    name = name.removeprefix("typing.")
    name = _SPELLINGS.get(name, name)
    if name in own and name not in TABLE:
        return own[name]() if isinstance(own[name], types.FunctionType) else own[name]
    if name not in TABLE:
        raise ConfigurationError(f"the type {name:.80} of a field is not known; {KNOWN}")
    return TABLE[name]


def _generic(name: str, arguments: ast.expr, own: Mapping[str, Any]) -> Any:
    name = name.removeprefix("typing.")
    parts = arguments.elts if isinstance(arguments, ast.Tuple) else [arguments]
    if name == "Literal":
        return cast("Any", Literal)[tuple(map(_value, parts))]
    kinds = tuple(... if isinstance(x, ast.Constant) and x.value is ... else read_type(x, own) for x in parts)
    if name == "Optional":
        return Optional[kinds]  # noqa: UP045 (made of values)
    if name == "Union":
        return Union[kinds]  # noqa: UP007
    kind = TABLE.get(_SPELLINGS.get(name, name))
    if kind not in GENERIC:
        raise ConfigurationError(f"the type {name:.80}[...] of a field is not known; {KNOWN}")
    return cast("Any", kind)[kinds]


def _value(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        value = node
    if not isinstance(value, str | int | bool | bytes | None):
        raise ConfigurationError(f"Literal takes texts and numbers, but got {ast.unparse(node):.80}")
    return value


def bound_of(field: str, item: Any) -> tuple[str, float]:
    """A bound of a field by its name; raises ``ConfigurationError`` where it is of another kind."""
    for name, (kind, attribute) in _CONSTRAINTS.items():
        if isinstance(item, kind) and isinstance(value := getattr(item, attribute), int | float):
            return name, value
    raise ConfigurationError(f"the field {field!r} has a constraint that cannot be written down: {item!r:.80}")


def checked_bounds(field: str, bounds: object) -> dict[str, Any]:
    """Bounds of a file, as they are; raises ``ConfigurationError`` where one is none."""
    if not isinstance(bounds, Mapping):
        raise ConfigurationError(f"the constraints of {field!r} must be a table, but are {bounds!r:.80}")
    for name, value in bounds.items():
        if name not in _CONSTRAINTS or isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(
                f"the field {field!r} has the constraint {name!r} = {value!r:.40}; known are {', '.join(_CONSTRAINTS)}"
            )
    return dict(bounds)
