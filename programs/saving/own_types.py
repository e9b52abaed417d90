"""Pydantic models and enumerations of the user's own in a file: as data, from which they are made again.

They are written beside a signature as long as they are data: fields with types, defaults, descriptions and bounds, or
members with values. They are kept only where what is made has the JSON schema of the original, which is what models are
shown; nothing of them is imported or run.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, cast

from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic_core import PydanticUndefined

from ..errors import ConfigurationError
from .written_types import GENERIC, KNOWN, NAMES, TABLE, bound_of, checked_bounds, read_type

_MOST_TYPES, _LONGEST_NAME = 100, 80
_FACTORIES: dict[str, Any] = {"list": list, "dict": dict}


class WrittenTypes:
    """The types of one signature.

    Attributes:
        described: the models and enumerations that were written so far, by name.
    """

    def __init__(self) -> None:
        self.described: dict[str, dict[str, Any]] = {}
        self._kinds: dict[str, Any] = {}

    def text(self, annotation: Any, field: str) -> str:
        """The type of a field; raises ``ConfigurationError`` where it cannot be written down."""
        origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is None and isinstance(annotation, typing.Hashable) and annotation in NAMES:
            return NAMES[annotation]
        if origin is Literal and all(isinstance(part, str | int | bool | bytes | None) for part in parts):
            return f"Literal[{', '.join(map(repr, parts))}]"
        if origin in (Union, types.UnionType):
            return " | ".join(self.text(part, field) for part in parts)
        if origin in GENERIC:
            return f"{origin.__name__}[{', '.join('...' if x is ... else self.text(x, field) for x in parts)}]"
        if origin is None and isinstance(annotation, type) and issubclass(annotation, BaseModel | enum.Enum):
            return self._own(annotation, field)
        shown = getattr(annotation, "__name__", annotation)
        raise ConfigurationError(f"the type {shown} of a field cannot be written down: {field!r} has it; {KNOWN}")

    def _own(self, kind: type[Any], field: str) -> str:
        name = kind.__name__
        if self._kinds.setdefault(name, kind) is not kind or name in TABLE:
            raise ConfigurationError(f"the field {field!r} has a type {name}, and another one is called so, too")
        if name not in self.described:
            self.described[name] = {}  # so that a model of itself is found out
            described = _enumeration(kind) if issubclass(kind, enum.Enum) else self._model(kind)
            self.described[name] = described
            if _schema(made_types(self.described)[name]) != _schema(kind):
                raise ConfigurationError(f"the type {name} of {field!r} is more than fields or members with values")
        elif not self.described[name]:
            raise ConfigurationError(f"the type {name} of {field!r} holds itself, which cannot be written down")
        return name

    def _model(self, kind: type[BaseModel]) -> dict[str, Any]:
        decorators = kind.__pydantic_decorators__
        code = [item.name for item in dataclasses.fields(decorators) if getattr(decorators, item.name)]
        if code or kind.model_config or kind.__mro__[1] is not BaseModel:
            what = code[0] if code else "a configuration" if kind.model_config else "another model as its base"
            raise ConfigurationError(f"the type {kind.__name__} has {what}, which cannot be written down")
        fields = {name: self._field(f"{kind.__name__}.{name}", item) for name, item in kind.model_fields.items()}
        return {"doc": kind.__doc__, "fields": fields}

    def _field(self, where: str, item: Any) -> dict[str, Any]:
        written: dict[str, Any] = {"type": self.text(item.annotation, where)}
        if item.default_factory in _FACTORIES.values():
            written["empty"] = item.default_factory.__name__
        elif item.default is not PydanticUndefined:
            written["default"] = _plain(where, item.default)
        if item.description is not None:
            written["description"] = item.description
        if bounds := dict(bound_of(where, held) for held in item.metadata):
            written["constraints"] = bounds
        return written


def made_types(described: object) -> dict[str, Any]:
    """The models and enumerations that a file describes, by name, each after those that it is made of.

    Raises:
        ConfigurationError: one is none, or is made of what is not there; the message names it.
    """
    if not isinstance(described, Mapping) or len(described) > _MOST_TYPES:
        raise ConfigurationError(f"types must be a table of at most {_MOST_TYPES}, but are {described!r:.80}")
    made: dict[str, Any] = {}

    def make(name: str, within: tuple[str, ...]) -> Any:
        """The type of a name; `within` are those that are being made and need it."""
        if name in within:
            raise ConfigurationError(f"the type {name:.80} holds itself")
        if name not in made:
            about = described[name]
            _check_name(name, "a type")
            if not isinstance(about, Mapping):
                raise ConfigurationError(f"the type {name} must be a table, but is {about!r:.80}")
            inner = {other: (lambda other=other: make(other, (*within, name))) for other in described if other != name}
            try:
                made[name] = _made_enumeration(name, about) if "members" in about else _made_model(name, about, inner)
            except ConfigurationError:
                raise
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise ConfigurationError(f"the type {name} cannot be made: {reason:.160}") from error
        return made[name]

    return {name: make(name, ()) for name in described if described[name]}


def _enumeration(kind: type[enum.Enum]) -> dict[str, Any]:
    members = {name: member.value for name, member in kind.__members__.items()}
    if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in members.values()):
        raise ConfigurationError(f"the type {kind.__name__} has members that are no texts and no numbers")
    return {"doc": kind.__doc__, "members": members}


def _made_enumeration(name: str, about: Mapping[str, Any]) -> Any:
    _only(name, about, ("doc", "members"))
    members = about["members"]
    for member, value in members.items():
        _check_name(member, f"a member of {name}")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise ConfigurationError(f"the member {name}.{member} must be a text or a number, but is {value!r:.80}")
    mixed = str if all(isinstance(value, str) for value in members.values()) else None
    made = enum.Enum(name, members, type=mixed) if mixed else enum.Enum(name, members)
    made.__doc__ = _doc(name, about)
    return made


def _made_model(name: str, about: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    _only(name, about, ("doc", "fields"))
    fields: dict[str, Any] = {}
    for field, item in about["fields"].items():
        where = f"{name}.{field}"
        _check_name(field, f"a field of {name}")
        _only(where, item, ("type", "default", "empty", "description", "constraints"))
        if not isinstance(item["type"], str) or not isinstance(item.get("description", ""), str):
            raise ConfigurationError(f"the type and the description of {where} must be texts")
        options = {key: item[key] for key in ("default", "description") if key in item}
        if "empty" in item:
            if item["empty"] not in _FACTORIES:
                raise ConfigurationError(f"{where} begins as an empty {item['empty']!r:.40}, not as a list or a dict")
            options["default_factory"] = _FACTORIES[item["empty"]]
        bounds = checked_bounds(where, item.get("constraints", {}))
        kind = read_type(ast.parse(item["type"], mode="eval").body, own)
        fields[field] = (kind, cast("Any", Field)(**options, **bounds))
    return create_model(name, __doc__=_doc(name, about), **fields)


def _doc(name: str, about: Mapping[str, Any]) -> str | None:
    doc = about.get("doc")
    if not isinstance(doc, str | None):
        raise ConfigurationError(f"the description of {name} must be a text, but is {doc!r:.80}")
    return doc


def _only(where: str, about: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(about, Mapping):
        raise ConfigurationError(f"{where} must be a table, but is {about!r:.80}")
    if others := [key for key in about if key not in allowed]:
        raise ConfigurationError(f"{where} has {others[0]!r:.80}, which a file must not set; it may set {allowed}")


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or len(name) > _LONGEST_NAME:
        raise ConfigurationError(f"{name!r:.80} cannot be the name of {what}")


def _schema(kind: Any) -> Any:
    return TypeAdapter(kind).json_schema()


def _plain(where: str, value: Any) -> Any:
    try:
        read = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        read = PydanticUndefined
    if type(read) is not type(value) or read != value:
        raise ConfigurationError(f"the default of {where} is no plain value: {value!r:.80}")
    return read
