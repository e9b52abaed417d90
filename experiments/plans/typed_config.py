"""Configurations: frozen dataclasses that pydantic types, read from TOML, with one line for everything that is wrong.

A field's docstring is its help text, on the command line too (``command_options``).
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform, get_type_hints

import pydantic.dataclasses
from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import know_urls_in

T = TypeVar("T")
Count = Annotated[int, Field(ge=1)]
"""A whole number from 1."""
Amount = Annotated[int, Field(ge=0)]
"""A whole number from 0."""
Temperature = Annotated[float, Field(ge=0)]
Names = Annotated[tuple[str, ...], Strict(False)]
"""A list of texts."""
Pools = Mapping[str, Annotated[tuple[str, ...], Strict(False), Field(min_length=1)]]
_RULES = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
_SCALARS = {"string": "str", "int": "int", "float": "float", "bool": "bool"}
_KINDS = {name: f"of type {kind}" for name, kind in _SCALARS.items()} | {"tuple": "a list of texts"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclasses.dataclass(frozen=True)
class Written:
    """How else a field may be written, as metadata of its type.

    Attributes:
        also: another key for it in a file.
        option: its option on the command line, where that is not made of the field's name.
    """

    also: str = ""
    option: str = ""


class _Told(NamedTuple):
    """What messages need of what was read."""

    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    shown: Mapping[str, str]


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def configuration(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass whose values are checked when it is made and when it is read.

    What is wrong raises ``ConfigurationError``.
    """
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config=_RULES)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def init(self: Any, *positional: Any, **named: Any) -> None:
        """Makes the checked one; what does not fit is told by its name in the file."""
        know_urls_in((positional, named))
        try:
            checked(self, *positional, **named)
        except ValidationError as error:
            raise ConfigurationError(_told(error, made, "", _Told({}, {}, {}))) from error

    made.__init__ = init
    return made


def read(cls: type[T], path: Path, settings: Mapping[str, Any] | None = None) -> T:
    """A configuration from a TOML file, over which ``settings`` of the command line go.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or a key or a value is not allowed.
    """
    return parse(cls, read_toml(path), where=str(path), settings=settings)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises ``ConfigurationError`` where it cannot be read or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def parse(
    cls: type[T],
    table: Mapping[str, Any],
    *,
    where: str,
    settings: Mapping[str, Any] | None = None,
    shown: Mapping[str, str] | None = None,
) -> T:
    """A configuration of plain tables.

    Args:
        cls: which one.
        table: as a file has it.
        where: the file, for messages.
        settings: of the command line, which go before the file's.
        shown: fields that the file writes in another way, and how.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed; the message names it.
    """
    whole = {**_renamed(cls, table, where), **(settings or {})}
    know_urls_in(whole)
    try:
        return TypeAdapter(cls).validate_json(json.dumps(whole, default=str))
    except ValidationError as error:
        raise ConfigurationError(_told(error, cls, where, _Told(whole, settings or {}, shown or {}))) from error


def described(cls: Any) -> dict[str, tuple[Any, str]]:
    """The fields of a configuration in order: each with what pydantic knows of it, and its help text."""
    kinds = [kind.__pydantic_fields__ for kind in cls.__mro__ if "__pydantic_fields__" in vars(kind)]
    texts = {
        name: next((kind[name].description for kind in kinds if name in kind and kind[name].description), "")
        for name in cls.__pydantic_fields__
    }
    return {name: (item, " ".join((texts[name] or "").split())) for name, item in cls.__pydantic_fields__.items()}


def written(item: Any) -> Written:
    """How else a field may be written."""
    return next((rule for rule in item.metadata if isinstance(rule, Written)), Written())


def digest_of(relevant: Any, digits: int) -> str:
    """The first hexadecimal digits of the hash of plain data."""
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:digits]


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names what differs between two configurations as plain mappings, one text per leaf."""
    changes: list[str] = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            changes.append(f"{prefix}{key}: {_short(old)} -> {_short(new)}")
    return changes


def _renamed(cls: Any, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    others = {written(item).also: name for name, (item, _) in described(cls).items() if written(item).also}
    for other, name in others.items():
        if other in table and name in table:
            raise ConfigurationError(f"{where}: {other} and {name} are one key; leave out one of them")
    return {others.get(key, key): value for key, value in table.items()}


def _told(error: ValidationError, cls: Any, where: str, told: _Told) -> str:
    """The first thing that is wrong, an unknown key before all others, since it may be why another is missing."""
    wrong: Any = sorted(error.errors(), key=lambda item: item["type"] != "unexpected_keyword_argument")[0]
    at = [part for part in wrong["loc"] if isinstance(part, int | str)]
    place = "command line" if at and at[0] in told.settings else where
    own = wrong["type"] == "value_error"
    tables = at if own and (len(at) > 1 or _fields(cls, at)) else at[:-1]
    head = ", ".join(part for part in (place, _path(tables, told)) if part)
    said = str(wrong["ctx"]["error"]) if own else _sentence(wrong, str(at[-1]), _fields(cls, tables), told.shown)
    return f"{head}: {said}" if head else said


def _sentence(wrong: Any, key: str, allowed: list[str], shown: Mapping[str, str]) -> str:
    kind, value, limits = wrong["type"], wrong["input"], wrong.get("ctx", {})
    if kind == "unexpected_keyword_argument":
        names = [shown.get(name, name) for name in allowed]
        near = difflib.get_close_matches(key, names, 1)
        return f"unknown key {key!r}; allowed are {', '.join(names)}" + (f"; did you mean {near[0]!r}?" if near else "")
    if kind == "missing":
        return f"the key {shown.get(key, key)!r} is missing"
    if bound := next((name for name in _BOUNDS if name in limits), ""):
        return f"{key} must be {_BOUNDS[bound]} {limits[bound]:g}, but got {key}={value!r}"
    if kind == "literal_error":
        return f"{key} must be {_choice(limits['expected'])}, but got {key}={value!r}"
    if kind == "too_short":
        return f"{key} must hold at least one model name, but got {value!r}"
    if kind.partition("_")[0] in ("dataclass", "dict", "mapping"):
        return f"{key} is written as a [{key}] table, but got {value!r}"
    named = _KINDS.get(kind.partition("_")[0], wrong["msg"])
    return f"{key} must be {named}, but got {value!r}"


def _choice(expected: str) -> str:
    names = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return f"one of {', '.join(name for name in names if name)}" + (" or empty" if "" in names else "")


def _path(at: list[Any], told: _Told) -> str:
    """Where a table lies: ``[training.lora]``, or an item of a list by its name, else by its place from 1."""
    if not at:
        return ""
    name, *rest = (told.shown.get(part, part) if isinstance(part, str) else part for part in at)
    if not rest or not isinstance(rest[0], int):
        return f"[{'.'.join(map(str, (name, *rest)))}]"
    item = told.table[at[0]][rest[0]]
    return f"{name} {item['name']!r}" if isinstance(item, dict) and "name" in item else f"[[{name}]] {rest[0] + 1}"


def _fields(cls: Any, at: list[Any]) -> list[str]:
    """The fields of the configuration at a place in another, those first that can be given without their names."""
    for part in at:
        if isinstance(part, str) and dataclasses.is_dataclass(cls):
            cls = _inner(get_type_hints(cls).get(part))
    return [item.name for item in sorted(dataclasses.fields(cls), key=lambda item: bool(item.kw_only))] if cls else []


def _inner(hint: Any) -> Any:
    """The dataclass within a type, such as ``tuple[X, ...]`` or ``X | None``."""
    if dataclasses.is_dataclass(hint):
        return hint
    return next((kind for part in getattr(hint, "__args__", ()) if (kind := _inner(part))), None)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
