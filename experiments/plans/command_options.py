"""Options of the command line, made from the fields of a configuration: its names, types and help texts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from dspy_fusion.programs.errors import ConfigurationError

from .typed_config import described, written


def add_options(parser: Any, config: type, *, but: Sequence[str] = ()) -> None:
    """Adds an option for each field that one text can say; tables are left to the file.

    Args:
        parser: an argument parser, or a group of one.
        config: a class made by ``configuration``.
        but: fields that get none.
    """
    for name, (item, text) in described(config).items():
        if name not in but and (how := _reading(item.annotation)) is not None:
            parser.add_argument(*_flags(name, item), dest=name, default=None, help=_help(text, item), **how)


def given_options(arguments: argparse.Namespace, config: type) -> dict[str, Any]:
    """The fields that were given as options."""
    fields = [name for name, (item, _) in described(config).items() if _reading(item.annotation) is not None]
    values = {name: getattr(arguments, name, None) for name in fields}
    if (pools := values.get("pools")) is not None:
        values["pools"] = dict(_pool(text) for text in pools)
    return {name: value for name, value in values.items() if value is not None}


def names_in(text: str) -> tuple[str, ...]:
    """The names in a text that commas separate."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _reading(hint: Any) -> dict[str, Any] | None:
    """How argparse reads a value of a type; None where one option cannot say it."""
    kinds = [_bare(kind) for kind in (get_args(hint) or (hint,)) if kind not in (type(None), ...)]
    if get_origin(hint) is Literal:
        return {"choices": [value for value in kinds if value != ""]}
    if get_origin(hint) is tuple:
        return {"type": names_in, "metavar": "NAME,NAME"} if kinds == [str] else None
    if get_origin(hint) is Mapping and kinds[1] is not Any:
        return {"action": "append", "metavar": "NAME=MODEL,MODEL"}
    if kinds == [bool]:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": kinds[0]} if len(kinds) == 1 and kinds[0] in (str, int, float) else None


def _bare(kind: Any) -> Any:
    """A type without what is noted on it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _flags(name: str, item: Any) -> tuple[str, ...]:
    other = written(item)
    if other.option:
        return (other.option,)
    return tuple(f"--{key.replace('_', '-')}" for key in (name, other.also) if key)


def _help(text: str, item: Any) -> str:
    plain = re.sub(r"`+", "", text).rstrip(".")
    shown = plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain
    default = f" (default: {item.default})" if type(item.default) in (int, float, str) and item.default != "" else ""
    return f"{shown}{default}".replace("%", "%%")


def _pool(text: str) -> tuple[str, tuple[str, ...]]:
    name, sign, models = text.partition("=")
    if not (name and sign and names_in(models)):
        raise ConfigurationError(f"--pools takes NAME=MODEL,MODEL, but got {text!r}")
    return name, names_in(models)
