"""Equality: what a value is compared by in votes, whatever way it is printed, ordered or wrapped."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from numbers import Complex, Rational, Real
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dspy
from dspy.adapters.types.decision import Choice, Noul, Score
from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic.errors import PydanticUserError

from ..json_text import read_json
from ..tasks.signatures import plain
from .folding import folded_text

_LONGEST = 5000  # digits that a decimal may have to be compared with other kinds of numbers
_WRITTEN_SCALAR = re.compile(r"0|-?[1-9]\d{0,15}|[Tt]rue|[Ff]alse")
_CALL_KEYS = frozenset({"id", "type", "index", "name", "args", "arguments"})


@dataclasses.dataclass(frozen=True)
class Number:
    """A number as it is compared: equal for int, float, Decimal and Fraction of one value."""

    value: int | float | Fraction

    @property
    def exact(self) -> bool:
        """Whether it is compared as it is; floats are compared by closeness where values are grouped."""
        return not isinstance(self.value, float)

    @property
    def size(self) -> float:
        """As a float; infinite where it is beyond the largest one."""
        try:
            return float(self.value)
        except OverflowError:
            return math.inf if self.value > 0 else -math.inf

    def __str__(self) -> str:
        return str(self.value)

    __repr__ = __str__


def normalized(value: Any, annotation: Any = None) -> Hashable:
    """A value as votes compare it.

    Text is compared as :func:`~dspy_fusion.programs.pools.folding.folded_text` says, also inside other values. Numbers
    are equal by value (1, 1.0 and Decimal("1.00")), NaN equals NaN; True is no number. Sets and mappings are equal in
    any order, lists and tuples in the same one (a list equals a tuple). Models, dataclasses and named tuples are equal
    where their class and fields are; aware datetimes where they are the same instant; enum members, paths and bytes
    where they are the same. DSPy's ``Choice``, ``Score`` and ``Noul`` are equal by their value, whatever their
    confidence; tool calls by names and arguments in their order, without ids, with arguments as JSON text or as data
    (where a whole number or a truth value may be text, too).

    Args:
        value: of a field.
        annotation: the field's type, which settles what the value alone does not: a value that the type can read is
            compared as read (``1`` and ``True`` are one in a ``bool`` field), and members of a Literal are compared
            exactly.
    """
    if annotation is None or value is None:
        return _key(value)
    read = _as_type(value, annotation)
    exact = all(get_origin(kind) is Literal for kind in alternatives(annotation))
    return ("literal", type(read).__name__, read) if exact and isinstance(read, Hashable) else _key(read)


def alternatives(annotation: Any) -> list[Any]:
    """The types that a field's type allows besides None: without Annotated, Optional, unions and names for types."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    named = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
    if named is not None:
        return alternatives(named)
    if get_origin(annotation) in (Union, UnionType):
        return [kind for member in get_args(annotation) for kind in alternatives(member)]
    return [] if annotation is None or annotation is type(None) else [annotation]


def _as_type(value: Any, annotation: Any) -> Any:
    if annotation is str or (isinstance(value, str) and annotation in (Any, object)):
        return value
    try:
        return _reader(annotation).validate_python(value)
    except (PydanticUserError, TypeError, ValueError):
        return value


@lru_cache(maxsize=256)
def _reader(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _key(value: Any) -> Hashable:
    for kinds, key in _KEYS:
        if isinstance(value, kinds):
            return key(value)
    if callable(getattr(value, "tolist", None)):  # arrays and scalars of numpy, series of pandas
        return _key(value.tolist())
    if callable(getattr(value, "to_dict", None)):
        return _key(value.to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _record(value, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    try:
        hash(value)
    except TypeError:
        return (type(value).__qualname__, repr(plain(value)))
    return (type(value).__qualname__, value)


def _number(value: Any) -> Hashable:
    if isinstance(value, Decimal):
        if not value.is_finite():
            return _number(float("nan") if value.is_nan() else float(value))
        if not value or abs(value.adjusted()) < _LONGEST:
            return Number(Fraction(value or 0))
        sign, digits, _ = value.as_tuple()
        return ("decimal", sign, "".join(map(str, digits)).rstrip("0"), value.adjusted())
    if isinstance(value, Rational):
        return Number(Fraction(int(value.numerator), int(value.denominator)))
    value = float(value)
    if math.isnan(value):
        return ("number", "nan")
    return Number(value) if math.isfinite(value) else ("number", value)


def _sequence(values: Iterable[Any]) -> Hashable:
    return ("list", *map(_key, values))


def _named(value: tuple[Any, ...]) -> Hashable:
    names = getattr(value, "_fields", None)
    return _record(value, dict(zip(names, value, strict=True))) if names else _sequence(value)


def _unordered(values: Set[Any]) -> Hashable:
    return ("set", *sorted(map(_key, values), key=place_of))


def _mapping(value: Mapping[Any, Any]) -> Hashable:
    if (call := _raw_call(value)) is not None:
        return _call(*call)
    return ("mapping", *sorted(((_key(name), _key(part)) for name, part in value.items()), key=place_of))


def _record(value: Any, fields: Mapping[str, Any]) -> Hashable:
    return (type(value).__qualname__, *((name, _key(part)) for name, part in sorted(fields.items())))


def _model(value: BaseModel) -> Hashable:
    if isinstance(value, RootModel):
        return _key(value.root)
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return _record(value, fields | (value.model_extra or {}))


def _call(name: str, arguments: Any) -> Hashable:
    return ("call", name, _key(_as_data(arguments)))


def _as_data(arguments: Any) -> Any:
    """Arguments with those of their values read that are a JSON object or list as text, or a whole number or a truth
    value: tools read ``"2"`` and ``2`` alike, and models write either. ``"007"`` and ``"1.0"`` stay texts.
    """
    if isinstance(arguments, list):
        return [_as_data(part) for part in arguments]
    if isinstance(arguments, str):
        if _WRITTEN_SCALAR.fullmatch(arguments):
            return read_json(arguments.lower())
        if not arguments.lstrip().startswith(("{", "[")):
            return arguments
        try:
            return _as_data(read_json(arguments))
        except ValueError:
            return arguments
    return {name: _as_data(part) for name, part in arguments.items()} if isinstance(arguments, Mapping) else arguments


def _raw_call(value: Mapping[Any, Any]) -> tuple[str, Any] | None:
    """Name and arguments of a tool call as servers write them; None for any other mapping."""
    function = value.get("function")
    if isinstance(function, Mapping) and set(value) <= {"id", "type", "index", "function"}:
        value = function
    arguments = value.get("arguments", value.get("args"))
    if not isinstance(value.get("name"), str) or not set(value) <= _CALL_KEYS:
        return None
    read = _as_data(arguments)
    return (value["name"], read) if isinstance(read, Mapping) else None


def _instant(value: datetime) -> Hashable:
    try:
        return ("datetime", value if value.utcoffset() is None else value.astimezone(UTC).isoformat())
    except OverflowError:  # at the ends of the calendar
        return ("datetime", value)


def place_of(key: Any) -> tuple[str, tuple[float, ...]]:
    """Where a key stands in an order that small differences of floats do not change."""
    shape, numbers = split(key)
    return repr(shape), tuple(number.size for number in numbers)


def split(key: Any) -> tuple[Hashable, tuple[Number, ...]]:
    """A key as its shape, in which every number is the same, and its numbers in order."""
    if isinstance(key, Number):
        return Number, (key,)
    if not isinstance(key, tuple):
        return key, ()
    parts = [split(part) for part in key]
    return tuple(shape for shape, _ in parts), tuple(number for _, numbers in parts for number in numbers)


_KEYS: tuple[tuple[Any, Callable[[Any], Hashable]], ...] = (
    ((bool, type(None)), lambda value: value),
    (Enum, lambda value: ("enum", type(value).__qualname__, value.name)),
    (str, folded_text),
    ((Real, Decimal), _number),
    (Complex, lambda value: ("complex", _number(value.real), _number(value.imag))),
    ((bytes, bytearray, memoryview), lambda value: ("bytes", bytes(value))),
    (datetime, _instant),
    ((date, time, PurePath), lambda value: (type(value).__name__, value)),
    ((Choice, Score, Noul), lambda value: _key(value.value)),
    (dspy.ToolCalls.ToolCall, lambda value: _call(value.name, value.args)),
    (dspy.ToolCalls, lambda value: _sequence(value.tool_calls)),
    (dspy.Code, lambda value: ("code", "\n".join(line.rstrip() for line in value.code.strip().splitlines()))),
    (dspy.Reasoning, lambda value: folded_text(value.content)),
    ((dspy.Image, dspy.Audio, dspy.File), lambda value: (type(value).__name__, repr(value.model_dump()))),
    (BaseModel, _model),
    (Mapping, _mapping),
    (Set, _unordered),
    (tuple, _named),
    (list, _sequence),
)
